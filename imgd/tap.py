"""``twistd imgd``: its options, and the service they make."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from twisted.application.service import IService
from twisted.python import usage

from imgd import __version__
from imgd.errors import StartError
from imgd.host.start_failures import (
    BackgroundStart,
    one_line_excepthook,
    problems_of_twistd,
)
from imgd.settings import Check, Settings, SettingsError, load
from imgd.settings.spec import SettingSpec
from imgd.settings.table import TABLE

EXAMPLES: Final = """
Examples:
  twistd -n imgd                          serve ./output at https://localhost:8888/
  twistd -n imgd -d /data/volumes --host 0.0.0.0 --timeout 0
  twistd --pidfile imgd.pid --logfile imgd.log imgd --access-log access.log
"""


def _help(setting: SettingSpec) -> str:
    variables = ", ".join(variable.describe() for variable in setting.variables)
    repeated = " May be repeated." if setting.many else ""
    environment = f" [environment: {variables}]" if variables else ""
    return f"{setting.help}{repeated} [default: {setting.default_text}]{environment}"


def _rows(*, flags: bool) -> Iterator[list[Any]]:
    """Rows as usage.Options takes them, aliases too, of settings that are given once."""
    for setting in TABLE:
        if setting.many or bool(setting.flag) != flags:
            continue
        for option in setting.options:
            is_name = option == setting.options[0]
            text = _help(setting) if is_name else f"The same as --{setting.options[0]}."
            default = () if flags else (None,)
            yield [option, (is_name and setting.short) or None, *default, text]


class Options(usage.Options):
    """The options of ``twistd imgd``, from the table of settings: texts as they were given."""

    optFlags = list(_rows(flags=True))
    optParameters = list(_rows(flags=False))
    longdesc = (
        "Settings are taken from options, then the environment, then .env in the working folder "
        "or the nearest above it. "
        "All problems in them are reported together."
    )

    def getSynopsis(self) -> str:
        """How the command is written."""
        return "Usage: twistd [twistd options] imgd [options]"

    def getUsage(self, width: int | None = None) -> str:
        """The options, and examples; after a mistake, which twistd tells below them, neither."""
        if self._is_mistaken:
            return "The options of imgd are shown by: twistd imgd --help\n"
        return super().getUsage(width) + EXAMPLES

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """As usage.Options does; UsageError."""
        try:
            super().parseOptions(options)
        except usage.UsageError:
            self._is_mistaken = True
            raise

    _is_mistaken = False

    opt_h = usage.Options.opt_help

    def opt_version(self) -> NoReturn:
        """Show imgd's version and exit."""
        sys.stdout.write(f"imgd {__version__}\n")
        raise SystemExit(0)


def _repeatable(option: str, text: str) -> Callable[[Options, str], None]:
    def keep(self: Options, value: str) -> None:
        self.setdefault(option, []).append(value)

    keep.__doc__ = text
    return keep


for _setting in TABLE:
    if _setting.many:
        for _option in _setting.options:
            _method = f"opt_{_option.replace('-', '_')}"
            setattr(Options, _method, _repeatable(_option, _help(_setting)))


def _leave_out_of_collections() -> None:
    """Have the garbage collector look at nothing that is there now, such as modules, again: each
    time that takes 40 ms, in which nobody is answered.
    """
    gc.collect()
    gc.freeze()


def makeService(options: Options) -> IService:
    """The daemon with these options, the environment and ``.env``.

    Problems in the settings are written to stderr, a line each, and end the process with status 1.
    """
    background = _handle_failures(options)
    settings = _settings(options)
    from twisted.internet import reactor

    from imgd import service

    if background is not None:
        reactor.callWhenRunning(background.close)
    reactor.callWhenRunning(_leave_out_of_collections)
    return service.make(settings, reactor)


def _handle_failures(options: Options) -> BackgroundStart | None:
    """Have a start that fails told in one line, on the terminal as well if that is not the log."""
    twistd: Mapping[str, Any] = options.parent or {}
    if not twistd.get("nodaemon", True):
        background = BackgroundStart()
        sys.excepthook = one_line_excepthook(sys.excepthook, background.tell)
        return background
    terminal = sys.stderr if twistd.get("logfile") not in (None, "-") else None
    tell = (lambda _line: None) if terminal is None else terminal.write
    sys.excepthook = one_line_excepthook(sys.excepthook, tell)
    return None


def _settings(options: Options) -> Settings:
    twistd: Mapping[str, Any] | None = options.parent
    checks: list[Check] = [certificate_problems]
    if twistd is not None:
        checks.append(lambda _settings: problems_of_twistd(twistd))
    try:
        return load(options, os.environ, _working_folder(), checks)
    except SettingsError as error:
        count = len(error.problems)
        lines = [f"imgd: {count} problem{'s' if count > 1 else ''} in the settings:"]
        lines += [f"  {problem}" for problem in error.problems]
        sys.stderr.write("\n".join(lines) + "\n")
        raise SystemExit(1) from None


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise SettingsError([f"the working folder cannot be used: {error.strerror}"]) from None


def certificate_problems(settings: Settings) -> Iterator[str]:
    """Why the user's own certificate and key cannot serve."""
    from imgd.net.tls import build_context

    if settings.tls and settings.cert and settings.key:
        try:
            build_context([(settings.cert, settings.key)])
        except StartError as error:
            yield f"--cert, --key: {error.detail}"
