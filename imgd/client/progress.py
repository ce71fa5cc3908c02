"""How far it is: a bar on a terminal, plain lines elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TextIO

from tqdm import tqdm
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from imgd.logs import escape

BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 5.0
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Counts:
    """What has been counted of one directory: images, bytes, failures; ``since`` in seconds."""

    def __init__(self, name: str, since: float) -> None:
        self.name = name
        self.since = since
        self.total = self.good = self.bad = self.size = 0

    @property
    def seen(self) -> int:
        """Images that are done with, well or badly."""
        return self.good + self.bad

    def rate(self, now: float) -> float:
        """Images a second."""
        return self.seen / (now - self.since) if now > self.since else 0.0


class View(Protocol):
    """How counts are shown; ``show`` is called every ``seconds``."""

    seconds: float

    def show(self, counts: Counts, now: float) -> None:
        """As far as this it is."""

    def end(self, counts: Counts, now: float) -> None:
        """It is over: one line that stays."""

    def say(self, text: str) -> None:
        """Something else that a user should see, on a line of its own."""


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, write: Callable[[str], object], seconds: float = LINE_SECONDS) -> None:
        self._write = write
        self.seconds = seconds

    def show(self, counts: Counts, now: float) -> None:
        """A line with how far it is."""
        share = f"{counts.seen:,} of {counts.total:,} images"
        self.say(f"{counts.name}: {share}, {_details(counts, now)}")

    def end(self, counts: Counts, now: float) -> None:
        """The last line."""
        self.say(summary(counts, now))

    def say(self, text: str) -> None:
        """A line."""
        self._write(f"{escape(text)}\n")


class Bar(Lines):
    """A tqdm bar on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.write, BAR_SECONDS)
        self._stream = stream
        self._bar: Any = None
        tqdm.monitor_interval = 0  # no thread that wakes up to redraw: the clock does

    def show(self, counts: Counts, now: float) -> None:
        """Draw the bar."""
        if self._bar is None:
            self._bar = self._made(counts)
        self._bar.n = counts.seen
        self._bar.total = counts.total
        self._bar.set_postfix_str(_details(counts, now), refresh=False)
        self._bar.refresh()

    def _made(self, counts: Counts) -> Any:
        return tqdm(
            desc=escape(counts.name),
            total=counts.total,
            file=self._stream,
            dynamic_ncols=True,
            leave=False,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
        )

    def end(self, counts: Counts, now: float) -> None:
        """The bar gives way to one line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        super().end(counts, now)

    def say(self, text: str) -> None:
        """A line above the bar."""
        tqdm.write(escape(text), file=self._stream)


class Silent:
    """Nothing at all."""

    seconds = LINE_SECONDS

    def show(self, counts: Counts, now: float) -> None:
        """Nothing."""

    def end(self, counts: Counts, now: float) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""


class Progress:
    """Counts one directory and has it shown from time to time on this clock: a loader's Meter."""

    def __init__(
        self, name: str, view: View, clock: IReactorTime, *, verbose: bool = False
    ) -> None:
        self.counts = Counts(name, clock.seconds())
        self._view = view
        self._clock = clock
        self._verbose = verbose
        self._loop = LoopingCall(self._show)
        self._loop.clock = clock

    def begin(self, total: int) -> None:
        """So many images there are."""
        self.counts.total = total
        running: Deferred[LoopingCall] = self._loop.start(self._view.seconds, now=False)
        running.addErrback(lambda _: None)  # a terminal that went away stops no load

    def good(self, size: int) -> None:
        """One more image is as announced, with so many bytes."""
        self.counts.good += 1
        self.counts.size += size

    def bad(self, url: str, reason: str) -> None:
        """One more is not."""
        self.counts.bad += 1
        if self._verbose:
            self._view.say(f"failed: {url}: {reason}")

    def end(self) -> None:
        """It is over, however it went."""
        if self._loop.running:
            self._loop.stop()
        self._view.end(self.counts, self._clock.seconds())

    def _show(self) -> None:
        self._view.show(self.counts, self._clock.seconds())


def summary(counts: Counts, now: float) -> str:
    """One line of what was done."""
    took = now - counts.since
    return f"{counts.name}: {counts.good:,} images good, {_details(counts, now)}, {took:.1f} s"


def size_text(size: float) -> str:
    """Bytes as a person reads them: ``"20.0 kB"``."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"


def _details(counts: Counts, now: float) -> str:
    rate = f"{counts.rate(now):,.0f}/s"
    return f"{counts.bad:,} failed, {size_text(counts.size)}, {rate}"
