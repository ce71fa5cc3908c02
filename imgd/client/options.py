"""The commands and options of ``imgd``: their help, defaults, and how text is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from textwrap import dedent, indent
from typing import Any, Final, get_args

from imgd import __version__
from imgd.client.load_targets import is_file
from imgd.client.manifest import Verify
from imgd.client.trust_recipes import CLIENTS, STORES
from imgd.core import links
from imgd.core.messages import COLLECTION_NAME, MAX_MINUTES
from imgd.errors import BadRequest


def _whole(what: str, least: int, most: int, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise argparse.ArgumentTypeError(f"{what} to {most}, not {text!r}")
    return int(text)


def _link_seconds(text: str) -> int:
    try:
        return links.seconds(text)
    except BadRequest:
        problem = f"a time such as 90s, 30m, 1h or 7d, ten years at most, not {text!r}"
        raise argparse.ArgumentTypeError(problem) from None


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"a number of seconds, not {text!r}")
    return number


_minutes = partial(_whole, "minutes from 0 (never)", 0, MAX_MINUTES)
# How a value is read, by its metavar; others are text.
_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "N": partial(_whole, "a whole number from 1", 1, 10_000),
    **{"MIN": _minutes, "MINUTES": _minutes, "TIME": _link_seconds, "SEC": _seconds},
}


def _value(metavar: str, about: str, default: Any = None, **more: Any) -> Any:
    """An option with a value; with ``nargs`` it is an argument that has no ``--name``."""
    more |= {"metavar": metavar, "help": about, "type": _PARSERS.get(metavar, str)}
    return field(default=default, metadata=more)


def _switch(about: str) -> Any:
    return field(default=False, metadata={"action": "store_true", "help": about})


_AGENT: Final = "http://127.0.0.1:4040"
_VERIFY: Final = (
    "head requests headers of each URL, get every byte, none nothing (default: head, or as before)"
)
_PUBLIC_URL: Final = "of the server (default: IMGD_PUBLIC_URL, NGROK_URL, NGROK_DOMAIN, its own)"
_BASE_URL: Final = "write URLs on this one, and check them on the server (default: --server)"
_CLIENT: Final = f"{', '.join(CLIENTS)} (default: docker)"
_EXPIRES: Final = (
    "how long links are good: 90s, 30m, 7d (default: 1h; with load until its unload, or 24h)"
)


@dataclass
class CliOptions:
    """What was typed; the fields' metadata are arguments of argparse's ``add_argument``."""

    command: str = ""
    # which server, and whom to trust
    server: str | None = _value("URL", "default: IMGD_SERVER, else the imgd that runs here")
    token: str | None = _value("TOKEN", "default: IMGD_TOKEN, else the local imgd's")
    ca: str | None = _value("FILE", "trust this CA (default: the local imgd's, else the system's)")
    state_dir: str | None = _value("DIR", "the local imgd's (default: IMGD_STATE_DIR, or .env's)")
    # load
    directories: Sequence[str] = _value("DIR", "a directory to load", (), nargs="*")
    dir: Sequence[str] | None = _value("DIR", "the same; may be repeated", action="append")
    name: str | None = _value("NAME", "of the collection, and of the manifest (NAME.json)")
    recursive: bool = _switch("folders below it, too")
    all_files: bool = _switch("every file, and not only images and what belongs to them")
    dicom: bool = _switch("index its DICOM, wait until that is done, and say what was found")
    timeout: int | None = _value("MIN", "until it unloads itself; 0: never (default: the server's)")
    force_reload: bool = _switch("load again, and not only check, what is loaded already")
    unload_first: bool = _switch("unload what has the name before loading")
    unload: bool = _switch("unload it again when the manifest is written")
    verify: str = _value("HOW", _VERIFY, "head", choices=get_args(Verify))
    public_url: str | None = _value("URL", _PUBLIC_URL)
    base_url: str | None = _value("URL", _BASE_URL)
    workers: int = _value("N", "requests in flight (10), if enough files may be open", 10)
    batch_size: int = _value("N", "images a worker takes at a time (20)", 20)
    request_timeout: float = _value("SEC", "seconds that one request may take (30)", 30.0)
    deadline: float = _value("SEC", "seconds that everything may take (default: no limit)", 0.0)
    resume: str | None = _value("MANIFEST", "check only what this manifest does not hold yet")
    signed: bool = _switch("signed URLs, which need no token if reading is private")
    expires: int | None = _value("TIME", _EXPIRES)
    output: str | None = _value("PATH", "a .json file, or a folder (output/json/); - is stdout")
    quiet: bool = _switch("no progress, only errors")
    verbose: bool = _switch("each failure and each retry as it happens")
    # link
    url_or_path: str | None = _value("URL-or-PATH", "such as /images/ct.nii.gz", nargs="?")
    prefix: bool = _switch("for everything below a folder, and its list")
    revoke_all: bool = _switch("make every link worthless that was made so far")
    # the others
    json: bool = _switch("the server's own JSON")
    collection: str | None = _value("NAME", "a collection (default: current)", nargs="?")
    minutes: int = _value("MINUTES", "0 for never", 0, nargs=None)
    agent: str = _value("URL", f"the agent's local API (default: {_AGENT})", _AGENT)
    start: bool = _switch("start an agent that is installed, and stop it on Ctrl-C")
    wait: float = _value("SEC", "seconds to wait for the tunnel (60)", 60.0)
    clear: bool = _switch("hand out local URLs again")
    no_browser: bool = _switch("only print what to open")
    # trust
    client: str | None = _value("CLIENT", _CLIENT, choices=CLIENTS)
    install: bool = _switch("put the CA into the system's store, Chromium's or Firefox's, if asked")
    uninstall: bool = _switch("take it out again")


_ABOUT: Final = """\
    examples:
      imgd demo                  see it work, with sample images
      imgd load /data/frames     load a directory, check every URL, write a manifest
      imgd link /images/a.nii    a link to one of them that needs no token

    The server is the imgd that runs on this machine, unless --server or IMGD_SERVER
    names another. Results go to stdout, progress and errors to stderr.
    Exit status: 0 all well, 1 something failed (which is listed), 2 wrong usage.
    """

_FLAGS: Final = {"client": ["--for"]}  # other than the field's name
_BUNDLE: Final = "where the bundle goes (default: ca-bundle.pem in the state folder)"
# What a command says of an option that others have too.
_HELP: Final = {
    ("trust", "url_or_path"): {"help": "a file that imgd serves, whose URL is printed too"},
    ("trust", "output"): {"metavar": "FILE", "help": _BUNDLE},
    ("trust", "ca"): {"help": "this CA (default: the local imgd's)"},
}
_SHORT: Final = {"quiet": ["-q"], "verbose": ["-v"]}
_CHECKED: Final = "verify public_url workers batch_size request_timeout deadline resume"
_WHICH: Final = "which CA"
_SERVER: Final = {"which server, and whom to trust": "server token ca state_dir"}

# Each command's description, whose first sentence is in the list of commands; its examples; and
# fields of CliOptions, by the title that they have in the help.
_COMMANDS: Final[Mapping[str, tuple[str, str, Mapping[str, str]]]] = {
    "load": (
        "Load directories, check every URL, write manifests. The manifest's path is printed.",
        """
        imgd load frames                      one directory: it is served below /images/
        imgd load day1 day2 day3              several: collections day1, day2 and day3
        imgd load ct --signed --expires 2h    URLs that read without a token
        imgd load export --recursive --dicom  a folder of DICOM: its studies and series
        imgd load ct --base-url https://box.example:8888    for whoever calls it that
        imgd load --resume output/json/frames_20250131_120000.json
        """,
        {
            "": "directories",
            "what is loaded": (
                "dir name recursive all_files dicom timeout force_reload unload_first unload"
            ),
            "how it is checked": _CHECKED,
            "what comes out": "base_url signed expires output quiet verbose",
            **_SERVER,
        },
    ),
    "link": (
        "Make a signed link. Who has it can read without a token, until it expires.",
        """
        imgd link /images/ct.nii.gz          for an hour
        imgd link /images/ --prefix          for all below it: put a name behind the link
        """,
        {"": "url_or_path expires prefix revoke_all base_url", **_SERVER},
    ),
    "status": (
        "Show what is loaded, and until when.",
        "imgd status\nimgd status --json | jq .image_count",
        {"": "json", **_SERVER},
    ),
    "unload": (
        "Unload a collection. Downloads that are under way finish.",
        "imgd unload          the current one, which is served below /images/\nimgd unload ct",
        {"": "collection", **_SERVER},
    ),
    "timeout": (
        "Set the minutes until collections unload themselves. Every running timer starts anew.",
        "imgd timeout 120\nimgd timeout 0       nothing unloads itself",
        {"": "minutes", **_SERVER},
    ),
    "tunnel": (
        "Hand out the URLs of an ngrok tunnel. It is looked up with the agent that runs here.",
        """
        imgd tunnel --start                   runs ngrok http https://localhost:8888
        imgd tunnel                           uses the agent that runs in another terminal
        eval "$(imgd tunnel)"                 sets NGROK_URL and NGROK_WEB_INTERFACE
        """,
        {"": "start agent wait clear", **_SERVER},
    ),
    "trust": (
        "Say what to type so that a client trusts this imgd. Writes the bundle that it needs.",
        """
        docker run $(imgd trust) IMAGE        a container that fetches from imgd
        imgd trust scan.nii.gz --for docker   the same, and the container's URL of a file
        imgd trust --for node
        imgd trust --install --for chromium   asks before it changes anything
        """,
        {"": "url_or_path client output", "stores": "install uninstall", _WHICH: "ca state_dir"},
    ),
    "demo": (
        "See it work: sample frames and a volume in a daemon of their own. Ctrl-C removes all.",
        "imgd demo\nimgd demo --no-browser",
        {"": "no_browser"},
    ),
}


def parse(arguments: Sequence[str]) -> CliOptions:
    """The options; exits with status 2 if they make no sense, and 0 after ``--help``. ``verify`` is
    "" if a load is resumed that is to be checked as before.
    """
    parser = build()
    options = parser.parse_args(arguments, CliOptions())
    options.verify = options.verify or ("" if options.resume else "head")
    options.directories = [*options.directories, *(options.dir or ())]
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
    for name, (about, examples, groups) in _COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=about[0].lower() + about[1:].partition(".")[0],
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog="examples:\n" + indent(dedent(examples).strip(), "  "),
        )
        for title, members in groups.items():
            group = subparser.add_argument_group(title) if title else subparser
            for option in fields(CliOptions):
                if option.name in members.split():
                    flags = [f"--{option.name.replace('_', '-')}", *_SHORT.get(option.name, [])]
                    flags = _FLAGS.get(option.name, flags)
                    more = {**option.metadata, **_HELP.get((name, option.name), {})}
                    if "nargs" in more:
                        flags = [option.name]
                    else:
                        more["dest"] = option.name
                    group.add_argument(*flags, default=option.default, **more)
        subparser.set_defaults(verify=None)  # so that it is known whether it was given
    return parser


def _problem(options: CliOptions) -> str | None:
    if options.revoke_all and (options.url_or_path or options.expires or options.prefix):
        return "--revoke-all is about every link: give it alone"
    if options.command == "link" and not options.revoke_all and not options.url_or_path:
        return "name a URL or a path: imgd link /images/ct.nii.gz"
    if options.start and options.clear:
        return "--start opens a tunnel, and --clear is for when there is none: give one of them"
    if options.command == "trust":
        return _problem_of_trust(options)
    return _problem_of_load(options) if options.command == "load" else None


def _problem_of_trust(options: CliOptions) -> str | None:
    is_change = options.install or options.uninstall
    if options.install and options.uninstall:
        return "--uninstall is not allowed with --install"
    if is_change and options.client not in (None, *STORES):
        return f"--install and --uninstall go with --for {', '.join(STORES)}"
    return None


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
