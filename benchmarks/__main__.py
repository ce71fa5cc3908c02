"""``python -m benchmarks``: every row, every server, in one run. README.md tells the method."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import loads, million, table
from benchmarks.rows import Row, rows
from benchmarks.servers import HERE, Server, all_running, peer_python

Figures = dict[str, dict[str, list[float]]]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, small loads: 2 minutes")
    parser.add_argument("--rounds", type=int, help="rounds of which the median counts (5)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (2)")
    parser.add_argument("--only", default="", help="only rows whose name has this in it")
    parser.add_argument("--work", type=Path, help="where data and the peers' environment are kept")
    parser.add_argument("--output", type=Path, default=Path(), help="where table and chart go")
    return parser.parse_args()


def main() -> None:
    """Set up, measure, tell."""
    asked = parse()
    if missing := [
        name for name in ("wrk", "curl", "taskset", "prlimit") if not shutil.which(name)
    ]:
        raise SystemExit(f"Install {', '.join(missing)} first.")
    work = (asked.work or Path(tempfile.gettempdir()) / "imgd-benchmarks").resolve()
    data = work / "data"
    loads.make_files(data)
    rounds = asked.rounds or (1 if asked.quick else 5)
    seconds = asked.seconds or (0.5 if asked.quick else 2.0)
    chosen = [
        row
        for row in rows(idle=500 if asked.quick else 5000, slow=50 if asked.quick else 500)
        if asked.only in row.name
    ]
    with all_running(work, data) as servers:
        figures = measure(chosen, servers, rounds, seconds)
        directory = {} if asked.only else load_directory(servers[0], work, quick=asked.quick)
    tell(asked.output, work, table.Result(chosen, servers, figures, directory, rounds, seconds))


def measure(chosen: list[Row], servers: list[Server], rounds: int, seconds: float) -> Figures:
    """Round by round, and within one all servers side by side."""
    figures: Figures = {row.name: {} for row in chosen}
    for row in chosen:
        for number in range(1 if row.once else rounds):
            for server in filter(row.takes, servers):
                try:
                    figure = row.measure(server, seconds)
                except (RuntimeError, subprocess.CalledProcessError) as error:
                    server.notes[row.name] = str(error)
                    continue
                figures[row.name].setdefault(server.name, []).append(figure)
                print(f"{row.name} ({number + 1}): {server.name} {figure:.4g}", file=sys.stderr)
    return figures


def load_directory(imgd: Server, work: Path, *, quick: bool) -> dict[str, float]:
    """The row that imgd has for itself."""
    count = 100_000 if quick else 1_000_000
    folder = work / f"directory-{count}"
    million.make(folder, count)
    return {"files": count, **million.run(imgd, folder)}


def tell(output: Path, work: Path, result: table.Result) -> None:
    """Print the table, and leave it, the figures and the chart in files."""
    text = result.markdown()
    print(text)
    (output / "benchmark.md").write_text(text)
    raw = {
        name: {s: statistics.median(f) for s, f in by.items()}
        for name, by in result.figures.items()
    }
    units = {row.name: [row.unit, row.less] for row in result.rows}
    (output / "benchmark.json").write_text(json.dumps({"medians": raw, "units": units}, indent=1))
    chart = [peer_python(work), str(HERE / "chart.py"), str(output / "benchmark.json")]
    subprocess.run([*chart, str(output / "benchmark.png")], check=True)


if __name__ == "__main__":
    main()
