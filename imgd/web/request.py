"""The request: twisted.web's, with a cap on bodies and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Final
from urllib.parse import unquote_to_bytes

from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request as TwistedRequest

from imgd.core import messages
from imgd.core.gate import Asker
from imgd.core.plan import CONDITIONS

MAX_BODY: Final = 64 * 1024  # bytes: the largest honest body of the control API is a path
TOO_LARGE: Final = messages.encode(
    messages.Problem(detail=f"The body is over {MAX_BODY // 1024} KiB.")
)


class Request(TwistedRequest):
    """A request to imgd. Its channel's site is an ``imgd.web.site.Site``."""

    defaultContentType = None  # never text/html by default: what has no type has no body
    content: BytesIO
    prepath: list[bytes]
    postpath: list[bytes]
    refused = False
    is_gone = False  # the connection was lost: nothing more can be said

    def connectionLost(self, reason: Failure) -> None:
        """The client has gone."""
        self.is_gone = True
        super().connectionLost(reason)

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory: it is small, or refused before it is read."""
        self.content = BytesIO()
        if length is not None and length > MAX_BODY:
            self.refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Take in a part of the body, up to the cap."""
        if self.refused:
            return
        self.content.write(data)
        if self.content.tell() > MAX_BODY:
            self.refuse()

    def refuse(self) -> None:
        """Answer 413 at once and close: the rest of the body is not read."""
        self.refused = True
        self.channel.write(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nServer: imgd\r\n"
            b"X-Content-Type-Options: nosniff\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(TOO_LARGE), TOO_LARGE)
        )
        self.channel.loseConnection()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Everything has arrived: process it, unless it was refused."""
        if not self.refused:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        """Set what every answer carries, then find the resource and let it answer."""
        self.site = site = self.channel.site  # type: ignore[attr-defined]
        self.prepath = []
        self.postpath = [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]
        self.setHeader(b"Date", datetimeToString())
        for name, value in site.header_policy.of(self.method, self.getHeader(b"origin")):
            self.responseHeaders.addRawHeader(name, value)
        self.render(site.getResourceFor(self))

    def abort(self) -> None:
        """End the connection short of what was promised, so that nobody takes it for whole."""
        self.channel.transport.abortConnection()  # type: ignore[union-attr]

    def conditions(self) -> Mapping[bytes, bytes]:
        """The headers that the answer to a GET or HEAD may depend on, repeated ones joined.

        ``Range`` is defined for GET alone (RFC 9110 section 14.2).
        """
        found = {}
        for name in CONDITIONS if self.method == b"GET" else CONDITIONS[:4]:
            if values := self.requestHeaders.getRawHeaders(name):
                found[name] = b", ".join(values)
        return found

    def asker(self) -> Asker:
        """Who asks, as the gate sees it."""
        return Asker(
            peer=getattr(self.getClientAddress(), "host", ""),
            secure=self.isSecure(),
            headers={
                name.lower(): values for name, values in self.requestHeaders.getAllRawHeaders()
            },
        )

    def query(self) -> Mapping[str, str]:
        """The URL's query; the last of a repeated key counts."""
        return {
            key.decode("utf-8", "surrogateescape"): values[-1].decode("utf-8", "surrogateescape")
            for key, values in self.args.items()
        }

    def prefers(self, wanted: bytes) -> bool:
        """Whether ``Accept`` names this media type."""
        return any(
            wanted in value.lower() for value in self.requestHeaders.getRawHeaders(b"accept", ())
        )
