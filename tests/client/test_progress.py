"""Progress, on a clock of the test's."""

from __future__ import annotations

import io

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.client.commands import CliContext
from imgd.client.options import CliOptions
from imgd.client.progress import LoadProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Showing(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.said = io.StringIO()

    def progress(
        self,
        name: str = "frames",
        err: io.StringIO | None = None,
        quiet: bool = False,
        verbose: bool = False,
    ) -> LoadProgress:
        context = CliContext(None, {}, io.StringIO(), err or self.said, self.clock)
        return LoadProgress(name, context, CliOptions(quiet=quiet, verbose=verbose))

    def work(self, progress: LoadProgress, good: int = 3, bad: int = 1) -> None:
        for _ in range(good):
            progress.add_good(1500)
        for _ in range(bad):
            progress.add_bad("https://here/a.png", "it is gone")

    def test_lines(self) -> None:
        """Without a terminal there is a line every five seconds, and one at the end."""
        progress = self.progress()
        progress.begin(1234)
        self.work(progress)
        self.clock.advance(4.9)
        self.assertEqual(self.said.getvalue(), "")
        self.clock.advance(0.1)
        line = "frames: 4 of 1,234 images, 1 failed, 4.5 kB, 1/s\n"
        self.assertEqual(self.said.getvalue(), line)
        self.work(progress)
        self.clock.advance(3)
        progress.end()
        last = "frames: 6 images good, 2 failed, 9.0 kB, 1/s, 8.0 s\n"
        self.assertEqual(self.said.getvalue(), line + last)
        self.clock.advance(60)
        self.assertEqual(self.said.getvalue(), line + last)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bar(self) -> None:
        """On a terminal there is a bar with images, rate, bytes and failures, then one line."""
        terminal = Terminal()
        progress = self.progress(err=terminal)
        progress.begin(8)
        self.work(progress)
        self.clock.advance(0.1)
        drawn = terminal.getvalue().rpartition("\r")[2]
        for part in ("frames", "50%", "4/8", "1 failed", "4.5 kB", "40/s"):
            self.assertIn(part, drawn)
        progress.end()
        self.assertTrue(
            terminal.getvalue().endswith("3 images good, 1 failed, 4.5 kB, 40/s, 0.1 s\n")
        )

    def test_verbose(self) -> None:
        """Verbose tells each failure when it happens."""
        progress = self.progress(verbose=True)
        progress.begin(8)
        self.work(progress)
        self.assertEqual(self.said.getvalue(), "failed: https://here/a.png: it is gone\n")
        progress.end()

    def test_silent(self) -> None:
        """Quiet says nothing at all."""
        progress = self.progress(quiet=True, verbose=True)
        progress.begin(8)
        self.work(progress)
        self.clock.advance(10)
        progress.end()
        self.assertEqual(self.said.getvalue(), "")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hostile_names(self) -> None:
        """What a server or a file system names cannot write to the terminal."""
        progress = self.progress("fr\x1b[2Jam\nes")
        progress.begin(1)
        progress.end()
        self.assertNotIn("\x1b", self.said.getvalue())
        self.assertEqual(self.said.getvalue().count("\n"), 1)

    def test_ended_before_it_began(self) -> None:
        """What never began ends with its line all the same."""
        self.progress().end()
        self.assertIn("0 images good", self.said.getvalue())
