"""What can be typed after ``imgd``, and the help that it gives."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from textwrap import dedent
from typing import Final

from imgd import __version__
from imgd.client.options_common import (
    CommandOptions,
    Commands,
    add_command,
    add_where,
    minutes,
    seconds,
)
from imgd.client.options_link import add_link, check_link
from imgd.client.options_load import add_load, check_load
from imgd.client.tunnel import AGENT


def parse(arguments: Sequence[str]) -> CommandOptions:
    """The options; exits with status 2 where they make no sense, and 0 after ``--help``."""
    parser = build()
    options = parser.parse_args(arguments, CommandOptions(deadline=0.0))
    if options.command == "load":
        check_load(parser, options)
    if options.command == "link":
        check_link(parser, options)
    return options


def build() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="imgd",
        description="Load directories of images into a running imgd, and see what it serves.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent(_ABOUT),
    )
    parser.add_argument("--version", action="version", version=f"imgd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (add_load, add_link, _status, _unload, _timeout, _tunnel, _demo):
        add(commands)
    return parser


_ABOUT: Final = """\
    examples:
      imgd demo                  see it work, with sample images
      imgd load /data/frames     load a directory, check every URL, write a manifest
      imgd link /images/a.nii    a link to one of them that needs no token
      imgd status                what is loaded, and until when
      imgd load --help           all that a load can be told

    The server is the imgd that runs on this machine, unless --server or IMGD_SERVER
    names another. Results go to stdout, progress and errors to stderr.
    Exit status: 0 all well, 1 something failed (which is listed), 2 wrong usage.
    """


def _status(commands: Commands) -> None:
    parser = add_command(
        commands,
        "status",
        "Show what is loaded, and until when.",
        """
        imgd status
        imgd status --json | jq .image_count
        """,
    )
    parser.add_argument("--json", action="store_true", help="the server's own JSON")
    add_where(parser)


def _unload(commands: Commands) -> None:
    parser = add_command(
        commands,
        "unload",
        "Unload a collection. Downloads that are under way finish.",
        """
        imgd unload          the current one, which is served below /images/
        imgd unload ct       the collection ct
        """,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="a collection (default: current)")
    add_where(parser)


def _timeout(commands: Commands) -> None:
    parser = add_command(
        commands,
        "timeout",
        "Set the minutes until collections unload themselves. Every running timer starts anew.",
        """
        imgd timeout 120
        imgd timeout 0       nothing unloads itself
        """,
    )
    parser.add_argument("minutes", type=minutes, metavar="MINUTES", help="0 for never")
    add_where(parser)


def _tunnel(commands: Commands) -> None:
    parser = add_command(
        commands,
        "tunnel",
        "Hand out the URLs of an ngrok tunnel. It is looked up with the agent that runs here.",
        """
        ngrok http https://localhost:8888     in another terminal
        imgd tunnel                           prints NGROK_URL=https://...
        eval "$(imgd tunnel)"                 sets NGROK_URL in this shell
        imgd tunnel --clear                   hand out local URLs again
        """,
    )
    parser.add_argument(
        "--agent", metavar="URL", default=AGENT, help=f"the agent's local API (default: {AGENT})"
    )
    parser.add_argument(
        "--wait",
        metavar="SEC",
        type=seconds,
        default=60.0,
        help="seconds to wait for the tunnel (60)",
    )
    parser.add_argument("--clear", action="store_true", help="hand out local URLs again")
    add_where(parser)


def _demo(commands: Commands) -> None:
    parser = add_command(
        commands,
        "demo",
        "See it work: sample frames and a volume in a daemon of their own. Ctrl-C removes all.",
        """
        imgd demo
        imgd demo --no-browser
        """,
    )
    parser.add_argument(
        "--no-browser", dest="browser", action="store_false", help="only print what to open"
    )
