"""The header lines of a request that the lane understands wholly, and remembers.

Whatever is unusual here is None: a name or a value that is not plain, a field twice, a body, an
expectation. twisted.web judges those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from imgd.core.http_rules import MAX_FIELDS, is_authority
from imgd.core.plan import Header
from imgd.web.response_headers import EVERY_ANSWER

MAX_BLOCK: Final = 8 * 1024  # bytes; below every limit of twisted.web's parser
MAX_MEMO: Final = 512  # blocks remembered: at most MAX_MEMO * MAX_REMEMBERED bytes of them
MAX_REMEMBERED: Final = 2 * 1024  # bytes; a longer block, with a cookie perhaps, is read each time
MAX_ORIGINS: Final = 64

_BLOCK: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~]*\r\n)+\r\n")
# Not for the lane: bodies, expectations, other protocols, preconditions that can fail.
_NOT_HERE: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"te")
) | {b"trailer", b"if-match", b"if-unmodified-since"}
# What an answer depends on, in the order of imgd.core.plan.CONDITIONS.
_CONDITIONS: Final = (b"if-none-match", b"if-modified-since", b"if-range", b"range")


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """What a request asks besides its target. ``policy``: lines that every answer to it carries.

    ``conditions`` are those of a GET, ``head_conditions`` of a HEAD, for which there is no range
    (RFC 9110 section 14.2).
    """

    policy: bytes
    conditions: Mapping[bytes, bytes]
    head_conditions: Mapping[bytes, bytes]
    referer: bytes | None
    agent: bytes | None


class RequestHeadersReader:
    """Reads blocks of header lines; ``policy`` gives the headers of an answer for an ``Origin``.

    A host that was accepted once stays accepted (``imgd.web.own_hosts``).
    """

    def __init__(
        self,
        policy: Callable[[bytes | None], tuple[Header, ...]],
        accepts_host: Callable[[bytes], bool],
    ) -> None:
        self._policy = lru_cache(MAX_ORIGINS)(
            lambda origin: lines((*EVERY_ANSWER, *policy(origin)))
        )
        self._accepts_host = accepts_host
        self.known: dict[bytes, RequestHeaders] = {}  # read by the lane, which saves a call

    def read(self, block: bytes) -> RequestHeaders | None:
        """A block with the empty line at its end, or None where it is not for the lane.

        What is read here is also what ``imgd.core.http_rules`` lets through.
        """
        if len(block) > MAX_BLOCK or not _BLOCK.fullmatch(block):
            return None
        found: dict[bytes, bytes] = {}
        for line in block[:-4].split(b"\r\n"):
            name, _, value = line.partition(b":")
            name = name.lower()
            if name in found or name in _NOT_HERE:
                return None
            found[name] = value.strip(b" \t")
        host = found.get(b"host", b"")
        if len(found) > MAX_FIELDS or not is_authority(host) or not self._accepts_host(host):
            return None
        if found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        fields = self._fields(found)
        if len(block) <= MAX_REMEMBERED and b"range" not in found:
            if len(self.known) >= MAX_MEMO:
                del self.known[next(iter(self.known))]
            self.known[block] = fields
        return fields

    def _fields(self, found: Mapping[bytes, bytes]) -> RequestHeaders:
        conditions = {name: found[name] for name in _CONDITIONS if name in found}
        for_head = {n: v for n, v in conditions.items() if n in _CONDITIONS[:2]}
        return RequestHeaders(
            policy=self._policy(found.get(b"origin")),
            conditions=conditions,
            head_conditions=for_head,
            referer=found.get(b"referer"),
            agent=found.get(b"user-agent"),
        )


def lines(headers: tuple[Header, ...]) -> bytes:
    """Headers as they stand in a message. Names are written as twisted.web would."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
