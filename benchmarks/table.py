"""What was measured, as Markdown: figures, ratios, and whether the floors are met."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from OpenSSL import SSL

from benchmarks.rows import NGINX, STOCK, Floor, Row
from benchmarks.servers import Server


@dataclass(frozen=True)
class Result:
    """Everything that a run found."""

    rows: list[Row]
    servers: list[Server]
    figures: dict[str, dict[str, list[float]]]
    directory: dict[str, float]
    rounds: int
    seconds: float

    def median(self, row: Row, name: str) -> float | None:
        """A server's figure."""
        found = self.figures[row.name].get(name)
        return statistics.median(found) if found else None

    def times_as_good(self, row: Row, other: str, at: str = "") -> float | None:
        """imgd's figure against another's: 2.0 is twice as good, whatever the unit.

        ``at`` names the row of the other's figure, where it is not the same.
        """
        others = next((found for found in self.rows if found.name == at), row)
        ours, theirs = self.median(row, "imgd"), self.median(others, other)
        if not ours or not theirs:
            return None
        return theirs / ours if row.less else ours / theirs

    def markdown(self) -> str:
        """The page."""
        return "\n\n".join((self._facts(), self._main(), self._others(), self._directory())) + "\n"

    def _facts(self) -> str:
        program = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr
        nginx = program.rpartition("/")[2].strip() or "not installed"
        return (
            f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {platform.system()} "
            f"{platform.release()}, Python {platform.python_version()}, Twisted "
            f"{version('twisted')}, pyOpenSSL {version('pyopenssl')} "
            f"({SSL.OpenSSL_version(0).decode()}), nginx {nginx}. "
            f"Medians of {self.rounds} rounds of {self.seconds:g} s. Each server on one core, the "
            "load on another."
        )

    def _main(self) -> str:
        lines = ["| work | unit | imgd | nginx | stock | x nginx | x stock | floors |"]
        lines.append("|---|---|---|---|---|---|---|---|")
        for row in self.rows:
            figures = [_shown(self.median(row, name)) for name in ("imgd", NGINX, STOCK)]
            ratios = [_ratio(self.times_as_good(row, name)) for name in (NGINX, STOCK)]
            floors = "; ".join(self._floor(row, floor) for floor in row.floors)
            lines.append(" | ".join((f"| {row.name}", row.unit, *figures, *ratios, f"{floors} |")))
        notes = (
            f"{server.name}: beside idle connections {server.notes['beside']} of the request rate"
            for server in self.servers
            if "beside" in server.notes
        )
        return "\n".join(lines) + "\n\n" + "; ".join(notes)

    def _floor(self, row: Row, floor: Floor) -> str:
        found = self.times_as_good(row, floor.other, floor.row)
        if found is None:
            return "not measured"
        short = "nginx" if floor.other == NGINX else "stock"
        if floor.least and found < floor.least:
            return f"**below** {floor.least:.2g} x {short}"
        if floor.beyond and found >= floor.beyond:
            return f"beyond {floor.beyond:.2g} x {short}"
        return f"met {floor.least:.2g} x {short}" if floor.least else f"{found:.2g} x {short}"

    def _others(self) -> str:
        names = [s.name for s in self.servers if s.name not in ("imgd", NGINX, STOCK)]
        lines = ["| imgd is so many times as good as | " + " | ".join(names) + " |"]
        lines.append("|---" * (len(names) + 1) + "|")
        for row in self.rows:
            cells = (_ratio(self.times_as_good(row, name)) for name in names)
            lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def _directory(self) -> str:
        if not self.directory:
            return ""
        lines = [f"| a directory of {self.directory['files']:,.0f} files | |", "|---|---|"]
        lines += [f"| {k} | {v:.3g} |" for k, v in self.directory.items() if k != "files"]
        return "\n".join(lines)


def _shown(figure: float | None) -> str:
    if figure is None:
        return ""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _processor() -> str:
    found = [platform.processor() or platform.machine()]
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(found)} x {found[0]}"
