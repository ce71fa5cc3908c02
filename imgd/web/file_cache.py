"""Files that the fast path answers with: found as the tree finds them, checked for each request.

What is made of a file's version alone is true as long as the file has that version. Its bytes are
not, for stores through a shared mapping need not change the version: they are read for each
request, until they were read in a way that makes sure of that (``imgd.files.write_back``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from imgd.collections.manager import CollectionManager
from imgd.core import paths
from imgd.core.conditional import NANOSECONDS
from imgd.core.plan import Plan, Representation, plan, serialize_headers, unchanged
from imgd.core.ranges import Slice
from imgd.core.routes import Route, RouteKind, file_path, route
from imgd.errors import NotFound, Unavailable
from imgd.files import disk, versions, write_back
from imgd.files.disk import OpenFile, Root
from imgd.host.blocking import RunOwn
from imgd.web.bodies import FileBody, FileChanged
from imgd.web.lru_cache import LruCache
from imgd.web.memory_admission import MemoryAdmission, Read
from imgd.web.send import AT_ONCE

# The largest file that is kept whole, in bytes.
MAX_KEPT: Final = AT_ONCE


class Place(NamedTuple):
    """Where a file was found, and its version; ``collection`` is None in the document root."""

    collection: str | None
    root: Root
    names: tuple[str, ...]
    version: versions.FileVersion


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file, ready to be answered with; ``collection`` is None in the document root. Or a picture
    of the file, which is ``whole`` in memory: its ``key`` is the target as it came.

    ``whole``, ``head`` and ``unchanged`` are what follows the policy's headers in the answers to
    GET, HEAD and a condition that holds. ``whole`` is empty if the file is large, or its bytes are
    not kept; ``may_keep``: whether they may be once they have settled. ``key`` is the target in its
    canonical spelling.
    """

    key: bytes
    collection: str | None
    root: Root
    path: str
    folder: str
    version: versions.FileVersion
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
    """Finds files by the paths of requests; ``memory`` is how many bytes are kept of them.

    ``call_soon`` calls a function in the reactor's next turn; ``run_unawaited(f, *args)`` runs what
    may wait for a disk for any time; ``read`` gives bytes that may be kept. ``max_age`` is for
    ``Representation.of``.
    """

    def __init__(
        self,
        documents: Root,
        manager: CollectionManager,
        memory: int,
        call_soon: Callable[[Callable[[], None]], Any],
        run_unawaited: RunOwn,
        read: Read = write_back.read,
        max_age: int = 0,
    ) -> None:
        self._documents = documents
        self._manager = manager
        self._max_age = max_age
        self._cache: LruCache[CachedFile] = LruCache(memory)
        self._entries = self._cache.entries
        self._validator = versions.PathValidator(call_soon)
        self._is_same = self._validator.is_same
        self._admission = MemoryAdmission(run_unawaited, read, self._keep)

    def get(self, target: bytes, now: float) -> CachedFile | None:
        """The file that a path means now, or the picture that is kept of a target with a query;
        None: ask the tree.
        """
        cached = self._entries.get(target)
        if cached is not None:
            if (
                # Not later than Date (RFC 9110 section 8.8.2.1): the wall clock can be set back.
                cached.representation.modified <= now
                and (cached.collection is None or self._is_loaded(cached.collection, cached.root))
                and self._is_same(cached.path, cached.folder, cached.version)
            ):
                self._cache.touch(target)
                return cached
            self._cache.drop(target)
        return self._find(target, now)

    def keep_picture(
        self, target: bytes, place: Place, representation: Representation, body: bytes, now: float
    ) -> None:
        """Answer with a small picture from now on, as long as its file is the same."""
        collection, root, names, version = place
        path = root.join(names)
        is_rested = versions.is_settled(version, now)
        if not (body and is_rested and self._is_same(path, os.path.dirname(path), version)):
            return
        head, not_modified = _heads(representation, now)
        self._cache.put(
            target,
            CachedFile(
                key=target,
                collection=collection,
                root=root,
                path=path,
                folder=os.path.dirname(path),
                version=version,
                representation=representation,
                head=head,
                unchanged=not_modified,
                whole=head + body,
                may_keep=False,
            ),
        )

    def whole(self, cached: CachedFile, now: float) -> bytes | None:
        """Headers and body of a small file of which nothing is kept; None if it has gone."""
        if cached.representation.size > MAX_KEPT:
            return None
        body = self._read(cached, plan(cached.representation, {}, now), now)
        return None if body is None else cached.head + body

    def read(self, cached: CachedFile, answer: Plan, now: float) -> bytes | None:
        """The body of a small plan, of the very version that is cached; None if it has gone."""
        if not cached.whole:
            return self._read(cached, answer, now)
        start = len(cached.head)
        pieces = (
            cached.whole[start + part.offset : start + part.offset + part.length]
            if isinstance(part, Slice)
            else part
            for part in answer.parts
        )
        return b"".join(pieces)

    def _read(self, cached: CachedFile, answer: Plan, now: float) -> bytes | None:
        """A body from the disk; what is asked for again may be kept from now on."""
        if cached.may_keep and versions.is_settled(cached.version, now):
            self._admission.request(cached.key, cached.path, cached.version)
        file = self._validator.reopen(cached.path, cached.version)
        return None if file is None else _read_body(file, answer)

    def _keep(self, key: bytes, version: versions.FileVersion, body: bytes | None) -> None:
        """Keep the bytes of a version; None: they can never be kept."""
        cached = self._entries.get(key)
        if cached is not None and cached.version == version:
            whole = b"" if body is None else cached.head + body
            self._cache.put(key, replace(cached, whole=whole, may_keep=False))

    def _is_loaded(self, collection: str, root: Root) -> bool:
        """Whether this is the root of the collection that has the name now."""
        loaded_collection = self._manager.get(collection)
        return loaded_collection is not None and loaded_collection.root is root

    def _find(self, target: bytes, now: float) -> CachedFile | None:
        if b"?" in target:
            return None
        where = route(target)
        root = self._root_of(where)
        url_path = paths.parse(b"/" + where.below) if where.below and where.base else None
        if root is None or url_path is None or url_path.is_folder:
            return None
        names = url_path.names
        if names[0] in root.hidden:  # its key would be a path of imgd's own
            return None
        if root.serves(names[-1]) is False:
            return None
        collection = where.collection or None
        key = file_path(collection, names).encode("ascii")
        if key != target:  # another spelling leads to the same entry, and makes no other
            return self.get(key, now)
        try:
            file = disk.open_file(root, names, may_look=False)
        except (NotFound, Unavailable):
            return None
        with closing(file):
            path = root.join(names)
            cached = _read_file(key, collection, root, path, file, now, self._max_age)
        return None if cached is None else self._add(cached)

    def _root_of(self, where: Route) -> Root | None:
        if where.kind in (RouteKind.DOCUMENTS, RouteKind.INDEX):
            return self._documents
        loaded_collection = self._manager.get(where.collection)
        return None if loaded_collection is None else loaded_collection.root

    def _add(self, cached: CachedFile) -> CachedFile | None:
        """Remember a file without its bytes, unless it is not to be answered twice."""
        if (
            # Of a time that is to come, Last-Modified follows the clock.
            cached.representation.modified == cached.version.mtime_ns // NANOSECONDS
            and self._is_same(cached.path, cached.folder, cached.version)
        ):
            self._cache.put(cached.key, replace(cached, whole=b""))
            return cached
        return cached if cached.whole else None


def _read_file(
    key: bytes,
    collection: str | None,
    root: Root,
    path: str,
    file: OpenFile,
    now: float,
    max_age: int,
) -> CachedFile | None:
    """What answers are made of; None if the disk fails or the file changes meanwhile."""
    try:
        version = versions.version_of(file.fd)
    except OSError:
        return None
    representation = Representation.of(
        file.name, version.facts, now, max_age, media_type=file.media_type
    )
    answer = plan(representation, {}, now)
    is_small = version.size <= MAX_KEPT
    body = _read_body(file, answer) if is_small else b""
    if body is None:
        return None
    head, not_modified = _heads(representation, now)
    return CachedFile(
        key=key,
        collection=collection,
        root=root,
        path=path,
        folder=os.path.dirname(path),
        version=version,
        representation=representation,
        head=head,
        unchanged=not_modified,
        whole=head + body if is_small else b"",
        may_keep=is_small,
    )


def _heads(representation: Representation, now: float) -> tuple[bytes, bytes]:
    """The headers of the answers 200 and 304, with the empty line."""
    plans = (plan(representation, {}, now), unchanged(representation))
    whole, not_modified = (serialize_headers(answer.headers) + b"\r\n" for answer in plans)
    return whole, not_modified


def _read_body(file: OpenFile, answer: Plan) -> bytes | None:
    """The body of a small plan, None if it cannot be kept to its promise."""
    try:
        return FileBody(answer.parts, file).read_all()
    except FileChanged:
        return None
