"""The fast path: small answers about files, GET and HEAD, in one write.

It answers a plain request on an idle connection as the resource tree would: both find the file by
``routes``, ``paths`` and ``disk``, decide by ``plan``, and take the headers of every answer from
the site's policy. Everything else is left to twisted.web. ``tests/web/test_fast_path.py`` sends the
same requests through both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct
from twisted.internet.interfaces import IAddress
from twisted.web.http import RESPONSES, datetimeToString

from imgd.core.plan import CONDITIONS, Plan, plan, serialize_headers
from imgd.core.ranges import Slice
from imgd.core.request_head import MAX_REMEMBERED, HeaderFields, RequestHead
from imgd.web.file_cache import CachedFile, FileCache
from imgd.web.response_headers import HeaderPolicy
from imgd.web.send import AT_ONCE

# Bodies, expectations, other protocols, and preconditions that can fail are twisted.web's.
_LEFT_TO_THE_TREE: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"te")
) | {b"trailer", b"if-match", b"if-unmodified-since"}
# What the answer says to each value of ``Connection`` that is answered here.
_CONNECTION_LINES: Final = {b"keep-alive": b"", b"close": b"Connection: close\r\n"}
_CONDITIONS: Final[tuple[bytes, ...]] = CONDITIONS[2:]  # those that cannot fail


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """What a request asks besides its target.

    ``policy`` is header lines of every answer to it. ``conditions`` are those of a GET,
    ``head_conditions`` of a HEAD, for which there is no range (RFC 9110 section 14.2).
    """

    policy: bytes
    conditions: Mapping[bytes, bytes]
    head_conditions: Mapping[bytes, bytes]
    referer: bytes | None
    agent: bytes | None


class FastPathRequest(Struct, frozen=True):
    """A request that the fast path answered, as the site's log sees every request."""

    method: bytes
    uri: bytes
    code: int
    sentLength: int
    headers: RequestHeaders
    address: IAddress | None
    clientproto: bytes = b"HTTP/1.1"

    def getClientAddress(self) -> IAddress | None:
        return self.address

    def getHeader(self, name: bytes) -> bytes | None:
        """A header of the request, of those that a log names."""
        return {b"referer": self.headers.referer, b"user-agent": self.headers.agent}.get(name)


class FastPath:
    """Answers requests from the files that it knows.

    ``log`` is called with each request that was answered; ``accepts_host`` says which hosts may be
    asked for, and one that was accepted once stays accepted; ``wall`` gives seconds since the
    epoch.
    """

    def __init__(
        self,
        files: FileCache,
        policy: HeaderPolicy,
        log: Callable[[FastPathRequest], None] | None,
        wall: Callable[[], float] = time.time,
        accepts_host: Callable[[bytes], bool] = lambda _host: True,
    ) -> None:
        self._wall = wall
        self._files = files
        self._policy = policy
        self._accepts_host = accepts_host
        self._log = log
        self._headers: dict[HeaderFields, RequestHeaders] = {}
        self._starts: dict[int, bytes] = {}
        self._second = -1

    def answer(self, head: RequestHead, channel: Any) -> bytes | None:
        """The whole answer to a plain request, or None to leave it to the tree."""
        method, target = head.method, head.target
        headers = self._headers.get(head.fields) or self._read_headers(head.fields)
        if headers is None:
            return None
        now = self._wall()
        file = self._files.get(target, now)
        if file is None:
            return None
        whole = file.whole
        if whole and method == b"GET" and not headers.conditions:  # most requests
            status, file_headers, body, body_length = 200, whole, b"", file.representation.size
        elif (chosen := self._choose(method, headers, file, now)) is not None:
            status, file_headers, body, body_length = chosen
        else:
            return None
        if self._log is not None:
            peer = channel.getPeer()
            self._log(FastPathRequest(method, target, status, body_length, headers, peer))
        if int(now) != self._second:
            self._second = int(now)
            self._starts.clear()
        start = self._starts.get(status) or self._start(status)
        return b"".join((start, headers.policy, file_headers, body))

    def _read_headers(self, fields: HeaderFields) -> RequestHeaders | None:
        """What these fields ask; None if the tree must answer."""
        if fields.base is not None:
            base = self._headers.get(fields.base) or self._read_headers(fields.base)
            if base is None:
                return None
            conditions = {**base.conditions, b"range": fields.values[b"range"][0]}
            return RequestHeaders(
                base.policy, conditions, base.head_conditions, base.referer, base.agent
            )
        values = {name: given[0] for name, given in fields.values.items() if len(given) == 1}
        if len(values) < len(fields.values) or not _LEFT_TO_THE_TREE.isdisjoint(values):
            return None
        connection = values.get(b"connection", b"keep-alive").lower()
        if connection not in _CONNECTION_LINES:
            return None
        if not self._accepts_host(values[b"host"]):
            return None
        conditions = {name: values[name] for name in _CONDITIONS if name in values}
        headers = RequestHeaders(
            policy=_CONNECTION_LINES[connection]
            + self._policy.lines(values.get(b"origin"), is_file=True),
            conditions=conditions,
            head_conditions={n: v for n, v in conditions.items() if n in _CONDITIONS[:2]},
            referer=values.get(b"referer"),
            agent=values.get(b"user-agent"),
        )
        if fields.is_remembered:
            if len(self._headers) >= MAX_REMEMBERED:
                self._headers.clear()
            self._headers[fields] = headers
        return headers

    def _choose(
        self, method: bytes, headers: RequestHeaders, file: CachedFile, now: float
    ) -> tuple[int, bytes, bytes, int] | None:
        """Status, file's headers, body (b"" if the headers hold it), and the body's length."""
        is_get = method == b"GET"
        conditions = headers.conditions if is_get else headers.head_conditions
        if not conditions:
            return self._whole(file, now) if is_get else (200, file.head, b"", 0)
        answer = plan(file.representation, conditions, now)
        if answer.status == 304:
            return 304, file.unchanged, b"", 0
        if answer.status == 200:
            return self._whole(file, now) if is_get else (200, file.head, b"", 0)
        body: bytes | None = b""
        if is_get and answer.parts:
            body = self._files.read(file, answer, now) if _length(answer) <= AT_ONCE else None
        if body is None:
            return None
        return answer.status, serialize_headers(answer.headers) + b"\r\n", body, len(body)

    def _whole(self, file: CachedFile, now: float) -> tuple[int, bytes, bytes, int] | None:
        whole = file.whole or self._files.whole(file, now)
        return (200, whole, b"", file.representation.size) if whole else None

    def _start(self, status: int) -> bytes:
        """Status line and date, made once a second."""
        date = datetimeToString(self._second)
        start = b"HTTP/1.1 %d %b\r\nDate: %b\r\n" % (status, RESPONSES[status], date)
        self._starts[status] = start
        return start


class ReportingFastPath:
    """The fast path while the site is full: ``note`` is called with each channel answered on."""

    def __init__(self, fast_path: FastPath, note: Callable[[Any], None]) -> None:
        self._fast_path = fast_path
        self._note = note

    def answer(self, head: RequestHead, channel: Any) -> bytes | None:
        answer = self._fast_path.answer(head, channel)
        if answer is not None:
            self._note(channel)
        return answer


class DisabledFastPath:
    """Leaves every request to the tree: while reading is private, or the site is drained."""

    def answer(self, _head: RequestHead, _channel: Any) -> None:
        return None


def _length(answer: Plan) -> int:
    return sum(part.length if isinstance(part, Slice) else len(part) for part in answer.parts)
