"""NiiVue, which is not imgd's: the bundle in the folder that the operator named."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from typing import Final

from imgd.core.plan import Representation, plan
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host.blocking import RunBlocking
from imgd.web.request import Request
from imgd.web.send import send

#: Its path below ``/-/``.
PATH: Final = "niivue/niivue.umd.js"
# RFC 8246. The URL names the edition, so that what it means never changes.
FOREVER: Final = b"max-age=31536000, immutable"


class NiiVue:
    """The bundle at a path of the host, read once at start, and served as a file is.

    ``edition`` is part of its URL, so that no cache serves an older one.
    """

    def __init__(self, path: str, ask: RunBlocking) -> None:
        folder, self._name = os.path.split(os.path.realpath(path))
        self._root = Root(folder)
        self._ask = ask
        file = disk.open_file(self._root, (self._name,))
        self.edition = sha256(file.read(0, file.facts.size)).hexdigest()[:8]

    async def send(self, request: Request) -> None:
        """Answer with the bundle: for ever in a cache if the URL names the edition."""
        path, names = self._root.path, (self._name,)
        file = await self._ask(path, disk.open_file, self._root, names, key=(path, names))
        representation = Representation.of(file.name, file.facts, request.now)
        if request.uri.partition(b"?")[2] == self.edition.encode("ascii"):
            headers = {**dict(representation.headers), b"Cache-Control": FOREVER}
            representation = replace(representation, headers=tuple(headers.items()))
        send(request, plan(representation, request.conditions(), request.now), file)
