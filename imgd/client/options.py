"""The options of ``imgd``: each with its default, its help, and how its text is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from imgd.core import links
from imgd.core.messages import MAX_MINUTES
from imgd.errors import BadRequest

AGENT: Final = "http://127.0.0.1:4040"  # ngrok's, if it runs here


def whole(text: str, least: int, most: int, what: str) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise argparse.ArgumentTypeError(f"{what} to {most}, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    return whole(text, 1, 10_000, "a whole number from 1")


def minutes(text: str) -> int:
    return whole(text, 0, MAX_MINUTES, "minutes from 0 (never)")


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


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {  # by metavar; other values are text
    **{"N": positive, "MIN": minutes, "MINUTES": minutes, "TIME": link_seconds, "SEC": seconds},
}


def _value(metavar: str, about: str, default: Any = None, **more: Any) -> Any:
    """An option with a value; with ``nargs`` it is an argument that has no ``--name``."""
    parser = _PARSERS.get(metavar, str)
    metadata = {"metavar": metavar, "help": about, "type": parser, **more}
    return field(default=default, metadata=metadata)


def _switch(about: str) -> Any:
    return field(default=False, metadata={"action": "store_true", "help": about})


@dataclass
class CliOptions:
    """What was typed. The fields' metadata are arguments of argparse's ``add_argument``."""

    command: str = ""
    # which server, and whom to trust
    server: str | None = _value("URL", "default: IMGD_SERVER, else the imgd that runs here")
    token: str | None = _value(
        "TOKEN",
        "for control from elsewhere, and for private reading "
        "(default: IMGD_TOKEN, else the state folder's)",
    )
    ca: str | None = _value("FILE", "trust this CA (default: the local imgd's, else the system's)")
    state_dir: str | None = _value(
        "DIR", "the local imgd's certificates and token (default: IMGD_STATE_DIR, also of .env)"
    )
    # load
    directories: Sequence[str] = _value("DIR", "a directory to load", (), nargs="*")
    name: str | None = _value("NAME", "of the collection, and of the manifest (NAME.json)")
    recursive: bool = _switch("folders below it, too")
    timeout: int | None = _value(
        "MIN", "minutes until it unloads itself, 0 for never (default: the server's)"
    )
    force_reload: bool = _switch("load again, and not only check, what is loaded already")
    unload_first: bool = _switch("unload what has the name before loading")
    unload: bool = _switch("unload it again when the manifest is written")
    verify: str = _value(
        "HOW",
        "head requests the headers of each URL, get every byte, none nothing (default: head)",
        "head",
        choices=("head", "get", "none"),
    )
    public_url: str | None = _value(
        "URL",
        "the server's public URL, if its list has other URLs than --server "
        "(default: IMGD_PUBLIC_URL, NGROK_URL or NGROK_DOMAIN, and what the imgd here says)",
    )
    workers: int = _value("N", "requests in flight (10), if enough files may be open", 10)
    batch_size: int = _value("N", "images a worker takes at a time (20)", 20)
    request_timeout: float = _value("SEC", "seconds that one request may take (30)", 30.0)
    deadline: float = _value("SEC", "seconds that everything may take (default: no limit)", 0.0)
    resume: str | None = _value("MANIFEST", "check only what this manifest does not hold yet")
    signed: bool = _switch("signed URLs, which need no token if reading is private")
    expires: int | None = _value(
        "TIME",
        "how long links are good: seconds, or such as 30m, 1h, 7d (default: 1h; with load until "
        "the collection unloads itself, 24h if it never does)",
    )
    output: str | None = _value(
        "PATH", "a .json file, or a folder for manifests (default: output/json/); - is stdout"
    )
    quiet: bool = _switch("no progress, only errors")
    verbose: bool = _switch("each failure and each retry as it happens")
    # link
    url_or_path: str | None = _value(
        "URL-or-PATH", "a URL of the server, or the path in it: /images/ct.nii.gz", nargs="?"
    )
    prefix: bool = _switch("for everything below a folder, and its list")
    revoke_all: bool = _switch("make every link worthless that was made so far")
    # the others
    json: bool = _switch("the server's own JSON")
    collection: str | None = _value("NAME", "a collection (default: current)", nargs="?")
    minutes: int = _value("MINUTES", "0 for never", 0, nargs=None)
    agent: str = _value("URL", f"the agent's local API (default: {AGENT})", AGENT)
    wait: float = _value("SEC", "seconds to wait for the tunnel (60)", 60.0)
    clear: bool = _switch("hand out local URLs again")
    no_browser: bool = _switch("only print what to open")
