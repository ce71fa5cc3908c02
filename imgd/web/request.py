"""The request: twisted.web's, with a cap on bodies and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request as TwistedRequest

from imgd.core import http_rules
from imgd.core.gate import Asker
from imgd.core.http_rules import Refusal
from imgd.core.links import masked
from imgd.core.plan import CONDITIONS
from imgd.errors import ImgdError, NotFound
from imgd.host import failing
from imgd.web import refusals
from imgd.web.headers import EVERY_ANSWER

MAX_BODY: Final = 64 * 1024  # bytes: the largest honest body of the control API is a path
TOO_LARGE: Final = Refusal(413, f"The body is over {MAX_BODY // 1024} KiB.")
MISDIRECTED: Final = Refusal(421, "An https URL is answered over TLS alone.")


class Request(TwistedRequest):
    """A request to imgd. Its channel's site is an ``imgd.web.site.Site``."""

    defaultContentType = None  # never text/html by default: what has no type has no body
    content: BytesIO
    prepath: list[bytes]
    postpath: list[bytes]
    refused = False
    is_whole = False  # everything has arrived: it is imgd's turn
    _on_gone: tuple[Callable[[], object], ...] = ()
    is_gone = False  # the connection was lost: nothing more can be said

    def connectionLost(self, reason: Failure) -> None:
        """The client has gone."""
        self.is_gone = True
        on_gone, self._on_gone = self._on_gone, ()
        super().connectionLost(reason)
        for act in on_gone:
            act()

    def when_gone(self, act: Callable[[], object]) -> None:
        """Do this where the client goes before it is answered."""
        self._on_gone = (*self._on_gone, act)

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory: it is small, or refused before it is read."""
        self.content = BytesIO()
        if length is not None and length > MAX_BODY:
            self.refuse(TOO_LARGE)

    def handleContentChunk(self, data: bytes) -> None:
        """Take in a part of the body, up to the cap."""
        if self.refused:
            return
        self.content.write(data)
        if self.content.tell() > MAX_BODY:
            self.refuse(TOO_LARGE)

    def refuse(self, refusal: Refusal) -> None:
        """Answer at once and close: what else comes is not read."""
        self.refused = True
        self.channel.write(refusals.answer(refusal, EVERY_ANSWER))
        self.channel.loseConnection()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Everything has arrived: process it, unless it was refused."""
        self.is_whole = True
        if absolute := http_rules.origin_form(path):
            # This authority counts, and not Host (RFC 9112 section 3.2.2).
            scheme, authority, path = absolute
            self.requestHeaders.setRawHeaders(b"host", [authority])
            if scheme == b"https" and not self.isSecure() and not self.refused:
                self.refuse(MISDIRECTED)  # RFC 9110 section 7.4
        if not self.refused:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        """Set what every answer carries, then find the resource and let it answer."""
        self.site: Any = self.channel.site  # type: ignore[attr-defined]
        site = self.site
        self.rebase(self.path)
        self.setHeader(b"Date", datetimeToString())
        for name, value in site.header_policy.of(self.method, self.getHeader(b"origin")):
            self.responseHeaders.addRawHeader(name, value)
        self.render(site.getResourceFor(self))

    def rebase(self, path: bytes) -> None:
        """Be a request for this path, before anything of it was looked for."""
        self.path = path
        self.prepath = []
        self.postpath = [unquote_to_bytes(segment) for segment in path[1:].split(b"/")]

    def abort(self, why: BaseException | None = None) -> None:
        """End the connection short of what was promised, so that nobody takes it for whole.

        ``why`` is told where the system's error behind it is the machine's fault.
        """
        if why is not None and why.__cause__ is not None:
            self.tell(failing.told(why.__cause__, NotFound()))
        if not self.is_gone:
            self.channel.transport.abortConnection()  # type: ignore[union-attr]

    def tell(self, error: ImgdError) -> None:
        """Note the fault behind an error, where it names one."""
        self.site.trouble.met(error)  # not the channel's: the client may have gone

    def tell_unexpected(self, failure: Failure) -> None:
        """Note what nobody foresaw, which came of this request."""
        what = (
            f"Could not answer {self.method.decode('latin-1')} {masked(self.uri).decode('latin-1')}"
        )
        self.site.trouble.unexpected(what, failure)

    def conditions(self) -> Mapping[bytes, bytes]:
        """The headers that the answer to a GET or HEAD may depend on, repeated ones joined.

        ``Range`` is defined for GET alone (RFC 9110 section 14.2).
        """
        found = {}
        for name in CONDITIONS if self.method == b"GET" else CONDITIONS[:4]:
            if values := self.requestHeaders.getRawHeaders(name):
                found[name] = b", ".join(values)
        return found

    @property
    def peer(self) -> str:
        """The address of who asks, "" where there is none."""
        return getattr(self.getClientAddress(), "host", "")

    def asker(self) -> Asker:
        """Who asks, as the gate sees it."""
        return Asker(
            peer=self.peer,
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

    def has_flag(self, key: bytes) -> bool:
        """Whether the URL's query names this key, with a value or, as ``?KEY``, without."""
        pairs = self.uri.partition(b"?")[2].split(b"&")
        return any(pair.partition(b"=")[0] == key for pair in pairs)

    def prefers(self, wanted: bytes) -> bool:
        """Whether ``Accept`` names this media type."""
        return any(
            wanted in value.lower() for value in self.requestHeaders.getRawHeaders(b"accept", ())
        )
