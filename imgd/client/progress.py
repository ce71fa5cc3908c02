"""How far a load is: a bar on a terminal, plain lines elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

from typing import Any, Final

from tqdm import tqdm
from twisted.internet.task import LoopingCall

from imgd.client.commands import CliContext
from imgd.client.options import CliOptions
from imgd.core.sizes import human_size
from imgd.logs import escape

BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 5.0
_BAR: Final = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
tqdm.monitor_interval = 0  # no thread that wakes up to redraw: the clock does


def log_verbose(context: CliContext, options: CliOptions, text: str) -> None:
    """With ``--verbose``, a line that stays, above the bar if there is one."""
    if options.verbose and not options.quiet:
        with tqdm.external_write_mode(file=context.err, nolock=True):
            context.log(text)


class LineProgress:
    """Lines that a server says of its progress, every ``LINE_SECONDS`` one."""

    def __init__(self, name: str, context: CliContext, options: CliOptions) -> None:
        self._name, self._context, self._options = name, context, options
        self._next = context.clock.seconds()

    def show(self, line: str) -> None:
        now = self._context.clock.seconds()
        if not self._options.quiet and now >= self._next:
            self._next = now + LINE_SECONDS
            self._context.log(f"{self._name}: {line}")


class LoadProgress:
    def __init__(self, name: str, context: CliContext, options: CliOptions) -> None:
        self._name = name
        self._context = context
        self._options = options
        self._total = self._good = self._bad = self._size = 0
        self._begun_at = context.clock.seconds()
        self._bar: Any = None
        self._loop = LoopingCall(self._show)
        self._loop.clock = context.clock

    def begin(self, total: int) -> None:
        self._total = total
        if not self._options.quiet:
            seconds = BAR_SECONDS if self._context.err.isatty() else LINE_SECONDS
            showing = self._loop.start(seconds, now=False)
            showing.addErrback(lambda _: None)  # a terminal that went away stops no load

    def add_good(self, size: int) -> None:
        self._good += 1
        self._size += size

    def add_bad(self, url: str, reason: str) -> None:
        self._bad += 1
        log_verbose(self._context, self._options, f"failed: {url}: {reason}")

    def end(self) -> None:
        if self._loop.running:
            self._loop.stop()
        if self._bar is not None:
            self._bar.close()
        if not self._options.quiet:
            seconds = self._context.clock.seconds() - self._begun_at
            text = f"{self._name}: {self._good:,} images good, {self._details()}, {seconds:.1f} s"
            self._context.log(text)

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
        seconds = self._context.clock.seconds() - self._begun_at
        rate = (self._good + self._bad) / seconds if seconds > 0 else 0.0
        return f"{self._bad:,} failed, {human_size(self._size)}, {rate:,.0f}/s"
