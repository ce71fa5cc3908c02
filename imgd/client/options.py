"""The options of ``imgd``, and how they are read and described to argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from imgd.core import links
from imgd.core.messages import MAX_MINUTES
from imgd.errors import BadRequest

AGENT: Final = "http://127.0.0.1:4040"  # ngrok's, if it runs here


class CliOptions(argparse.Namespace):
    """What was typed, with the default of each option."""

    command: str
    server: str | None = None
    token: str | None = None
    ca: str | None = None
    state_dir: str | None = None
    deadline: float = 0.0
    # load
    directories: Sequence[str] = ()
    resume: str | None = None
    output: str | None = None
    name: str | None = None
    timeout: int | None = None
    workers: int = 10
    batch_size: int = 20
    recursive: bool = False
    force_reload: bool = False
    unload_first: bool = False
    unload: bool = False
    verify: str = "head"
    public_url: str | None = None
    request_timeout: float = 30.0
    signed: bool = False
    quiet: bool = False
    verbose: bool = False
    # link, and load --signed
    expires: int | None = None
    url_or_path: str | None = None
    prefix: bool = False
    revoke_all: bool = False
    # the others
    json: bool = False
    minutes: int
    no_browser: bool = False
    agent: str = AGENT
    wait: float = 60.0
    clear: bool = False


def positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 10_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 10000, not {text!r}")
    return int(text)


def minutes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:12]) > MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"minutes from 0 (never) to {MAX_MINUTES}, not {text!r}")
    return int(text)


def link_seconds(text: str) -> int:
    try:
        return links.seconds(text)
    except BadRequest:
        raise argparse.ArgumentTypeError(
            f"a time such as 90s, 30m, 1h or 7d, ten years at most, not {text!r}"
        ) from None


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"a number of seconds, not {text!r}")
    return number


# How a value is read, by its metavar; others are text.
_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "N": positive,
    "MIN": minutes,
    "TIME": link_seconds,
    "SEC": seconds,
}


def add_options(group: argparse._ActionsContainer, helps: Mapping[str, str]) -> None:
    """Options by their help, named as in ``--server URL``, or ``--quiet -q`` for a switch."""
    for names, about in helps.items():
        option, *others = names.split()
        metavar = others[0] if others and others[0].isupper() else ""
        if not metavar:
            group.add_argument(option, *others, action="store_true", help=about)
            continue
        default = getattr(CliOptions, option[2:].replace("-", "_"))
        parser = _PARSERS.get(metavar, str)
        group.add_argument(option, metavar=metavar, type=parser, default=default, help=about)
