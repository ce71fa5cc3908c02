"""What was measured, as Markdown: medians with ranges, ratios, and whether targets are met."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from benchmarks.rows import NGINX, STOCK, Figure, Row, Target
from benchmarks.servers import Server, find_nginx

MAIN = ("imgd", NGINX, STOCK)
EXPLANATION = """\
Each cell is the median of the runs, with the smallest and the largest in brackets. *CPU*: for a
second of the server's CPU time, or CPU seconds for a GB. *wall*: for a second by the clock on the
wall, which is what this machine's load got. *x nginx*, *x stock*: imgd is so many times as good as
nginx, or as Twisted's own `static.File`, by CPU time; the ratio is of the medians, and its range is
that of the runs. *targets*: what imgd shall reach at least, and what it hopes for."""


@dataclass
class Result:
    """Everything that was measured: figures by row, server and number of the run."""

    rows: list[Row]
    seconds: float
    figures: dict[str, dict[str, dict[int, Figure]]] = field(default_factory=dict)
    directories: list[dict[str, float]] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    runs: int = 0

    def add(self, row: Row, server: Server, number: int, figure: Figure) -> None:
        """Keep a figure of a server in a run."""
        self.figures.setdefault(row.name, {}).setdefault(server.name, {})[number] = figure

    def add_directory(self, figures: dict[str, float]) -> None:
        """Keep the figures of one load of a large directory."""
        self.directories.append(figures)

    def end_run(self, servers: Iterable[Server]) -> None:
        """Count a run, and keep what its servers noted."""
        self.runs += 1
        for server in servers:
            if "beside" in server.notes:
                self.notes.setdefault(server.name, []).append(server.notes["beside"])

    def cpu(self, row: str, server: str) -> dict[int, float]:
        """A server's figures for CPU time, by run."""
        by_run = self.figures.get(row, {}).get(server, {})
        return {number: figure.cpu for number, figure in by_run.items()}

    def wall(self, row: str, server: str) -> list[float]:
        """A server's figures for time on the wall."""
        by_run = self.figures.get(row, {}).get(server, {})
        return [figure.wall for figure in by_run.values() if figure.wall is not None]

    def ratios(self, row: Row, other: str, other_row: str = "") -> list[float]:
        """How many times as good as another imgd was: of the medians, then run by run.

        2.0 is twice as good, whatever the unit. ``other_row`` names the row of the other's figure,
        if it is not the same. Empty without figures of both.
        """
        ours, theirs = self.cpu(row.name, "imgd"), self.cpu(other_row or row.name, other)
        if not ours or not theirs:
            return []
        medians = (statistics.median(ours.values()), statistics.median(theirs.values()))
        pairs = [medians, *((ours[run], theirs[run]) for run in ours if run in theirs)]
        return [their / our if row.less else our / their for our, their in pairs]

    def figures_as_json(self) -> dict[str, Any]:
        """Medians for the chart, and every figure."""
        medians = {
            row: {server: statistics.median(self.cpu(row, server).values()) for server in servers}
            for row, servers in self.figures.items()
        }
        units = {row.name: [row.unit, row.less] for row in self.rows}
        return {"medians": medians, "units": units, "figures": self.figures}

    def markdown(self) -> str:
        """The page."""
        parts = (self._machine(), EXPLANATION, self._main(), self._others(), self._directory())
        return "\n\n".join(part for part in parts if part) + "\n"

    def _machine(self) -> str:
        nginx = "not installed"
        if program := find_nginx():
            banner = subprocess.run([program, "-v"], capture_output=True, text=True).stderr
            nginx = banner.rpartition("/")[2].strip()
        return (
            f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {platform.system()} "
            f"{platform.release()}, Python {platform.python_version()}, Twisted "
            f"{version('twisted')}, pyOpenSSL {version('pyopenssl')} "
            f"({SSL.OpenSSL_version(0).decode()}), nginx {nginx}. "
            f"{self.runs} run{'s' * (self.runs != 1)}, {self.seconds:g} s for each figure. Each "
            "server on one core, the load on another."
        )

    def _main(self) -> str:
        heads = [
            f"{name}, {kind}" for name in ("imgd", "nginx", "stock") for kind in ("CPU", "wall")
        ]
        lines = [_line("work", "unit", *heads, "x nginx", "x stock", "targets")]
        lines.append("|---" * (len(heads) + 5) + "|")
        for row in self.rows:
            cells: list[str] = []
            for name in MAIN:
                cells += [_spread(self.cpu(row.name, name).values())]
                cells += [_spread(self.wall(row.name, name))]
            cells += [_ratio(self.ratios(row, name)) for name in (NGINX, STOCK)]
            targets = "; ".join(self._target(row, target) for target in row.targets)
            lines.append(_line(row.name, row.unit, *cells, targets))
        notes = "; ".join(
            f"{name}: {', '.join(shares)} of its request rate beside the idle connections"
            for name, shares in self.notes.items()
        )
        return "\n".join(lines) + (f"\n\n{notes}." if notes else "")

    def _target(self, row: Row, target: Target) -> str:
        ratios = self.ratios(row, target.other, target.row)
        other = f"{'nginx' if target.other == NGINX else 'stock'}"
        other += f"'s {target.row}" if target.row else ""
        verdicts = []
        if target.least:
            verdicts.append(
                f"at least {target.least:.2g} x {other}: {_verdict(ratios, target.least)}"
            )
        if target.hoped:
            verdicts.append(f"hoped {target.hoped:.2g} x {other}: {_verdict(ratios, target.hoped)}")
        return ", ".join(verdicts)

    def _others(self) -> str:
        servers = {name for by_server in self.figures.values() for name in by_server}
        names = sorted(servers - set(MAIN), key=str.lower)
        if not names:
            return ""
        lines = [_line("imgd is so many times as good as", *names)]
        lines.append("|---" * (len(names) + 1) + "|")
        for row in self.rows:
            lines.append(_line(row.name, *(_ratio(self.ratios(row, name)) for name in names)))
        return "\n".join(lines)

    def _directory(self) -> str:
        if not self.directories:
            return ""
        first = self.directories[0]
        lines = [_line(f"a directory of {first['files']:,.0f} files", ""), "|---|---|"]
        for key in first:
            if key != "files":
                lines.append(_line(key, _spread(figures[key] for figures in self.directories)))
        return "\n".join(lines)


def _line(*cells: str) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _spread(figures: Iterable[float]) -> str:
    """The median and the range."""
    every = list(figures)
    if not every:
        return ""
    median = _number(statistics.median(every))
    return (
        median if len(every) == 1 else f"{median} ({_number(min(every))} to {_number(max(every))})"
    )


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _ratio(ratios: list[float]) -> str:
    if not ratios:
        return ""
    of_medians, *by_run = ratios
    spread = f" ({min(by_run):.2f} to {max(by_run):.2f})" if len(by_run) > 1 else ""
    return f"{of_medians:.2f}{spread}"


def _verdict(ratios: list[float], least: float) -> str:
    if not ratios:
        return "not measured"
    return "met" if ratios[0] >= least else "**not met**"


def _processor() -> str:
    names = [platform.processor() or platform.machine()]
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}"
