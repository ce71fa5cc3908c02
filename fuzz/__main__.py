"""Every harness, one after the other; the status is that of the first that found something."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

HARNESSES: Final = (
    *("head", "chunks", "ranges", "paths", "bodies"),
    *("volumes", "dicom_index", "pictures", "series"),
)


def main() -> int:
    """Run them in processes of their own."""
    for name in HARNESSES:
        print(f"fuzz.{name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"fuzz.{name}", *sys.argv[1:]], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
