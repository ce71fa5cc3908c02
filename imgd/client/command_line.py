"""The commands of ``imgd``, with the help and the options of each, and what makes no sense."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from textwrap import dedent, indent
from typing import Any, Final

from imgd import __version__
from imgd.client.load_targets import is_file
from imgd.client.options import CliOptions
from imgd.core.messages import COLLECTION_NAME

_ABOUT: Final = """\
    examples:
      imgd demo                  see it work, with sample images
      imgd load /data/frames     load a directory, check every URL, write a manifest
      imgd link /images/a.nii    a link to one of them that needs no token
      imgd load --help           all options of a load

    The server is the imgd that runs on this machine, unless --server or IMGD_SERVER
    names another. Results go to stdout, progress and errors to stderr.
    Exit status: 0 all well, 1 something failed (which is listed), 2 wrong usage.
    """
_SHORT: Final = {"quiet": "-q", "verbose": "-v"}


_SERVER: Final = {"which server, and whom to trust": ("server", "token", "ca", "state_dir")}

_LOADED: Final = ("name", "recursive", "timeout", "force_reload", "unload_first", "unload")
_CHECKED: Final = (
    *("verify", "public_url", "workers", "batch_size", "request_timeout", "deadline", "resume"),
)


@dataclass(frozen=True)
class Command:
    """A command, whose help is ``about``, its first sentence in the list of commands.

    ``options`` are the names of fields of CliOptions, by the title of their group in the help.
    """

    about: str
    examples: str
    options: Mapping[str, Sequence[str]]


_COMMANDS: Final = {
    "load": Command(
        "Load directories, check every URL, write manifests. The manifest's path is printed.",
        """
        imgd load frames                      one directory: it is served below /images/
        imgd load day1 day2 day3              several: collections day1, day2 and day3
        imgd load scans --recursive --name ct --timeout 120
        imgd load frames --output - | jq -r .image_urls[]
        imgd load ct --signed --expires 2h    URLs that read without a token
        imgd load --resume output/json/frames_20250131_120000.json
        """,
        {
            "": ("directories",),
            "what is loaded": _LOADED,
            "how it is checked": _CHECKED,
            "what comes out": ("signed", "expires", "output", "quiet", "verbose"),
            **_SERVER,
        },
    ),
    "link": Command(
        "Make a signed link. Who has it can read without a token, until it expires.",
        """
        imgd link /images/ct.nii.gz          for an hour
        imgd link https://localhost:8888/images/ct.nii.gz --expires 7d
        imgd link /images/ --prefix          for all below it: put a name behind the link
        imgd link --revoke-all               no link made before is good any more
        """,
        {"": ("url_or_path", "expires", "prefix", "revoke_all"), **_SERVER},
    ),
    "status": Command(
        "Show what is loaded, and until when.",
        "imgd status\nimgd status --json | jq .image_count",
        {"": ("json",), **_SERVER},
    ),
    "unload": Command(
        "Unload a collection. Downloads that are under way finish.",
        "imgd unload          the current one, which is served below /images/\nimgd unload ct",
        {"": ("collection",), **_SERVER},
    ),
    "timeout": Command(
        "Set the minutes until collections unload themselves. Every running timer starts anew.",
        "imgd timeout 120\nimgd timeout 0       nothing unloads itself",
        {"": ("minutes",), **_SERVER},
    ),
    "tunnel": Command(
        "Hand out the URLs of an ngrok tunnel. It is looked up with the agent that runs here.",
        """
        ngrok http https://localhost:8888     in another terminal
        imgd tunnel                           prints NGROK_URL=https://...
        eval "$(imgd tunnel)"                 sets NGROK_URL in this shell
        imgd tunnel --clear                   hand out local URLs again
        """,
        {"": ("agent", "wait", "clear"), **_SERVER},
    ),
    "demo": Command(
        "See it work: sample frames and a volume in a daemon of their own. Ctrl-C removes all.",
        "imgd demo\nimgd demo --no-browser",
        {"": ("no_browser",)},
    ),
}


def parse(arguments: Sequence[str]) -> CliOptions:
    """The options; exits with status 2 if they make no sense, and 0 after ``--help``."""
    parser = build()
    options = parser.parse_args(arguments, CliOptions())
    if problem := _problem(options):
        parser.error(problem)
    return options


def build() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imgd",
        description="Load directories of images into a running imgd, and see what it serves.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent(_ABOUT),
    )
    parser.add_argument("--version", action="version", version=f"imgd {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=command.about[0].lower() + command.about[1:].partition(".")[0],
            description=command.about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog="examples:\n" + indent(dedent(command.examples).strip(), "  "),
        )
        for title, names in command.options.items():
            group = subparser.add_argument_group(title) if title else subparser
            for option in fields(CliOptions):
                if option.name in names:
                    group.add_argument(*_flags(option), default=option.default, **option.metadata)
    return parser


def _flags(option: Field[Any]) -> list[str]:
    if "nargs" in option.metadata:
        return [option.name]
    flag = "--" + option.name.replace("_", "-")
    return [flag, _SHORT[option.name]] if option.name in _SHORT else [flag]


def _problem(options: CliOptions) -> str | None:
    """What makes no sense in the options, if anything."""
    if options.command == "link":
        if options.revoke_all and (options.url_or_path or options.expires or options.prefix):
            return "--revoke-all is about every link: give it alone"
        if not options.revoke_all and not options.url_or_path:
            return "name a URL or a path: imgd link /images/ct.nii.gz"
    return _problem_of_load(options) if options.command == "load" else None


def _problem_of_load(options: CliOptions) -> str | None:
    has_many = len(options.directories) > 1
    if options.quiet and options.verbose:
        return "--verbose is not allowed with --quiet"
    if options.resume is not None and (options.directories or options.name):
        return "--resume goes on with the manifest's directory: give no DIR and no --name"
    if options.resume is None and not options.directories:
        return "name a directory: imgd load DIR"
    if options.expires is not None and not options.signed:
        return "--expires is about signed URLs: it goes with --signed"
    if options.name is not None and has_many:
        return "--name goes with one directory: several are named after themselves"
    if options.name is not None and not COLLECTION_NAME.fullmatch(options.name):
        return "--name takes 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with a dot"
    if has_many and options.output and is_file(options.output):
        return "--output names a file, but there are several directories"
    return None
