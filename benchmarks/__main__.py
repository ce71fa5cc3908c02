"""``python -m benchmarks``: all rows and servers, several runs. README.md explains the method."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import loads, million, table
from benchmarks.rows import rows
from benchmarks.servers import HERE, Server, all_running, peer_python

PROGRAMS = ("wrk", "curl", "taskset", "prlimit")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. The folder for the results is made here, before minutes are spent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run, small loads: 2 minutes")
    parser.add_argument("--runs", type=int, help="runs, each with servers started anew (5)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (2)")
    parser.add_argument("--only", default="", help="only rows with this text in their name")
    parser.add_argument("--work", type=Path, help="the folder of data and the peers' environment")
    parser.add_argument(
        "--output", type=_made_folder, default=Path(), help="the folder for table and chart"
    )
    options = parser.parse_args(arguments)
    options.runs = options.runs or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.5 if options.quick else 2.0)
    return options


def _made_folder(text: str) -> Path:
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot make {text}: {error.strerror}") from None
    return folder


def main() -> None:
    """Measure run by run, then print the table and write the files."""
    options = parse()
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        raise SystemExit(f"Install {', '.join(missing)} first.")
    work = (options.work or Path(tempfile.gettempdir()) / "imgd-benchmarks").resolve()
    data = work / "data"
    loads.make_files(data)
    quick: bool = options.quick
    every = rows(idle=500 if quick else 5000, slow=50 if quick else 500)
    result = table.Result([row for row in every if options.only in row.name], options.seconds)
    for number in range(1, options.runs + 1):
        with all_running(work, data) as servers:
            warm_up(servers, data, options.seconds)
            measure(result, servers, number)
            if not options.only:
                result.add_directory(load_directory(servers[0], work, quick=quick))
            result.end_run(servers)
    write(options.output, work, result)


def warm_up(servers: list[Server], data: Path, seconds: float) -> None:
    """Bring files to where they are on a machine that has served them for a while: large ones to
    the page cache, small ones to the caches of servers that have one.
    """
    loads.fill_page_cache(data)
    for server in servers:
        loads.wrk(server, "f.jpg", tls=False, seconds=2 * seconds, script="many.lua")


def measure(result: table.Result, servers: list[Server], number: int) -> None:
    """One run: row by row, and within a row every server in turn."""
    for row in result.rows:
        for server in filter(row.takes, servers):
            try:
                figure = row.measure(server, result.seconds)
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f"{row.name} ({number}): {server.name} failed: {error}", file=sys.stderr)
                continue
            result.add(row, server, number, figure)
            print(f"{row.name} ({number}): {server.name} {figure.cpu:.4g}", file=sys.stderr)


def load_directory(imgd: Server, work: Path, *, quick: bool) -> dict[str, float]:
    """The row that imgd has for itself."""
    count = 100_000 if quick else 1_000_000
    folder = work / f"directory-{count}"
    million.make(folder, count)
    return {"files": count, **million.run(imgd, folder)}


def write(output: Path, work: Path, result: table.Result) -> None:
    """Print the table; write it, the figures and the chart to files."""
    text = result.markdown()
    print(text)
    (output / "benchmark.md").write_text(text)
    (output / "benchmark.json").write_text(json.dumps(result.figures_as_json(), indent=1))
    chart = [peer_python(work), str(HERE / "chart.py"), str(output / "benchmark.json")]
    subprocess.run([*chart, str(output / "benchmark.png")], check=True)


if __name__ == "__main__":
    main()
