"""The fast lane: small answers about files, GET and HEAD, in one write.

It takes a read that is one whole request, wholly recognised, on an idle connection, and says the
same as the resource tree: both find the file by ``paths`` and ``disk``, decide by ``plan``, and
take the headers of every answer from the site's policy. Everything else it leaves to twisted.web,
untouched. ``tests/web/test_fast_path.py`` sends the same requests through both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IAddress
from twisted.web.http import RESPONSES, datetimeToString

from imgd.core.http_rules import MAX_LINE
from imgd.core.plan import Plan, plan
from imgd.core.ranges import Slice
from imgd.web.file_cache import CachedFile, FileCache
from imgd.web.request_headers import MAX_BLOCK, RequestHeaders, RequestHeadersReader, lines
from imgd.web.response_headers import HeaderPolicy
from imgd.web.send import AT_ONCE

# No query and no fragment: visible ASCII without "?" and "#".
_LINE: Final = re.compile(rb"(GET|HEAD) (/[!\"$->@-~]*) HTTP/1\.1")
MAX_HEAD: Final = MAX_LINE + len(b"\r\n") + MAX_BLOCK  # bytes


@dataclass(frozen=True, slots=True)
class FastPathRequest:
    """A request that the lane answered, as the site's log sees every request."""

    method: bytes
    uri: bytes
    code: int
    sentLength: int
    fields: RequestHeaders
    address: IAddress | None
    clientproto: bytes = b"HTTP/1.1"

    def getClientAddress(self) -> IAddress | None:
        """Who asked."""
        return self.address

    def getHeader(self, name: bytes) -> bytes | None:
        """A header of the request, of those that a log names."""
        return {b"referer": self.fields.referer, b"user-agent": self.fields.agent}.get(name)


class FastPath:
    """Answers what it can from the files that it knows.

    ``tell`` is told of each answer, where there is one to tell; ``accepts_host`` says which hosts
    may be asked for; ``wall`` gives seconds since the epoch.
    """

    def __init__(
        self,
        files: FileCache,
        policy: HeaderPolicy,
        tell: Callable[[FastPathRequest], None] | None,
        wall: Callable[[], float] = time.time,
        accepts_host: Callable[[bytes], bool] = lambda _host: True,
    ) -> None:
        self._wall = wall
        self._files = files
        self._reader = RequestHeadersReader(
            lambda origin: policy.of(origin, is_file=True), accepts_host
        )
        self._tell = tell
        self._starts: dict[int, bytes] = {}
        self._second = -1

    def answer(self, data: bytes, channel: Any) -> bytes | None:
        """The whole answer to what was read, or None where it is not for the lane.

        What it answers is one whole head that ``imgd.core.http_rules.check`` lets through: it need
        not be asked as well (``tests/web/test_fast_path.py`` proves it).
        """
        if len(data) > MAX_HEAD:
            return None
        line, _, block = data.partition(b"\r\n")
        fields = self._reader.known.get(block) or self._reader.read(block)
        if fields is None or len(line) > MAX_LINE or (asked := _LINE.fullmatch(line)) is None:
            return None
        method, target = asked.groups()
        now = self._wall()
        known = self._files.get(target, now)
        if known is None:
            return None
        chosen = self._choose(method, fields, known, now)
        if chosen is None:
            return None
        status, head, body, sent = chosen
        if self._tell is not None:
            self._tell(FastPathRequest(method, target, status, sent, fields, channel.getPeer()))
        return b"".join((self._start(status, now), fields.policy, head, body))

    def _choose(
        self, method: bytes, fields: RequestHeaders, known: CachedFile, now: float
    ) -> tuple[int, bytes, bytes, int] | None:
        """Status, file's headers, body, and the length of the body where the headers hold it."""
        is_get = method == b"GET"
        conditions = fields.conditions if is_get else fields.head_conditions
        if not conditions:
            if is_get and known.whole:  # what most ask for
                return 200, known.whole, b"", known.representation.size
            return self._whole(known, now) if is_get else (200, known.head, b"", 0)
        answer = plan(known.representation, conditions, now)
        if answer.status == 304:
            return 304, known.unchanged, b"", 0
        if answer.status == 200:
            return self._whole(known, now) if is_get else (200, known.head, b"", 0)
        body: bytes | None = b""
        if is_get and answer.parts:
            short = _length(answer) <= AT_ONCE
            body = self._files.read(known, answer, now) if short else None
        if body is None:
            return None
        return answer.status, lines(answer.headers) + b"\r\n", body, len(body)

    def _whole(self, known: CachedFile, now: float) -> tuple[int, bytes, bytes, int] | None:
        whole = known.whole or self._files.whole(known, now)
        return (200, whole, b"", known.representation.size) if whole else None

    def _start(self, status: int, now: float) -> bytes:
        """Status line and date, made once a second."""
        if int(now) != self._second:
            self._second = int(now)
            self._starts.clear()
        start = self._starts.get(status)
        if start is None:
            date = datetimeToString(self._second)
            start = b"HTTP/1.1 %d %b\r\nDate: %b\r\n" % (status, RESPONSES[status], date)
            self._starts[status] = start
        return start


class ReportingFastPath:
    """The lane while the site is full: ``note`` is told of each connection that it answers."""

    def __init__(self, fast_path: FastPath, note: Callable[[Any], None]) -> None:
        self._lane = fast_path
        self._note = note

    def answer(self, data: bytes, channel: Any) -> bytes | None:
        """What the lane answers."""
        answer = self._lane.answer(data, channel)
        if answer is not None:
            self._note(channel)
        return answer


def _length(answer: Plan) -> int:
    return sum(part.length if isinstance(part, Slice) else len(part) for part in answer.parts)
