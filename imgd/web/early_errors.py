"""Answers to bytes that never become a request, after which the connection is closed."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from twisted.web.http import datetimeToString

from imgd.core import messages
from imgd.core.http_rules import HeadError
from imgd.core.plan import Header

# The names of RFC 9110; Python 3.11 has older ones.
_PHRASES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
}


def answer(error: HeadError, headers: Iterable[Header], method: bytes = b"GET") -> bytes:
    """The whole answer, with its body unless to a HEAD; ``headers`` are those of every answer."""
    body = messages.encode(messages.Problem(detail=error.reason))
    phrase = _PHRASES.get(error.status) or HTTPStatus(error.status).phrase
    return b"\r\n".join(
        (
            b"HTTP/1.1 %d %b" % (error.status, phrase.encode("ascii")),
            b"Date: " + datetimeToString(),
            b"Connection: close",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            *(b"%b: %b" % header for header in headers),
            b"",
            b"" if method == b"HEAD" else body,
        )
    )
