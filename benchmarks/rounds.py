"""Measurements take turns in rounds, and end in a table and an exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.pictures.report import Row, markdown


class Measurement(Protocol):
    """``rows`` get figures by ``measure``, once in each round."""

    @property
    def rows(self) -> Sequence[Row]: ...

    def measure(self) -> None: ...


def run(
    measurements: Sequence[Measurement], rounds: int, machine: str, output: Path | None
) -> None:
    """Measure, print the table, write every figure to ``output``; SystemExit(1) if a measurement
    failed or a floor is not held.
    """
    failed = False
    for number in range(1, rounds + 1):
        for measurement in measurements:
            print(f"{type(measurement).__name__} ({number})", file=sys.stderr, flush=True)
            try:
                measurement.measure()
            except (AssertionError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
                failed = True
                print(f"{type(measurement).__name__} failed: {error}", file=sys.stderr)
    rows = [row for measurement in measurements for row in measurement.rows]
    print(f"{machine}. {rounds} rounds.\n\n{markdown(rows)}")
    if output:
        figures = {"machine": machine, "rows": [row.as_json() for row in rows]}
        output.write_text(json.dumps(figures, indent=1), "utf-8")
    if failed or not all(row.is_held for row in rows):
        raise SystemExit(1)
