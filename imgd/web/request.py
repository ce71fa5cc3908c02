"""The request: twisted.web's, with a body that was checked, and the headers of every answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request as TwistedRequest

from imgd.core.access_rules import Requester
from imgd.core.plan import CONDITIONS
from imgd.core.request_body import check_announced
from imgd.core.request_head import AnnouncedBody, RequestHead
from imgd.core.routes import Route, RouteKind, redact, route
from imgd.errors import ImgdError, NotFound
from imgd.host import os_errors
from imgd.web.response_headers import EVERY_ANSWER, POLICY_NAMES

WITH_BODY: Final = (b"POST",)  # methods whose bodies are kept; those of others are dropped


class Request(TwistedRequest):
    """A request to imgd. Its channel's site is an ``imgd.web.server.Site``."""

    defaultContentType = None  # not text/html: what has no type has no body
    content: BytesIO
    prepath: list[bytes]
    postpath: list[bytes]
    route: Route
    refused: ImgdError | None = None  # the answer, whatever the path
    is_whole = False  # everything has arrived
    _on_gone: tuple[Callable[[], object], ...] = ()
    is_gone = False  # the connection was lost
    needs_client = False  # a client that closes its side has gone
    covers_below = True  # it may read what is below its path, too: not by a link to one page
    is_private = False  # the answer is for the bearer of the token or of a link alone
    now = 0.0  # seconds since the epoch: the answer's Date; no date in it is later

    def connectionLost(self, reason: Failure) -> None:
        self.is_gone = True
        callbacks, self._on_gone = self._on_gone, ()
        super().connectionLost(reason)
        for callback in callbacks:
            callback()

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call this if the client goes before it is answered."""
        self._on_gone = (*self._on_gone, callback)

    def require_client(self) -> None:
        """From now on a client that closes its side counts as gone, as nginx takes it for what it
        must ask others for: what it asked for takes work. CancelledError if it has gone.
        """
        self.needs_client = True
        self.channel.require_client()  # type: ignore[attr-defined]
        if self.is_gone:
            raise CancelledError

    def gotLength(self, length: int | None) -> None:
        """Called by twisted.web. The body is given later, by ``set_body``."""
        self.content = BytesIO()

    def judge_body(self, head: RequestHead, body: AnnouncedBody) -> ImgdError | None:
        """Why the body that a head announces is not read; None if it is.

        Who may not control learns only that, and not whether the body is acceptable.
        """
        self.method, self.uri, self.clientproto = head.method, head.target, head.version
        self.path = head.target.partition(b"?")[0]
        is_read = head.method in WITH_BODY
        is_form = is_read and route(self.path).kind is RouteKind.FORM
        try:
            if is_read and not is_form:  # whose sender has no right yet, but may have the token
                self.channel.site.access.require_control(self)  # type: ignore[attr-defined]
        except ImgdError as error:
            return error.with_traceback(None)
        head_error = check_announced(body, is_read=is_read, is_form=is_form)
        return None if head_error is None else ImgdError.of(head_error.status, head_error.reason)

    def set_body(self, body: bytes) -> None:
        """Called by the channel with the whole body."""
        self.content = BytesIO(body)

    def refuse(self, error: ImgdError) -> None:
        """Answer with this error, whatever the path is, and end the connection."""
        self.refused = error

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Called by twisted.web when everything has arrived."""
        self.is_whole = True
        super().requestReceived(command, path, version)

    def process(self) -> None:
        """Set what every answer carries, then find the resource and let it answer."""
        self.site: Any = self.channel.site  # type: ignore[attr-defined]
        site = self.site
        self.rebase(self.path)
        self.now = time.time()
        self.setHeader(b"Date", datetimeToString(self.now))
        if not self.channel.persistent:
            self.setHeader(b"Connection", b"close")
        for name, value in EVERY_ANSWER:
            self.setHeader(name, value)
        refused = self.refused
        self.render(site.getResourceFor(self) if refused is None else site.refusing(refused))

    def set_policy(self, *, is_file: bool) -> None:
        """Set which origins may read the answer, in place of what was set before."""
        for name in POLICY_NAMES:
            self.responseHeaders.removeHeader(name)
        if self.method != b"POST":  # no other origin may read answers to control
            policy = self.channel.site.header_policy  # type: ignore[attr-defined]
            for name, value in policy.of(self.getHeader(b"origin"), is_file):
                self.responseHeaders.addRawHeader(name, value)

    def set_preflight(self, *, is_read: bool) -> None:
        """Set what the answer to OPTIONS tells a browser that asks for a page of another origin."""
        policy = self.channel.site.header_policy  # type: ignore[attr-defined]
        for name, value in policy.preflight(self.getHeader(b"origin"), is_read=is_read):
            self.setHeader(name, value)
        # Private Network Access: so Chromium asked from 104 on for pages of the internet. Since 142
        # it asks the user (Local Network Access).
        is_asked = self.getHeader(b"access-control-request-private-network") == b"true"
        if is_asked and self.responseHeaders.hasHeader(b"access-control-allow-origin"):
            self.setHeader(b"Access-Control-Allow-Private-Network", b"true")

    @property
    def cache_control(self) -> bytes:
        """For an answer that caches may keep and must revalidate."""
        return b"private, no-cache" if self.is_private else b"no-cache"

    def rebase(self, path: bytes) -> None:
        """Become a request for this path. In the tree, one step leads to every resource."""
        self.path = path
        self.route = route(path)
        self.prepath, self.postpath = [], [path[1:]]

    def abort(self, why: BaseException | None = None) -> None:
        """End the connection before all that was promised is sent: nobody takes it for whole.

        The system's error behind ``why`` is reported if it is the machine's fault.
        """
        if why is not None and why.__cause__ is not None:
            cause = why.__cause__
            error = cause if isinstance(cause, ImgdError) else None
            self.report(error or os_errors.to_error(cause, NotFound()))
        if not self.is_gone:
            self.channel.transport.abortConnection()  # type: ignore[union-attr]

    def report(self, error: ImgdError) -> None:
        """Report the fault of the machine that an error names, if it names one."""
        if fault := getattr(error, "fault", ""):  # not by the channel: the client may have gone
            self.site.health_monitor.report(fault, detail=error.__cause__ or "")

    def report_bug(self, failure: Failure) -> None:
        """Log a bug that this request met."""
        method, url = self.method.decode("latin-1"), redact(self.uri).decode("latin-1")
        self.site.health_monitor.unexpected(f"Could not answer {method} {url}", failure)

    def conditions(self) -> Mapping[bytes, bytes]:
        """The headers that the answer to a GET or HEAD may depend on, repeated ones joined.

        ``Range`` is defined for GET alone (RFC 9110 section 14.2).
        """
        conditions = {}
        for name in CONDITIONS if self.method == b"GET" else CONDITIONS[:4]:
            if values := self.requestHeaders.getRawHeaders(name):
                conditions[name] = b", ".join(values)
        return conditions

    @property
    def peer(self) -> str:
        """The client's address, behind a trusted proxy too; "" if it has none."""
        return getattr(self.getClientAddress(), "host", "")

    def requester(self) -> Requester:
        """What the rules of access judge."""
        return Requester(
            peer=getattr(self.other_end(), "host", ""),
            secure=self.isSecure(),
            is_http_1_0=self.clientproto == b"HTTP/1.0",
            headers={
                name.lower(): values for name, values in self.requestHeaders.getAllRawHeaders()
            },
        )

    def other_end(self) -> Any:
        """The peer of the connection itself, which a proxy may be."""
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

    def prefers(self, media_type: bytes) -> bool:
        """Whether ``Accept`` names this media type."""
        values = self.requestHeaders.getRawHeaders(b"accept", ())
        return any(media_type in value.lower() for value in values)
