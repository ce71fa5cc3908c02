"""Files that the lane knows: found as the resource tree finds them, and asked after each time.

What is made of a file's stamp alone is true for as long as the stamp is. Its bytes are not, for
stores through a shared mapping need not move it: they are read anew for each request, until they
were read in a way that makes sure of that (``imgd.files.write_back``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from imgd.collections.manager import CollectionManager
from imgd.core import media, messages, paths
from imgd.core.catalog import CURRENT
from imgd.core.conditional import NANOSECONDS
from imgd.core.plan import Plan, Representation, plan
from imgd.core.ranges import Slice
from imgd.errors import NotFound, Unavailable
from imgd.files import disk, versions, write_back
from imgd.files.disk import OpenFile, Root
from imgd.host.blocking import RunOwn
from imgd.web.bodies import FileBody, FileChanged
from imgd.web.lru_cache import LruCache
from imgd.web.memory_admission import MemoryAdmission, Read
from imgd.web.request_headers import lines
from imgd.web.send import AT_ONCE

# The largest file that is kept whole, in bytes.
MAX_KEPT: Final = AT_ONCE
_IMAGES: Final = b"/images/"


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file, ready to be answered with; ``collection`` is None in the document root.

    ``whole``, ``head`` and ``unchanged`` are what follows the policy's headers in the answers to
    GET, HEAD and a condition that holds. ``whole`` is empty where the file is large, or its bytes
    are not kept; ``may_keep``: whether they may be once they have settled. ``key`` is the target in
    its canonical spelling.
    """

    key: bytes
    collection: str | None
    root: Root
    path: str
    folder: str
    stamp: versions.FileVersion
    representation: Representation
    head: bytes
    unchanged: bytes
    whole: bytes
    may_keep: bool

    @property
    def size(self) -> int:
        """Bytes kept."""
        return len(self.path) + len(self.head) + len(self.unchanged) + len(self.whole)


class FileCache:
    """Finds files by the targets of requests; ``memory`` is how many bytes are kept of them.

    ``call_soon`` calls a function in the reactor's next turn; ``run_aside(f, *args)`` runs what may
    wait for a disk as long as it likes; ``read`` gives bytes that may be kept.
    """

    def __init__(
        self,
        documents: Root,
        manager: CollectionManager,
        memory: int,
        call_soon: Callable[[Callable[[], None]], Any],
        run_unawaited: RunOwn,
        read: Read = write_back.read,
    ) -> None:
        self._documents = documents
        self._manager = manager
        self._cache: LruCache[CachedFile] = LruCache(memory)
        self._places = versions.PathValidator(call_soon)
        self._keeping = MemoryAdmission(run_unawaited, read, self._keep)

    def get(self, target: bytes, now: float) -> CachedFile | None:
        """The file that a target (a path without a query) means now; None: ask the tree."""
        known = self._cache.entries.get(target)
        if known is not None:
            if self._is_current(known, now) and self._places.is_same(
                known.path, known.folder, known.stamp
            ):
                self._cache.touch(target)
                return known
            self._cache.drop(target)
        return self._find(target, now)

    def whole(self, known: CachedFile, now: float) -> bytes | None:
        """Headers and body of a small file of which nothing is kept; None where it has gone."""
        if known.representation.size > MAX_KEPT:
            return None
        body = self._read(known, plan(known.representation, {}, now), now)
        return None if body is None else known.head + body

    def read(self, known: CachedFile, answer: Plan, now: float) -> bytes | None:
        """The body of a small plan, of the very version that is known; None where it has gone."""
        if not known.whole:
            return self._read(known, answer, now)
        start = len(known.head)
        pieces = (
            known.whole[start + part.offset : start + part.offset + part.length]
            if isinstance(part, Slice)
            else part
            for part in answer.parts
        )
        return b"".join(pieces)

    def _read(self, known: CachedFile, answer: Plan, now: float) -> bytes | None:
        """The same from disk; what is asked for so may be kept from then on."""
        if known.may_keep and versions.is_settled(known.stamp, now):
            self._keeping.wish(known.key, known.path, known.stamp)
        file = self._places.reopen(known.path, known.stamp)
        return None if file is None else _read(file, answer)

    def _keep(self, key: bytes, stamp: versions.FileVersion, body: bytes | None) -> None:
        """The bytes of a version may be kept; None: never."""
        known = self._cache.entries.get(key)
        if known is not None and known.stamp == stamp:
            whole = b"" if body is None else known.head + body
            self._cache.put(key, replace(known, whole=whole, may_keep=False))

    def _is_current(self, known: CachedFile, now: float) -> bool:
        """Whether its collection is the one that is loaded now, and ``now`` is no earlier than its
        Last-Modified (RFC 9110 section 8.8.2.1): the wall clock can be set back.
        """
        if known.representation.modified > now:
            return False
        if known.collection is None:
            return True
        loaded_collection = self._manager.get(known.collection)
        return loaded_collection is not None and loaded_collection.root is known.root

    def _find(self, target: bytes, now: float) -> CachedFile | None:
        mount = self._mount(target)
        if mount is None:
            return None
        collection, root, prefix, rest = mount
        asked = paths.parse(b"/" + rest)
        if asked is None or asked.is_folder:
            return None
        if root.images_only and not media.is_image(asked.names[-1]):
            return None
        try:
            path = root.join(asked.names)
            key = prefix + paths.encode(*asked.names).encode("ascii")
            if key != target:  # another spelling leads to the same entry, and makes no other
                return self.get(key, now)
            file = disk.open_file(root, asked.names)
        except (NotFound, Unavailable):
            return None
        known = _known(key, collection, root, path, file, now)
        if (
            known is not None
            # Of a time that is to come, Last-Modified follows the clock.
            and known.representation.modified == known.stamp.mtime_ns // NANOSECONDS
            and self._places.is_same(known.path, known.folder, known.stamp)
        ):
            self._cache.put(key, replace(known, whole=b""))
            return known
        return known if known is not None and known.whole else None

    def _mount(self, target: bytes) -> tuple[str | None, Root, bytes, bytes] | None:
        """Which collection, which root, its canonical prefix, and what comes below; as the site's
        URL map has it.

        An escaped name of imgd's own is hidden in the document root, and so not found there.
        """
        match target.split(b"/", 4):
            case [b"", b"images", *_]:
                name, prefix, rest = CURRENT, _IMAGES, target[len(_IMAGES) :]
            case [b"", b"collections", raw, b"files", rest]:
                name = raw.decode("ascii")
                if not messages.COLLECTION_NAME.fullmatch(name):
                    return None
                prefix = _IMAGES if name == CURRENT else target[: -len(rest)]
            case _:
                return None, self._documents, b"/", target[1:]
        loaded_collection = self._manager.get(name)
        return None if loaded_collection is None else (name, loaded_collection.root, prefix, rest)


def _known(
    key: bytes, collection: str | None, root: Root, path: str, file: OpenFile, now: float
) -> CachedFile | None:
    """What is to be known of an open file, which is closed."""
    stamp = versions.version_of(file.fd)
    representation = Representation.of(file.name, stamp.facts, now)
    answer = plan(representation, {}, now)
    is_small = stamp.size <= MAX_KEPT
    body = _read(file, answer) if is_small else b""
    file.close()
    if body is None:
        return None
    head = lines(answer.headers) + b"\r\n"
    unchanged = plan(representation, {b"if-none-match": representation.etag}, now)
    return CachedFile(
        key=key,
        collection=collection,
        root=root,
        path=path,
        folder=os.path.dirname(path),
        stamp=stamp,
        representation=representation,
        head=head,
        unchanged=lines(unchanged.headers) + b"\r\n",
        whole=head + body if is_small else b"",
        may_keep=is_small,
    )


def _read(file: OpenFile, answer: Plan) -> bytes | None:
    """The body of a small plan, None where it cannot be kept to its promise."""
    try:
        return FileBody(answer.parts, file).read_all()
    except FileChanged:
        return None
