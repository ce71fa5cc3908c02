"""Paths of URLs: no segment leads out of its folder or to what is hidden; links fit one path."""

from __future__ import annotations

import os
from contextlib import suppress

import atheris

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.core import links, paths
    from imgd.core.disposition import attachment
    from imgd.errors import BadRequest, ImgdError

KEY = bytes(32)
SIGNED = links.Scope.of("/images/a.nii.gz", is_prefix=False)
TICKET = links.sign(KEY, SIGNED, 2_000_000_000).split("/")[3].encode()


def one_input(data: bytes) -> None:
    """What is parsed stays below its root, and comes back when it is written again."""
    found = paths.parse(data)
    if found is not None:
        place = os.path.normpath("/served/" + "/".join(found.names))
        must(place == "/served/" + "/".join(found.names) or not found.names, place)
        must(not any(name.startswith(".") for name in found.names), found)
        again = paths.parse(b"/" + paths.encode(*found.names).encode() + b"/" * found.is_folder)
        must(again == found or not found.names, again)
        for name in found.names:
            must(attachment(name)[1].decode("ascii").isprintable(), name)
    with suppress(BadRequest):
        links.Scope.of(data.decode("utf-8", "surrogateescape"), is_prefix=len(data) % 2 == 0)
    try:
        links.verify(KEY, TICKET, data, 0.0)
    except ImgdError:
        return
    names = tuple(paths.decode(segment) for segment in data.removeprefix(b"/").split(b"/"))
    must(names == SIGNED.segments, data)


if __name__ == "__main__":
    run(one_input, (b"/images/a.nii.gz", b"/a%2fb/%2e%2e/c", b"/a/../b", b"/%ff/", b"//", b"/.a"))
