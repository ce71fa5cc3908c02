"""The benchmarks: what they do before they measure, and the table that they make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import cast

from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.pictures.bombs import makers
from benchmarks.pictures.report import Floor, markdown
from benchmarks.pictures.report import Row as PictureRow
from benchmarks.rows import NGINX, STOCK, Figure, Row, Target
from benchmarks.servers import Server
from benchmarks.table import Result
from tests.daemons import CHECKOUT, environment


class CommandTests(SynchronousTestCase):
    """``python -m benchmarks``, with no program to measure with on its PATH."""

    def run_benchmarks(self, output: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output)]
        environment = {**os.environ, "PATH": ""}
        return subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120
        )

    def test_output_is_made_first(self) -> None:
        """The folder for the results is made before anything is measured."""
        output = Path(self.mktemp()).resolve() / "results"
        done = self.run_benchmarks(output)
        self.assertIn("Install wrk, curl, taskset, prlimit first.", done.stderr)
        self.assertTrue(output.is_dir())

    def test_output_that_cannot_be_made(self) -> None:
        """A folder that cannot be made is an error at once, in one sentence."""
        file = Path(self.mktemp()).resolve()
        file.write_text("")
        done = self.run_benchmarks(file / "results")
        self.assertEqual(done.returncode, 2)
        self.assertIn(
            f"argument --output: cannot make {file / 'results'}: Not a directory", done.stderr
        )
        self.assertNotIn("Traceback", done.stderr)


def row(name: str, *targets: Target, less: bool = False) -> Row:
    return Row(name, "requests/s", lambda _server, _seconds: Figure(0), targets, less=less)


def server(name: str, beside: str = "") -> Server:
    process = cast("subprocess.Popen[bytes]", None)  # nothing is started
    return Server(name, process, "", "", notes={"beside": beside} if beside else {})


class TableTests(SynchronousTestCase):
    """Figures that are given become the page of Markdown."""

    def cells(self, result: Result, name: str) -> list[str]:
        [line] = [line for line in result.markdown().splitlines() if line.startswith(f"| {name} |")]
        return [cell.strip() for cell in line.strip("|").split("|")]

    def test_median_range_and_wall(self) -> None:
        """A cell has the median and the range of the runs, for CPU time and for wall time."""
        small = row("small", Target(NGINX, 0.5, 0.8), Target(STOCK, 5))
        result = Result([small], 1.0)
        for number, (cpu, wall) in enumerate(((900, 500), (1000, 700), (1200, 600))):
            result.add(small, server("imgd"), number, Figure(cpu, wall))
        for number, cpu in enumerate((1000, 2000, 2400)):
            result.add(small, server(NGINX), number, Figure(cpu))
        _, unit, cpu_cell, wall_cell, nginx, _, stock, _, ratio, _, targets = self.cells(
            result, "small"
        )
        self.assertEqual(unit, "requests/s")
        self.assertEqual(cpu_cell, "1,000 (900 to 1,200)")
        self.assertEqual(wall_cell, "600 (500 to 700)")
        self.assertEqual((nginx, stock), ("2,000 (1,000 to 2,400)", ""))
        self.assertEqual(ratio, "0.50 (0.50 to 0.90)")
        self.assertEqual(
            targets,
            "at least 0.5 x nginx: met, hoped 0.8 x nginx: **not met**; "
            "at least 5 x stock: not measured",
        )

    def test_smaller_is_better(self) -> None:
        """For seconds and bytes, half as much is twice as good; another row's figure may count."""
        memory, other = row("memory", Target(STOCK, 2, row="other"), less=True), row("other")
        result = Result([memory, other], 1.0)
        result.add(memory, server("imgd"), 1, Figure(10))
        result.add(memory, server(NGINX), 1, Figure(5))
        result.add(other, server(STOCK), 1, Figure(30))
        cells = self.cells(result, "memory")
        self.assertEqual(cells[-3:], ["0.50", "", "at least 2 x stock's other: met"])

    def test_a_server_that_failed(self) -> None:
        """A run without a figure leaves the others, and the ratio is of the runs that have both."""
        small = row("small")
        result = Result([small], 1.0)
        result.add(small, server("imgd"), 1, Figure(10))
        result.add(small, server("imgd"), 2, Figure(20))
        result.add(small, server("aiohttp"), 2, Figure(10))
        self.assertIn("| small | 1.50 |", result.markdown())
        self.assertEqual(
            result.figures_as_json()["medians"], {"small": {"imgd": 15, "aiohttp": 10}}
        )

    def test_notes_and_directories(self) -> None:
        """Notes and directories of every run are on the page."""
        result = Result([row("small")], 1.0)
        for share, seconds in (("0.98", 4.0), ("0.99", 6.0)):
            result.add_directory({"files": 1e6, "load, s": seconds})
            result.end_run([server("imgd", share), server(NGINX)])
        page = result.markdown()
        self.assertIn("imgd: 0.98, 0.99 of its request rate beside the idle connections.", page)
        self.assertIn(
            "| a directory of 1,000,000 files | |\n|---|---|\n| load, s | 5 (4 to 6) |", page
        )
        self.assertIn(" 2 runs, 1 s for each figure", page)


class PictureCommandTests(SynchronousTestCase):
    """``python -m benchmarks.pictures`` with small inputs."""

    def test_runs(self) -> None:
        """Each row of imgd's own gets a figure, in the table and as JSON."""
        work = Path(self.mktemp()).resolve()
        work.mkdir()
        kinds = ("thumbnails", "volumes", "waiting", "bombs")
        only = [word for kind in kinds for word in ("--only", kind)]
        command = [sys.executable, "-m", "benchmarks.pictures", "--quick", "--without-peers", *only]
        command += ["--rounds", "1", "--work", str(work), "--json", str(work / "figures.json")]
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=environment(work),
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertNotIn("failed", done.stderr)
        self.assertTrue((work / "figures.json").exists(), done.stderr[-2000:])
        rows = json.loads((work / "figures.json").read_text("utf-8"))["rows"]
        self.assertEqual([row["row"] for row in rows if not row["figures"].get("imgd")], [])
        for row in rows:
            self.assertIn(f"| {row['row']} | {row['unit']} | ", done.stdout)


class DicomCommandTests(SynchronousTestCase):
    """``python -m benchmarks.dicom`` with few and small files."""

    def test_runs(self) -> None:
        """Each row of imgd's own gets a figure, in the table and as JSON."""
        work = Path(self.mktemp()).resolve()
        work.mkdir()
        only = [word for kind in ("index", "metadata", "stalls") for word in ("--only", kind)]
        command = [sys.executable, "-m", "benchmarks.dicom", "--quick", "--without-peers", *only]
        command += ["--rounds", "1", "--work", str(work), "--json", str(work / "figures.json")]
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=environment(work),
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertNotIn("failed", done.stderr)
        self.assertTrue((work / "figures.json").exists(), done.stderr[-2000:])
        rows = json.loads((work / "figures.json").read_text("utf-8"))["rows"]
        self.assertEqual([row["row"] for row in rows if not row["figures"].get("imgd")], [])
        for row in rows:
            self.assertIn(f"| {row['row']} | {row['unit']} | ", done.stdout)


class PictureTableTests(SynchronousTestCase):
    """``python -m benchmarks.pictures``: figures that are given become the table."""

    def cells(self, row: PictureRow) -> list[str]:
        line = markdown([row]).splitlines()[-1]
        return [cell.strip() for cell in line.strip("|").split("|")]

    def test_ratio(self) -> None:
        """A floor beside another server is judged by medians, and says the ratio."""
        row = PictureRow("cold", "ms", (Floor("thumbor", 1.3), Floor("copyparty", 0.5)))
        for server, figures in (("imgd", (9, 10, 12)), ("thumbor", (8,)), ("copyparty", (19,))):
            for figure in figures:
                row.add(server, figure)
        self.assertEqual(
            self.cells(row),
            [
                *("cold", "ms", "10 (9 to 12)", "thumbor 8; copyparty 19"),
                "at most 1.3 x thumbor; at most 0.5 x copyparty",
                "1.25 x: ok; 0.53 x: **not held**",
            ],
        )
        self.assertFalse(row.is_held)

    def test_bound_and_rate(self) -> None:
        """A bound may be fixed, or be more than a multiple; a rate is to be at least so high."""
        for floor, is_held in (
            (Floor(plus=10), True),
            (Floor(plus=9.9), False),
            (Floor("other", 2, 4), True),
            (Floor("other", 2, 3.9), False),
            (Floor("other", 3, is_rate=True), True),
            (Floor("other", 3.5, is_rate=True), False),
        ):
            row = PictureRow("work", "ms", (floor,), {"imgd": [10], "other": [3]})
            self.assertIs(row.is_held, is_held, floor)
            self.assertIs(row.as_json()["floors"][0]["held"], is_held, floor)

    def test_not_measured(self) -> None:
        """Without the other's figure nothing is claimed."""
        row = PictureRow("cold", "ms", (Floor("thumbor", 1.3),), {"imgd": [10]})
        self.assertEqual(self.cells(row)[-1], "not measured")
        self.assertIsNone(row.as_json()["floors"][0]["held"])
        self.assertTrue(row.is_held)


class BombTests(SynchronousTestCase):
    def test_they_are_bombs(self) -> None:
        """Each file is as small as it shall be, and claims what it shall claim."""
        made = {name: make() for name, make in makers(0.1).items()}
        self.assertEqual([name for name, body in made.items() if len(body) > 300_000], [])
        for name, pixels in (("400-megapixels.png", 4e6), ("49-megapixels.webp", 49e4)):
            with Image.open(BytesIO(made[name])) as image:
                self.assertEqual(image.width * image.height, pixels)
        image = Image.open(BytesIO(made["49-megapixels.png"]))
        self.assertEqual(
            (image.convert("RGBA").getextrema(), image.size), (((0, 0),) * 4, (700,) * 2)
        )
        unpacked = zlib.decompressobj(wbits=31).decompress(made["4-gigabytes.nii.gz"], 1 << 20)
        self.assertEqual(unpacked[:4], b"\x5c\x01\0\0")
