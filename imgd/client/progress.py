"""How far a load is: a bar on a terminal, plain lines elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TextIO

from tqdm import tqdm
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from imgd.logs import escape

BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 5.0
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class LineDisplay:
    """Writes lines: one every ``seconds``, and a last one that stays."""

    seconds = LINE_SECONDS

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def update(self, progress: LoadProgress) -> None:
        share = f"{progress.seen:,} of {progress.total:,} images"
        self.print_line(f"{progress.name}: {share}, {progress.details()}")

    def end(self, progress: LoadProgress) -> None:
        self.print_line(progress.summary())

    def print_line(self, text: str) -> None:
        self._write(f"{escape(text)}\n")


class BarDisplay(LineDisplay):
    """A tqdm bar on a terminal, which gives way to the last line."""

    seconds = BAR_SECONDS

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.write)
        self._stream = stream
        self._bar: Any = None
        tqdm.monitor_interval = 0  # no thread that wakes up to redraw: the clock does

    def update(self, progress: LoadProgress) -> None:
        if self._bar is None:
            self._bar = tqdm(
                desc=escape(progress.name),
                file=self._stream,
                dynamic_ncols=True,
                leave=False,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
            )
        self._bar.n, self._bar.total = progress.seen, progress.total
        self._bar.set_postfix_str(progress.details(), refresh=False)
        self._bar.refresh()

    def end(self, progress: LoadProgress) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        super().end(progress)

    def print_line(self, text: str) -> None:
        tqdm.write(escape(text), file=self._stream)


def display_for(stream: TextIO, *, quiet: bool = False) -> LineDisplay:
    """How progress is shown on this stream."""
    if quiet:
        return LineDisplay(lambda text: None)
    return BarDisplay(stream) if stream.isatty() else LineDisplay(stream.write)


class LoadProgress:
    """Counts the images of one directory, and has them shown from time to time on this clock."""

    def __init__(
        self, name: str, display: LineDisplay, clock: IReactorTime, *, verbose: bool = False
    ) -> None:
        self.name = name
        self.total = self.good = self.bad = self.size = 0
        self._since = clock.seconds()
        self._display = display
        self._clock = clock
        self._verbose = verbose
        self._loop = LoopingCall(display.update, self)
        self._loop.clock = clock

    @property
    def seen(self) -> int:
        return self.good + self.bad

    def begin(self, total: int) -> None:
        self.total = total
        running: Deferred[LoopingCall] = self._loop.start(self._display.seconds, now=False)
        running.addErrback(lambda _: None)  # a terminal that went away stops no load

    def add_good(self, size: int) -> None:
        self.good += 1
        self.size += size

    def add_bad(self, url: str, reason: str) -> None:
        self.bad += 1
        if self._verbose:
            self._display.print_line(f"failed: {url}: {reason}")

    def end(self) -> None:
        if self._loop.running:
            self._loop.stop()
        self._display.end(self)

    def details(self) -> str:
        took = self._took()
        rate = self.seen / took if took > 0 else 0.0
        return f"{self.bad:,} failed, {size_text(self.size)}, {rate:,.0f}/s"

    def summary(self) -> str:
        return f"{self.name}: {self.good:,} images good, {self.details()}, {self._took():.1f} s"

    def _took(self) -> float:
        return self._clock.seconds() - self._since


def size_text(size: float) -> str:
    """Bytes as a person reads them: ``"20.0 kB"``."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
