"""A head that passed the check, taken apart: what it asks, and which body it announces."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from imgd.core.http_rules import fields_of, origin_form

JSON: Final = b"application/json"
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_FRAMING: Final = re.compile(
    rb"\r\n(?:Content-Length|Transfer-Encoding|Expect):[^\r]*+", re.IGNORECASE
)
_HOST: Final = re.compile(rb"\r\nHost:[^\r]*+", re.IGNORECASE)


class Announced(NamedTuple):
    """The body that a head announces.

    ``length`` is in octets, None for a chunked body. ``types`` are the values of ``Content-Type``.
    ``waits``: the client waits for ``100 Continue`` before it sends the body.
    """

    length: int | None
    types: tuple[bytes, ...]
    waits: bool


class RequestHead(NamedTuple):
    """What a head asks. ``scheme`` is that of an absolute target, b"" for any other;
    ``version`` is ``HTTP/1.1`` or ``HTTP/1.0``.

    ``plain`` is the head as a parser is to see it: in origin-form with the Host that counts, as
    HTTP/1.1 or 1.0, and without what frames the body, which is read by ``imgd.core.request_body``.
    ``body`` is None where no body follows.
    """

    plain: bytes
    method: bytes
    target: bytes
    scheme: bytes
    version: bytes
    body: Announced | None


def read_head(head: bytes) -> RequestHead:
    """Take a head apart that ``imgd.core.http_rules.check`` lets through."""
    line, _, fields = head.partition(b"\r\n")
    method, target, version = line.split(b" ")
    if version in _VERSIONS and target[:1] in (b"/", b"*") and not _FRAMING.search(head):
        return RequestHead(head, method, target, b"", version, None)  # most are
    fields = _FRAMING.sub(b"", b"\r\n" + fields)
    if version not in _VERSIONS:
        version = b"HTTP/1.1"  # the highest that is known of this major one (RFC 9110 section 2.5)
    scheme = b""
    if absolute := origin_form(target):
        # Its authority counts, and not Host (RFC 9112 section 3.2.2).
        scheme, authority, target = absolute
        fields = b"\r\nHost: " + authority + _HOST.sub(b"", fields)
    plain = b"%b %b %b%b" % (method, target, version, fields)
    return RequestHead(plain, method, target, scheme, version, _body(head, version))


def _body(head: bytes, version: bytes) -> Announced | None:
    """RFC 9112 section 6.3; the check has seen to it that there is one framing, and a good one."""
    found = fields_of(head)
    length: int | None = int(found.get(b"content-length", [b"0"])[0])
    if b"transfer-encoding" in found:
        length = None
    elif length == 0:
        return None
    expected = [value.lower() for value in found.get(b"expect", [])]
    # A 1.0 client knows no interim answers (RFC 9110 section 10.1.1).
    waits = version == b"HTTP/1.1" and b"100-continue" in expected
    return Announced(length, tuple(found.get(b"content-type", [])), waits)
