"""The table of ``python -m benchmarks.pictures``: figures, floors, and whether they are held."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

IMGD = "imgd"


@dataclass(frozen=True)
class Floor:
    """imgd's median shall be at most ``factor`` times the other's, and ``plus`` more; at least, if
    ``is_rate``. Without another, ``plus`` is the bound.
    """

    other: str = ""
    factor: float = 0.0
    plus: float = 0.0
    is_rate: bool = False

    def bound(self, figures: Mapping[str, list[float]]) -> float | None:
        """In the row's unit; None if the other was not measured."""
        if not self.other:
            return self.plus
        theirs = figures.get(self.other)
        return statistics.median(theirs) * self.factor + self.plus if theirs else None

    def is_held(self, figures: Mapping[str, list[float]]) -> bool | None:
        """None if one of both was not measured."""
        bound, ours = self.bound(figures), figures.get(IMGD)
        if bound is None or not ours:
            return None
        median = statistics.median(ours)
        return median >= bound if self.is_rate else median <= bound

    def text(self, unit: str) -> str:
        """In words."""
        words = "at least" if self.is_rate else "at most"
        if not self.other:
            return f"{words} {_number(self.plus)} {unit}"
        more = f" + {_number(self.plus)} {unit}" if self.plus else ""
        return f"{words} {self.factor:g} x {self.other}{more}"


@dataclass
class Row:
    """What is compared: the figures of each round, by server."""

    name: str
    unit: str
    floors: tuple[Floor, ...] = ()
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, server: str, figure: float) -> None:
        self.figures.setdefault(server, []).append(figure)

    @property
    def is_held(self) -> bool:
        """False if a floor was measured and is not held."""
        return all(floor.is_held(self.figures) is not False for floor in self.floors)

    def as_json(self) -> dict[str, Any]:
        """Everything that was measured, and what came of it."""
        floors = [
            {
                "floor": floor.text(self.unit),
                "bound": floor.bound(self.figures),
                "held": floor.is_held(self.figures),
            }
            for floor in self.floors
        ]
        return {"row": self.name, "unit": self.unit, "figures": self.figures, "floors": floors}


def markdown(rows: Iterable[Row]) -> str:
    """The table: medians, with the smallest and the largest of the rounds in brackets."""
    lines = ["| work | unit | imgd | beside | floor | |", "|---" * 6 + "|"]
    for row in rows:
        others = "; ".join(
            f"{name} {_spread(figures)}" for name, figures in row.figures.items() if name != IMGD
        )
        floors = "; ".join(floor.text(row.unit) for floor in row.floors)
        verdicts = "; ".join(_verdict(floor, row) for floor in row.floors)
        ours = _spread(row.figures.get(IMGD, []))
        lines.append(f"| {row.name} | {row.unit} | {ours} | {others} | {floors} | {verdicts} |")
    return "\n".join(lines) + "\n"


def _verdict(floor: Floor, row: Row) -> str:
    ratio = ""
    if floor.other and row.figures.get(floor.other) and row.figures.get(IMGD):
        theirs = statistics.median(row.figures[floor.other])
        ratio = f"{statistics.median(row.figures[IMGD]) / theirs:.2f} x: " if theirs else ""
    words = {True: "ok", False: "**not held**", None: "not measured"}
    return ratio + words[floor.is_held(row.figures)]


def _spread(figures: list[float]) -> str:
    if not figures:
        return ""
    median = _number(statistics.median(figures))
    if len(figures) == 1:
        return median
    return f"{median} ({_number(min(figures))} to {_number(max(figures))})"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
