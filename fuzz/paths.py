"""URLs and their paths: no segment leads out of its folder or to what is hidden; links fit one."""

from __future__ import annotations

import os
from contextlib import suppress

import atheris

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.core import links, paths, routes
    from imgd.core.disposition import attachment
    from imgd.core.urls import parse_authority, parse_url
    from imgd.errors import BadRequest, ImgdError

KEY = bytes(32)
SIGNED = links.Scope.of("/images/a.nii.gz", is_prefix=False)
TICKET = links.sign(KEY, SIGNED, 2_000_000_000).split("/")[3].encode()


def one_input(data: bytes) -> None:
    """What is parsed stays below its root, and comes back when it is written again."""
    url_path = paths.parse(data)
    if url_path is not None:
        names, is_folder = url_path
        path = os.path.normpath("/served/" + "/".join(names))
        must(path == "/served/" + "/".join(names) or not names, path)
        must(not any(name.startswith(".") for name in names), names)
        again = paths.parse(b"/" + paths.encode(*names).encode() + b"/" * is_folder)
        must(again == url_path or not names, again)
        for name in names:
            must(attachment(name)[1].decode("ascii").isprintable(), name)
    route = routes.route(data)
    must(bool(route.below) or not route.is_file, route)
    text = data.decode("latin-1")
    url = parse_url(text)
    must(url is None or parse_url(f"{url.origin}{url.target}") == url, url)
    authority = parse_authority(text)
    must(authority is None or "@" not in authority.host, authority)
    with suppress(BadRequest):
        links.Scope.of(data.decode("utf-8", "surrogateescape"), is_prefix=len(data) % 2 == 0)
    try:
        links.verify(KEY, TICKET, data, 0.0)
    except ImgdError:
        return
    segments = tuple(paths.decode(segment) for segment in data.removeprefix(b"/").split(b"/"))
    must(segments == SIGNED.segments, data)


if __name__ == "__main__":
    words = (b"/images/a.nii.gz", b"/a%2fb/%2e%2e/c", b"/a/../b", b"/%ff/", b"//", b"/.a")
    run(one_input, (*words, b"/collections/a/files/b", b"http://[::1]:80/a?b#c", b"a.:80"))
