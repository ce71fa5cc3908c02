"""How far a load is: a bar on a terminal, plain lines elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

import math
from typing import Any, Final

from tqdm import tqdm
from twisted.internet.task import LoopingCall

from imgd.client.commands import CliContext
from imgd.client.options import CliOptions
from imgd.logs import escape

BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 5.0
_BAR: Final = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
tqdm.monitor_interval = 0  # no thread that wakes up to redraw: the clock does


def print_line(context: CliContext, text: str) -> None:
    """A line that stays, above the bar if there is one."""
    with tqdm.external_write_mode(file=context.err, nolock=True):
        context.log(text)


class LoadProgress:
    """Counts the images of one directory, and has them shown from time to time."""

    def __init__(self, name: str, context: CliContext, options: CliOptions) -> None:
        self._name = name
        self._context = context
        self._is_quiet = options.quiet
        self._is_verbose = options.verbose and not options.quiet
        self._total = self._good = self._bad = self._size = 0
        self._begun_at = context.clock.seconds()
        self._bar: Any = None
        self._loop = LoopingCall(self._show)
        self._loop.clock = context.clock

    def begin(self, total: int) -> None:
        self._total = total
        if not self._is_quiet:
            seconds = BAR_SECONDS if self._context.err.isatty() else LINE_SECONDS
            showing = self._loop.start(seconds, now=False)
            showing.addErrback(lambda _: None)  # a terminal that went away stops no load

    def add_good(self, size: int) -> None:
        self._good += 1
        self._size += size

    def add_bad(self, url: str, reason: str) -> None:
        self._bad += 1
        if self._is_verbose:
            print_line(self._context, f"failed: {url}: {reason}")

    def end(self) -> None:
        if self._loop.running:
            self._loop.stop()
        if self._bar is not None:
            self._bar.close()
        took = self._context.clock.seconds() - self._begun_at
        good = f"{self._good:,} images good"
        if not self._is_quiet:
            self._context.log(f"{self._name}: {good}, {self._details()}, {took:.1f} s")

    def _show(self) -> None:
        seen, err = self._good + self._bad, self._context.err
        if not err.isatty():
            share = f"{seen:,} of {self._total:,} images"
            self._context.log(f"{self._name}: {share}, {self._details()}")
            return
        if self._bar is None:
            name = escape(self._name)
            self._bar = tqdm(desc=name, file=err, dynamic_ncols=True, leave=False, bar_format=_BAR)
        self._bar.n, self._bar.total = seen, self._total
        self._bar.set_postfix_str(self._details())

    def _details(self) -> str:
        took = self._context.clock.seconds() - self._begun_at
        rate = (self._good + self._bad) / took if took > 0 else 0.0
        return f"{self._bad:,} failed, {size_text(self._size)}, {rate:,.0f}/s"


def size_text(size: float) -> str:
    """Bytes as a person reads them: ``"20.0 kB"``."""
    if size < 1000:
        return f"{size:.0f} B"
    power = min(int(math.log10(size)) // 3, 4)
    return f"{size / 1000**power:.1f} {' kMGT'[power]}B"
