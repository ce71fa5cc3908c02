"""How far a load is: a bar on a terminal, plain lines elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

import math
from typing import Any, Final, TextIO

from tqdm import tqdm
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from imgd.logs import escape

BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 5.0
_BAR: Final = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
tqdm.monitor_interval = 0  # no thread that wakes up to redraw: the clock does


class Display:
    """Lines on a stream, above a bar if it is a terminal."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self.is_terminal = stream.isatty() and not quiet

    def print_line(self, text: str) -> None:
        if self.is_terminal:
            tqdm.write(escape(text), file=self._stream)
        elif not self._quiet:
            self._stream.write(f"{escape(text)}\n")

    def bar(self, name: str, total: int) -> Any:
        text, out = escape(name), self._stream
        return tqdm(
            desc=text, total=total, file=out, dynamic_ncols=True, leave=False, bar_format=_BAR
        )


class LoadProgress:
    """Counts the images of one directory, and has them shown from time to time on this clock."""

    def __init__(
        self, name: str, display: Display, clock: IReactorTime, *, verbose: bool = False
    ) -> None:
        self._name = name
        self._display = display
        self._clock = clock
        self._verbose = verbose
        self._total = self._good = self._bad = self._size = 0
        self._begun_at = clock.seconds()
        self._bar: Any = None
        self._loop = LoopingCall(self._show)
        self._loop.clock = clock

    def begin(self, total: int) -> None:
        self._total = total
        seconds = BAR_SECONDS if self._display.is_terminal else LINE_SECONDS
        showing = self._loop.start(seconds, now=False)
        showing.addErrback(lambda _: None)  # a terminal that went away stops no load

    def add_good(self, size: int) -> None:
        self._good += 1
        self._size += size

    def add_bad(self, url: str, reason: str) -> None:
        self._bad += 1
        if self._verbose:
            self._display.print_line(f"failed: {url}: {reason}")

    def end(self) -> None:
        if self._loop.running:
            self._loop.stop()
        if self._bar is not None:
            self._bar.close()
        took = self._clock.seconds() - self._begun_at
        good = f"{self._good:,} images good"
        self._display.print_line(f"{self._name}: {good}, {self._details()}, {took:.1f} s")

    def _show(self) -> None:
        seen = self._good + self._bad
        if not self._display.is_terminal:
            share = f"{seen:,} of {self._total:,} images"
            self._display.print_line(f"{self._name}: {share}, {self._details()}")
            return
        if self._bar is None:
            self._bar = self._display.bar(self._name, self._total)
        self._bar.n = seen
        self._bar.set_postfix_str(self._details())

    def _details(self) -> str:
        took = self._clock.seconds() - self._begun_at
        rate = (self._good + self._bad) / took if took > 0 else 0.0
        return f"{self._bad:,} failed, {size_text(self._size)}, {rate:,.0f}/s"


def size_text(size: float) -> str:
    """Bytes as a person reads them: ``"20.0 kB"``."""
    if size < 1000:
        return f"{size:.0f} B"
    power = min(int(math.log10(size)) // 3, 4)
    return f"{size / 1000**power:.1f} {' kMGT'[power]}B"
