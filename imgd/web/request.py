"""The request: twisted.web's, with a body that was judged, and the headers of every answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request as TwistedRequest

from imgd.core.access_rules import Requester
from imgd.core.links import redact
from imgd.core.plan import CONDITIONS
from imgd.core.request_body import check_announced
from imgd.core.request_head import Announced, RequestHead
from imgd.errors import ImgdError, NotFound
from imgd.host import os_errors
from imgd.web.response_headers import EVERY_ANSWER, POLICY_NAMES

WITH_BODY: Final = (b"POST",)  # methods whose bodies are read; those of others are dropped


class Request(TwistedRequest):
    """A request to imgd. Its channel's site is an ``imgd.web.server.Site``."""

    defaultContentType = None  # never text/html by default: what has no type has no body
    content: BytesIO
    prepath: list[bytes]
    postpath: list[bytes]
    refused: ImgdError | None = None  # the answer, whatever is asked
    is_whole = False  # everything has arrived: it is imgd's turn
    _on_gone: tuple[Callable[[], object], ...] = ()
    is_gone = False  # the connection was lost: nothing more can be said
    is_private = False  # it is answered to whoever bears the token or a link, and nobody else
    now = 0.0  # seconds since the epoch: the answer's Date, and no date in it is later

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
        """There is no body yet; the channel gives it (``take``)."""
        self.content = BytesIO()

    def judge(self, head: RequestHead, body: Announced) -> ImgdError | None:
        """Why the body that a head announces is not read; None where it is.

        A stranger learns nothing else, not even whether what he sent would do.
        """
        self.method, self.uri, self.clientproto = head.method, head.target, head.version
        self.path = head.target.partition(b"?")[0]
        is_read = head.method in WITH_BODY
        try:
            if is_read:
                self.channel.site.access.check(self)  # type: ignore[attr-defined]
        except ImgdError as why:
            return why.with_traceback(None)
        refusal = check_announced(body, is_read=is_read)
        return None if refusal is None else ImgdError.of(refusal.status, refusal.reason)

    def take(self, body: bytes) -> None:
        """The body, whole."""
        self.content = BytesIO(body)

    def refuse(self, error: ImgdError) -> None:
        """Be answered with this error, whatever is asked, and end the connection."""
        self.refused = error
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Everything has arrived: process it."""
        self.is_whole = True
        super().requestReceived(command, path, version)

    def process(self) -> None:
        """Set what every answer carries, then find the resource and let it answer."""
        self.site: Any = self.channel.site  # type: ignore[attr-defined]
        site = self.site
        self.rebase(self.path)
        self.now = time.time()
        self.setHeader(b"Date", datetimeToString(self.now))
        for name, value in EVERY_ANSWER:
            self.setHeader(name, value)
        refused = self.refused
        self.render(site.getResourceFor(self) if refused is None else site.refusing(refused))

    def set_policy(self, *, is_file: bool) -> None:
        """Say which origins may read the answer, in place of what was said before."""
        for name in POLICY_NAMES:
            self.responseHeaders.removeHeader(name)
        if self.method != b"POST":  # no other origin may read what control says
            policy = self.channel.site.header_policy  # type: ignore[attr-defined]
            for name, value in policy.of(self.getHeader(b"origin"), is_file):
                self.responseHeaders.addRawHeader(name, value)

    @property
    def cache_control(self) -> bytes:
        """For what may be kept and must be asked for again: by shared caches, or by none."""
        return b"private, no-cache" if self.is_private else b"no-cache"

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
            self.tell(os_errors.to_error(why.__cause__, NotFound()))
        if not self.is_gone:
            self.channel.transport.abortConnection()  # type: ignore[union-attr]

    def tell(self, error: ImgdError) -> None:
        """Note the fault behind an error, where it names one."""
        if fault := getattr(error, "fault", ""):  # not by the channel: the client may have gone
            self.site.health_monitor.report(fault, detail=error.__cause__ or "")

    def tell_unexpected(self, failure: Failure) -> None:
        """Note what nobody foresaw, which came of this request."""
        what = (
            f"Could not answer {self.method.decode('latin-1')} {redact(self.uri).decode('latin-1')}"
        )
        self.site.health_monitor.unexpected(what, failure)

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
        """The address of who asks, be it through a trusted proxy; "" where there is none."""
        return getattr(self.getClientAddress(), "host", "")

    def requester(self) -> Requester:
        """Who asks, as the gate sees it."""
        return Requester(
            peer=getattr(self.other_end(), "host", ""),
            secure=self.isSecure(),
            is_http_1_0=self.clientproto == b"HTTP/1.0",
            headers={
                name.lower(): values for name, values in self.requestHeaders.getAllRawHeaders()
            },
        )

    def other_end(self) -> Any:
        """The other end itself, never whom a proxy speaks for."""
        transport = None if self.channel is None else self.channel.transport
        return self.getClientAddress() if transport is None else transport.getPeer()

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
