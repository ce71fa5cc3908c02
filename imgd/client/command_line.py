"""The commands of ``imgd``, with the help that each gives, and what makes no sense in them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from textwrap import dedent, indent
from typing import Final, TypeAlias

from imgd import __version__
from imgd.client.load_targets import is_file
from imgd.client.options import AGENT, CliOptions, add_options, minutes
from imgd.core.messages import COLLECTION_NAME

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_ABOUT: Final = """\
    examples:
      imgd demo                  see it work, with sample images
      imgd load /data/frames     load a directory, check every URL, write a manifest
      imgd link /images/a.nii    a link to one of them that needs no token
      imgd status                what is loaded, and until when
      imgd load --help           all options of a load

    The server is the imgd that runs on this machine, unless --server or IMGD_SERVER
    names another. Results go to stdout, progress and errors to stderr.
    Exit status: 0 all well, 1 something failed (which is listed), 2 wrong usage.
    """
_SERVER: Final = {
    "--server URL": "default: IMGD_SERVER, else the imgd that runs here",
    "--token TOKEN": "for control from elsewhere, and to read if that is private "
    "(default: IMGD_TOKEN, else the state folder's)",
    "--ca FILE": "trust this CA (default: the local imgd's own, else the system's)",
    "--state-dir DIR": "where the local imgd keeps its certificates and token "
    "(default: IMGD_STATE_DIR, which may stand in .env)",
}
_LOADED: Final = {
    "--name NAME": "the collection's name, and the manifest's file name without .json",
    "--recursive": "folders below it, too",
    "--timeout MIN": "minutes until it unloads itself, 0 for never (default: the server's)",
    "--force-reload": "load again what is loaded already (without it, that is only checked)",
    "--unload-first": "unload what has the name before loading",
    "--unload": "unload it again when the manifest is written",
}
_CHECKED: Final = {
    "--public-url URL": "the server's public URL, if its list has other URLs than --server "
    "(default: IMGD_PUBLIC_URL, NGROK_URL or NGROK_DOMAIN, and what the imgd here says)",
    "--workers N": "requests in flight (10), as far as the limit of open files allows",
    "--batch-size N": "images a worker takes at a time (20)",
    "--request-timeout SEC": "seconds that one request may take (30)",
    "--deadline SEC": "seconds that everything may take (default: no limit)",
    "--resume MANIFEST": "check only what this manifest does not hold yet",
}
_WRITTEN: Final = {
    "--signed": "signed URLs in the manifest, which need no token if reading is private",
    "--expires TIME": "how long they are good: seconds, or such as 30m, 1h, 7d "
    "(default: until the collection unloads itself; 24h if it never does)",
    "--output PATH": "a .json file, or a folder for manifests (default: output/json/); - is stdout",
}
_LINK: Final = {
    "--expires TIME": "how long it is good: seconds, or such as 30m, 1h, 7d (default: 1h)",
    "--prefix": "for everything below a folder, and its list",
    "--revoke-all": "make every link worthless that was made so far",
}
_TUNNEL: Final = {
    "--agent URL": f"the agent's local API (default: {AGENT})",
    "--wait SEC": "seconds to wait for the tunnel (60)",
    "--clear": "hand out local URLs again",
}


def parse(arguments: Sequence[str]) -> CliOptions:
    """The options; exits with status 2 if they make no sense, and 0 after ``--help``."""
    parser = build()
    options = parser.parse_args(arguments, CliOptions())
    if options.command == "load":
        _check_load(parser, options)
    if options.command == "link":
        _check_link(parser, options)
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
    for add in (_load, _link, _status, _unload, _timeout, _tunnel):
        group = add(commands).add_argument_group("which server, and whom to trust")
        add_options(group, _SERVER)
    _demo(commands)
    return parser


def _add(
    commands: Commands, name: str, about: str, examples: str, helps: Mapping[str, str]
) -> argparse.ArgumentParser:
    """A command, whose help is ``about`` (its first sentence in the list) and shows examples."""
    parser = commands.add_parser(
        name,
        help=about[0].lower() + about[1:].partition(".")[0],
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + indent(dedent(examples).strip(), "  "),
    )
    add_options(parser, helps)
    return parser


def _load(commands: Commands) -> argparse.ArgumentParser:
    parser = _add(
        commands,
        "load",
        "Load directories, check every URL, write manifests. The manifest's path is printed.",
        """
        imgd load frames                      one directory: it is served below /images/
        imgd load day1 day2 day3              several: collections day1, day2 and day3
        imgd load scans --recursive --name ct --timeout 120
        imgd load frames --output - | jq -r .image_urls[]
        imgd load ct --signed --expires 2h    URLs that read without a token
        imgd load --resume output/json/frames_20250131_120000.json
        """,
        {},
    )
    parser.add_argument("directories", nargs="*", metavar="DIR", help="a directory to load")
    add_options(parser.add_argument_group("what is loaded"), _LOADED)
    checked = parser.add_argument_group("how it is checked")
    about = "what is asked of each URL: its headers, every byte, or nothing (default: head)"
    checked.add_argument(
        "--verify", choices=("head", "get", "none"), default=CliOptions.verify, help=about
    )
    add_options(checked, _CHECKED)
    written = parser.add_argument_group("what comes out")
    add_options(written, _WRITTEN)
    verbosity = {"--quiet -q": "no progress, only errors"}
    verbosity["--verbose -v"] = "each failure and each retry as it happens"
    add_options(written.add_mutually_exclusive_group(), verbosity)
    return parser


def _check_load(parser: argparse.ArgumentParser, options: CliOptions) -> None:
    has_many = len(options.directories) > 1
    if options.resume is not None and (options.directories or options.name):
        parser.error("--resume goes on with the manifest's directory: give no DIR and no --name")
    if options.resume is None and not options.directories:
        parser.error("name a directory: imgd load DIR")
    if options.expires is not None and not options.signed:
        parser.error("--expires is about signed URLs: it goes with --signed")
    if options.name is not None and has_many:
        parser.error("--name goes with one directory: several are named after themselves")
    if options.name is not None and not COLLECTION_NAME.fullmatch(options.name):
        parser.error("--name takes 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with a dot")
    if has_many and options.output and is_file(options.output):
        parser.error("--output names a file, but there are several directories")


def _link(commands: Commands) -> argparse.ArgumentParser:
    parser = _add(
        commands,
        "link",
        "Make a signed link. Who has it can read without a token, until it expires.",
        """
        imgd link /images/ct.nii.gz          for an hour
        imgd link https://localhost:8888/images/ct.nii.gz --expires 7d
        imgd link /images/ --prefix          for all below it: put a name behind the link
        imgd link --revoke-all               no link made before is good any more
        """,
        _LINK,
    )
    about = "a URL that the server handed out, or the path in it, as /images/ct.nii.gz"
    parser.add_argument("url_or_path", nargs="?", metavar="URL-or-PATH", help=about)
    return parser


def _check_link(parser: argparse.ArgumentParser, options: CliOptions) -> None:
    if options.revoke_all and (options.url_or_path or options.expires or options.prefix):
        parser.error("--revoke-all is about every link: give it alone")
    if not options.revoke_all and not options.url_or_path:
        parser.error("name a URL or a path: imgd link /images/ct.nii.gz")


def _status(commands: Commands) -> argparse.ArgumentParser:
    examples = """
        imgd status
        imgd status --json | jq .image_count
        """
    helps = {"--json": "the server's own JSON"}
    return _add(commands, "status", "Show what is loaded, and until when.", examples, helps)


def _unload(commands: Commands) -> argparse.ArgumentParser:
    examples = """
        imgd unload          the current one, which is served below /images/
        imgd unload ct       the collection ct
        """
    about = "Unload a collection. Downloads that are under way finish."
    parser = _add(commands, "unload", about, examples, {})
    parser.add_argument("name", nargs="?", metavar="NAME", help="a collection (default: current)")
    return parser


def _timeout(commands: Commands) -> argparse.ArgumentParser:
    examples = """
        imgd timeout 120
        imgd timeout 0       nothing unloads itself
        """
    about = "Set the minutes until collections unload themselves. Every running timer starts anew."
    parser = _add(commands, "timeout", about, examples, {})
    parser.add_argument("minutes", type=minutes, metavar="MINUTES", help="0 for never")
    return parser


def _tunnel(commands: Commands) -> argparse.ArgumentParser:
    examples = """
        ngrok http https://localhost:8888     in another terminal
        imgd tunnel                           prints NGROK_URL=https://...
        eval "$(imgd tunnel)"                 sets NGROK_URL in this shell
        imgd tunnel --clear                   hand out local URLs again
        """
    about = "Hand out the URLs of an ngrok tunnel. It is looked up with the agent that runs here."
    return _add(commands, "tunnel", about, examples, _TUNNEL)


def _demo(commands: Commands) -> None:
    examples = """
        imgd demo
        imgd demo --no-browser
        """
    about = "See it work: sample frames and a volume in a daemon of their own. Ctrl-C removes all."
    _add(commands, "demo", about, examples, {"--no-browser": "only print what to open"})
