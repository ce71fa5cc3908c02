"""The options of ``imgd load``."""

from __future__ import annotations

import argparse

from imgd.client.jobs import is_file
from imgd.client.options_common import (
    CommandOptions,
    Commands,
    add_command,
    add_where,
    lifespan,
    minutes,
    positive,
    seconds,
)
from imgd.core.messages import COLLECTION_NAME


def add_load(commands: Commands) -> None:
    """``imgd load``."""
    parser = add_command(
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
    )
    parser.add_argument("directories", nargs="*", metavar="DIR", help="a directory to load")
    _load_what(parser.add_argument_group("what is loaded"))
    _load_how(parser.add_argument_group("how it is checked"))
    _load_output(parser.add_argument_group("what comes out"))
    add_where(parser)


def _load_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--name", help="the collection's name, and the manifest's file name without .json"
    )
    group.add_argument("--recursive", action="store_true", help="folders below it, too")
    group.add_argument(
        "--timeout",
        metavar="MIN",
        type=minutes,
        help="minutes until it unloads itself, 0 for never (default: the server's)",
    )
    group.add_argument(
        "--force-reload",
        action="store_true",
        help="load again what is loaded already (without it, that is only checked)",
    )
    group.add_argument(
        "--unload-first", action="store_true", help="unload what has the name before loading"
    )
    group.add_argument(
        "--unload", action="store_true", help="unload it again when the manifest is written"
    )


def _load_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--verify",
        choices=("head", "get", "none"),
        default="head",
        help="what is asked of each URL: its headers, every byte, or nothing (default: head)",
    )
    group.add_argument(
        "--public-url",
        metavar="URL",
        help="the server's public URL, where its list has other URLs than --server "
        "(default: IMGD_PUBLIC_URL, NGROK_URL or NGROK_DOMAIN, and what the imgd here says)",
    )
    group.add_argument(
        "--workers", metavar="N", type=positive, default=10, help="requests in flight (10)"
    )
    group.add_argument(
        "--batch-size",
        metavar="N",
        type=positive,
        default=20,
        help="images a worker takes at a time (20)",
    )
    group.add_argument(
        "--request-timeout",
        metavar="SEC",
        type=seconds,
        default=30.0,
        help="seconds that one request may take (30)",
    )
    group.add_argument(
        "--deadline",
        metavar="SEC",
        type=seconds,
        default=0.0,
        help="seconds that everything may take (default: no limit)",
    )
    group.add_argument(
        "--resume", metavar="MANIFEST", help="check only what this manifest does not hold yet"
    )


def _load_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--signed",
        action="store_true",
        help="signed URLs in the manifest, which need no token where reading is private",
    )
    group.add_argument(
        "--expires",
        metavar="TIME",
        type=lifespan,
        help="how long they are good: seconds, or such as 30m, 1h, 7d "
        "(default: until the collection unloads itself; 24h if it never does)",
    )
    group.add_argument(
        "--output",
        metavar="PATH",
        help="a .json file, or a folder for manifests (default: output/json/); - is stdout",
    )
    how_loud = group.add_mutually_exclusive_group()
    how_loud.add_argument("--quiet", "-q", action="store_true", help="no progress, only errors")
    how_loud.add_argument(
        "--verbose", "-v", action="store_true", help="each failure and each retry as it happens"
    )


def check_load(parser: argparse.ArgumentParser, options: CommandOptions) -> None:
    """Exit with status 2 where the options of a load make no sense together."""
    if options.resume is not None and (options.directories or options.name):
        parser.error("--resume goes on with the manifest's directory: give no DIR and no --name")
    if options.resume is None and not options.directories:
        parser.error("name a directory: imgd load DIR")
    if options.expires is not None and not options.signed:
        parser.error("--expires is about signed URLs: it goes with --signed")
    if options.name is not None and len(options.directories) > 1:
        parser.error("--name goes with one directory: several are named after themselves")
    if options.name is not None and not COLLECTION_NAME.fullmatch(options.name):
        parser.error("--name takes 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with a dot")
    if len(options.directories) > 1 and options.output and is_file(options.output):
        parser.error("--output names a file, but there are several directories")
