"""A folder of DICOM, beside Orthanc: ``python -m benchmarks.dicom``.

Every server works in turn in each of three rounds, on loopback alone. Prints a table and exits with
status 1 if a floor is not held; ``--json`` writes every figure. Takes ten minutes, and the files
that it makes the first time take 600 MB.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.dicom.inputs import QUICK, Inputs, Sizes
from benchmarks.dicom.rows import Frames, Index, Measurement, Metadata, Stalls, Volume
from benchmarks.dicom.servers import find_orthanc
from benchmarks.dicom.viewers import Viewers
from benchmarks.rounds import run

KINDS: dict[str, type[Measurement]] = {
    "index": Index,
    "metadata": Metadata,
    "frames": Frames,
    "volume": Volume,
    "stalls": Stalls,
    "viewers": Viewers,
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dicom", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=KINDS, action="append", help="of several, too")
    parser.add_argument("--work", type=Path, help="the folder of the files")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="few and small files: that it works")
    parser.add_argument("--without-peers", action="store_true", help="start no Orthanc")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure round by round, then print the table."""
    options = parse()
    os.environ.setdefault("IMGD_DISK_TIMEOUT", "600")  # so that a busy disk can be measured, too
    with_peers = not options.without_peers
    if with_peers and find_orthanc() is None:
        raise SystemExit("Install orthanc and orthanc-dicomweb first, or say --without-peers.")
    work = (options.work or Path(tempfile.gettempdir()) / "imgd-benchmarks").resolve()
    inputs = Inputs(work, QUICK if options.quick else Sizes())
    kinds = [KINDS[name] for name in options.only or KINDS]
    measurements = [kind(work, inputs, with_peers=with_peers) for kind in kinds]
    run(measurements, options.rounds, describe(with_peers=with_peers), options.json)


def describe(*, with_peers: bool) -> str:
    """The day, the machine, and the versions."""
    versions = [f"{name} {version(name)}" for name in ("twisted", "pydicom")]
    if with_peers and (program := find_orthanc()):
        says = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        found = re.search(r"Orthanc (\S+)", says)
        versions.append(f"beside Orthanc {found[1] if found else 'of an unknown version'}")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, {', '.join(versions)}"
    )


if __name__ == "__main__":
    main()
