"""Pictures, beside thumbor, copyparty and nibabel: ``python -m benchmarks.pictures``.

Every server, and nibabel, works in turn in each of five rounds, on loopback alone. Prints a table
and exits with status 1 if a floor is not held; ``--json`` writes every figure. Takes ten minutes.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.pictures.inputs import QUICK, Inputs, Sizes
from benchmarks.pictures.rows import (
    Bombs,
    Measurement,
    Thumbnails,
    Volumes,
    Waiting,
    WarmThumbnail,
)
from benchmarks.pictures.servers import peers_python
from benchmarks.pictures.viewer import Viewer
from benchmarks.rounds import run
from benchmarks.servers import PICTURE_PACKAGES

KINDS: dict[str, type[Measurement]] = {
    "thumbnails": Thumbnails,
    "warm": WarmThumbnail,
    "volumes": Volumes,
    "waiting": Waiting,
    "bombs": Bombs,
    "viewer": Viewer,
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=KINDS, action="append", help="of several, too")
    parser.add_argument("--work", type=Path, help="the folder of inputs and the peers' environment")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="small inputs: that it works")
    parser.add_argument("--without-peers", action="store_true", help="install and start no other")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure round by round, then print the table."""
    options = parse()
    os.environ.setdefault("IMGD_DISK_TIMEOUT", "600")  # so that a busy disk can be measured, too
    work = (options.work or Path(tempfile.gettempdir()) / "imgd-benchmarks").resolve()
    inputs = Inputs(work, QUICK if options.quick else Sizes())
    with_peers = not options.without_peers
    kinds = [KINDS[name] for name in options.only or KINDS]
    measurements = [kind(work, inputs, with_peers=with_peers) for kind in kinds]
    run(measurements, options.rounds, describe(work, with_peers=with_peers), options.json)


def describe(work: Path, *, with_peers: bool) -> str:
    """The day, the machine, and the versions."""
    versions = [f"{name} {version(name)}" for name in ("twisted", "pillow", "numpy", "isal")]
    if with_peers:
        program = (
            "import importlib.metadata as m, sys; "
            "print(', '.join(f'{name} {m.version(name)}' for name in sys.argv[1:]))"
        )
        command = [peers_python(work), "-c", program, *PICTURE_PACKAGES, "pillow"]
        theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        versions.append(f"beside {theirs.strip()}")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, {', '.join(versions)}"
    )


if __name__ == "__main__":
    main()
