"""What the commands' options have in common."""

from __future__ import annotations

import argparse
from textwrap import dedent, indent
from typing import TypeAlias

from imgd.core import links
from imgd.core.messages import MAX_MINUTES
from imgd.errors import BadRequest

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class CommandOptions(argparse.Namespace):
    """What was typed."""

    command: str
    # where the server is
    server: str | None
    token: str | None
    ca: str | None
    state_dir: str | None
    deadline: float
    # load
    directories: list[str]
    resume: str | None
    output: str | None
    name: str | None
    timeout: int | None
    workers: int
    batch_size: int
    recursive: bool
    force_reload: bool
    unload_first: bool
    unload: bool
    verify: str
    public_url: str | None
    request_timeout: float
    signed: bool
    quiet: bool
    verbose: bool
    # link, and load --signed
    expires: int | None
    place: str | None
    prefix: bool
    revoke_all: bool
    # the others
    json: bool
    minutes: int
    browser: bool
    agent: str
    wait: float
    clear: bool


def add_command(
    commands: Commands, name: str, about: str, examples: str
) -> argparse.ArgumentParser:
    """A command, whose help is ``about`` (its first sentence in the list) and shows examples."""
    return commands.add_parser(
        name,
        help=about[0].lower() + about[1:].partition(".")[0],
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + indent(dedent(examples).strip(), "  "),
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """The options that say which server, and whom to trust."""
    group = parser.add_argument_group("which server, and whom to trust")
    group.add_argument(
        "--server", metavar="URL", help="default: IMGD_SERVER, else the imgd that runs here"
    )
    group.add_argument(
        "--token",
        help="for control from elsewhere, and to read where that is private "
        "(default: IMGD_TOKEN, else the state folder's)",
    )
    group.add_argument(
        "--ca",
        metavar="FILE",
        help="trust this CA (default: the local imgd's own, else the system's)",
    )
    group.add_argument(
        "--state-dir", metavar="DIR", help="where the local imgd keeps its certificates and token"
    )


def positive(text: str) -> int:
    """A count."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 10_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 10000, not {text!r}")
    return int(text)


def minutes(text: str) -> int:
    """Minutes of a timer."""
    if not text.isascii() or not text.isdigit() or int(text[:12]) > MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"minutes from 0 (never) to {MAX_MINUTES}, not {text!r}")
    return int(text)


def lifespan(text: str) -> int:
    """Seconds that a link lives."""
    try:
        return links.seconds(text)
    except BadRequest:
        raise argparse.ArgumentTypeError(
            f"a time such as 90s, 30m, 1h or 7d, ten years at most, not {text!r}"
        ) from None


def seconds(text: str) -> float:
    """Seconds of a deadline."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"a number of seconds, not {text!r}")
    return number
