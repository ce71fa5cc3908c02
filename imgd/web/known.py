"""Files that the lane knows: found as the resource tree finds them, and asked after each time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from imgd.core import media, messages, paths
from imgd.core.catalog import CURRENT
from imgd.core.plan import Plan, Representation, plan
from imgd.core.ranges import Slice
from imgd.errors import NotFound, Unavailable
from imgd.host import disk, fresh
from imgd.host.disk import OpenFile, Root
from imgd.keeper import Keeper
from imgd.web.bodies import FileBody, FileChanged
from imgd.web.cache import Cache
from imgd.web.fields import lines
from imgd.web.send import AT_ONCE

# The largest file that is kept whole, in bytes.
MAX_KEPT: Final = AT_ONCE


@dataclass(frozen=True, slots=True)
class Known:
    """A file, ready to be answered with; ``collection`` is None in the document root.

    ``whole``, ``head`` and ``unchanged`` are what follows the policy's headers in the answers to
    GET, HEAD and a condition that holds. ``whole`` is empty where the file is large.
    """

    collection: str | None
    root: Root
    path: str
    folder: str
    stamp: fresh.Stamp
    representation: Representation
    head: bytes
    unchanged: bytes
    whole: bytes

    @property
    def size(self) -> int:
        """Bytes kept."""
        return len(self.path) + len(self.head) + len(self.unchanged) + len(self.whole)


class KnownFiles:
    """Finds files by the targets of requests; ``memory`` is how many bytes are kept of them.

    ``call_soon`` calls a function in the reactor's next turn.
    """

    def __init__(
        self,
        documents: Root,
        keeper: Keeper,
        memory: int,
        call_soon: Callable[[Callable[[], None]], Any],
    ) -> None:
        self._documents = documents
        self._keeper = keeper
        self._cache: Cache[Known] = Cache(memory)
        self._places = fresh.Places(call_soon)

    def get(self, target: bytes, now: float) -> Known | None:
        """The file that a target (a path without a query) means now; None: ask the tree."""
        known = self._cache.entries.get(target)
        if known is not None:
            if self._is_loaded(known) and self._places.is_same(
                known.path, known.folder, known.stamp
            ):
                self._cache.touch(target)
                return known
            self._cache.drop(target)
        return self._find(target, now)

    def read(self, known: Known, answer: Plan) -> bytes | None:
        """The body of a small plan, of the very version that is known; None where it has gone."""
        if known.whole:
            start = len(known.head)
            pieces = (
                known.whole[start + part.offset : start + part.offset + part.length]
                if isinstance(part, Slice)
                else part
                for part in answer.parts
            )
            return b"".join(pieces)
        file = self._places.reopen(known.path, known.stamp)
        return None if file is None else _read(file, answer)

    def _is_loaded(self, known: Known) -> bool:
        """Whether its collection is the one that is loaded now."""
        if known.collection is None:
            return True
        shelf = self._keeper.get(known.collection)
        return shelf is not None and shelf.root is known.root

    def _find(self, target: bytes, now: float) -> Known | None:
        mount = self._mount(target)
        if mount is None:
            return None
        collection, root, rest = mount
        asked = paths.parse(b"/" + rest)
        if asked is None or asked.is_folder:
            return None
        if root.images_only and not media.is_image(asked.names[-1]):
            return None
        try:
            file = disk.open_file(root, asked.names)
        except (NotFound, Unavailable):
            return None
        known = _known(collection, root, root.join(asked.names), file, now)
        if (
            known is not None
            and fresh.is_settled(known.stamp, now)
            and self._places.is_same(known.path, known.folder, known.stamp)
        ):
            self._cache.put(target, known)
            return known
        return known if known is not None and known.whole else None

    def _mount(self, target: bytes) -> tuple[str | None, Root, bytes] | None:
        """Which collection, which root, and what below it; as the site's URL map has it.

        An escaped name of imgd's own is hidden in the document root, and so not found there.
        """
        match target.split(b"/", 4):
            case [b"", b"images", *_]:
                name, rest = CURRENT, target[len(b"/images/") :]
            case [b"", b"collections", raw, b"files", rest]:
                name = raw.decode("ascii")
                if not messages.COLLECTION_NAME.fullmatch(name):
                    return None
            case _:
                return None, self._documents, target[1:]
        shelf = self._keeper.get(name)
        return None if shelf is None else (name, shelf.root, rest)


def _known(
    collection: str | None, root: Root, path: str, file: OpenFile, now: float
) -> Known | None:
    """What is to be known of an open file, which is closed."""
    representation = Representation.of(file.name, file.facts, now)
    answer = plan(representation, {}, now)
    stamp = fresh.stamp_of(file.fd)
    body = _read(file, answer) if file.facts.size <= MAX_KEPT else b""
    file.close()
    if body is None:
        return None
    head = lines(answer.headers) + b"\r\n"
    unchanged = plan(representation, {b"if-none-match": representation.etag}, now)
    return Known(
        collection=collection,
        root=root,
        path=path,
        folder=os.path.dirname(path),
        stamp=stamp,
        representation=representation,
        head=head,
        unchanged=lines(unchanged.headers) + b"\r\n",
        whole=head + body if file.facts.size <= MAX_KEPT else b"",
    )


def _read(file: OpenFile, answer: Plan) -> bytes | None:
    """The body of a small plan, None where it cannot be kept to its promise."""
    try:
        return FileBody(answer.parts, file).read_all()
    except FileChanged:
        return None
