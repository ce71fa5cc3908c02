"""The options of ``imgd link``."""

from __future__ import annotations

import argparse

from imgd.client.options_common import CommandOptions, Commands, add_command, add_where, lifespan


def add_link(commands: Commands) -> None:
    """``imgd link``."""
    parser = add_command(
        commands,
        "link",
        "Make a signed link. Who has it can read without a token, until it expires.",
        """
        imgd link /images/ct.nii.gz          for an hour
        imgd link https://localhost:8888/images/ct.nii.gz --expires 7d
        imgd link /images/ --prefix          for all below it: put a name behind the link
        imgd link --revoke-all               no link made before is good any more
        """,
    )
    parser.add_argument(
        "place",
        nargs="?",
        metavar="URL-or-PATH",
        help="a URL that the server handed out, or the path in it, as /images/ct.nii.gz",
    )
    parser.add_argument(
        "--expires",
        metavar="TIME",
        type=lifespan,
        help="how long it is good: seconds, or such as 30m, 1h, 7d (default: 1h)",
    )
    parser.add_argument(
        "--prefix", action="store_true", help="for everything below a folder, and its list"
    )
    parser.add_argument(
        "--revoke-all", action="store_true", help="make every link worthless that was made so far"
    )
    add_where(parser)


def check_link(parser: argparse.ArgumentParser, options: CommandOptions) -> None:
    """Exit with status 2 where the options of a link make no sense together."""
    if options.revoke_all and (options.place or options.expires or options.prefix):
        parser.error("--revoke-all is about every link: give it alone")
    if not options.revoke_all and not options.place:
        parser.error("name a URL or a path: imgd link /images/ct.nii.gz")
