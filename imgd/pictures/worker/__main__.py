"""``python -m imgd.pictures.worker``, which the daemon starts with a socket as standard input."""

from __future__ import annotations

import sys

# pydicom imports requests and all below it to download test files, and hashlib to make UIDs: a
# worker does neither, and without them holds 11 MB less.
for module in ("requests", "tqdm", "ssl", "_ssl", "_hashlib"):
    sys.modules[module] = None  # type: ignore[assignment]

from imgd.pictures.worker import decoding  # noqa: E402
from imgd.pictures.worker.jobs import run  # noqa: E402

if __name__ == "__main__":
    run(decoding.decode, decoding.warm)
