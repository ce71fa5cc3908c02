"""Answers to what never becomes a request: written as they are, and the connection is closed."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from twisted.web.http import datetimeToString

from imgd.core import messages
from imgd.core.http_rules import HeadError
from imgd.core.plan import Header

# As RFC 9110 names them; Python 3.11 has older names.
_PHRASES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
}


def answer(refusal: HeadError, headers: Iterable[Header]) -> bytes:
    """The whole answer; ``headers`` are those of every answer (``HeaderPolicy.of``)."""
    body = messages.encode(messages.Problem(detail=refusal.reason))
    phrase = _PHRASES.get(refusal.status) or HTTPStatus(refusal.status).phrase
    lines = [b"%b: %b" % header for header in headers]
    return b"\r\n".join(
        (
            b"HTTP/1.1 %d %b" % (refusal.status, phrase.encode("ascii")),
            b"Date: " + datetimeToString(),
            b"Connection: close",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            *lines,
            b"",
            body,
        )
    )
