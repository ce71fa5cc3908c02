"""What every resource of imgd has in common: methods, answers, and errors as users see them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from imgd.core import messages
from imgd.errors import ImgdError, NotFound
from imgd.web import pages
from imgd.web.request import Request
from imgd.web.response_headers import READ_METHODS, RETRY_AFTER

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"


def respond(request: Request, body: bytes, media_type: bytes, status: int = 200) -> None:
    """Answer in full. HEAD gets the headers alone."""
    if request.is_gone:
        return
    request.setResponseCode(status)
    if body:
        request.setHeader(b"Content-Type", media_type)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.write(body)
    request.finish()


def respond_json(request: Request, message: object, status: int = 200) -> None:
    """Answer with a message of ``imgd.core.messages``."""
    request.setHeader(b"Cache-Control", b"no-store")
    respond(request, messages.encode(message), JSON, status)


def respond_page(request: Request, body: bytes, status: int = 200) -> None:
    """Answer with a page for people, whose policy lets it load imgd's own assets alone."""
    begin_page(request)
    respond(request, body, HTML, status)


def begin_page(request: Request) -> None:
    """Set the headers of every page."""
    request.setHeader(b"Content-Type", HTML)
    request.setHeader(b"Content-Security-Policy", pages.CSP.encode("ascii"))
    request.setHeader(b"Referrer-Policy", b"no-referrer")
    request.setHeader(b"Cache-Control", request.cache_control)


def respond_error(request: Request, error: ImgdError) -> None:
    """Answer with an error; a body under way is cut off."""
    if error.status == 401:
        request.setHeader(b"WWW-Authenticate", b"Bearer")  # RFC 9110 section 15.5.2
    if error.status == 503:
        request.setHeader(*RETRY_AFTER)
    if request.startedWriting:
        request.abort()
    elif request.prefers(b"text/html") and request.method in READ_METHODS:
        respond_page(request, pages.error_page(error.status, error.detail), error.status)
    else:
        respond_json(request, messages.Problem(detail=error.detail), error.status)


def redirect(request: Request, location: str) -> None:
    """301 to a relative URL, with the query of the request; urllib before Python 3.11 follows no
    308.
    """
    _, question, query = request.uri.partition(b"?")
    request.setHeader(b"Cache-Control", request.cache_control)  # else it may be kept for ever
    request.setHeader(b"Location", location.encode("ascii") + question + query)
    respond(request, b"", b"", 301)


class Endpoint(Resource):
    """A leaf of the resource tree.

    ``answer`` responds through the request, at once or as a coroutine, or raises ImgdError.
    """

    isLeaf = True
    methods: tuple[bytes, ...] = (b"GET", b"HEAD")
    answer: Callable[[Request], Coroutine[Any, Any, None] | None]

    def render(self, request: Request) -> int:
        """Called by twisted.web."""
        request.set_policy(is_file=request.route.is_file)
        if request.method in self.methods:
            self._begin(request)
        elif request.method == b"OPTIONS":
            self._name_methods(request)
        else:
            self._refuse_method(request)
        return NOT_DONE_YET

    def _name_methods(self, request: Request) -> None:
        """Answer OPTIONS, which a browser sends as a preflight."""
        request.setHeader(b"Allow", self._allow)
        request.set_preflight(is_read=b"GET" in self.methods)
        request.setResponseCode(204)
        request.finish()

    @property
    def _allow(self) -> bytes:
        return b", ".join((*self.methods, b"OPTIONS"))

    def _refuse_method(self, request: Request) -> None:
        request.setHeader(b"Allow", self._allow)
        names = self._allow.decode("ascii")
        respond_json(request, messages.Problem(detail=f"Use one of {names} here."), 405)

    def _begin(self, request: Request) -> None:
        try:
            coroutine = self.answer(request)
        except Exception:
            self._fail(Failure(), request)
        else:
            if coroutine is not None:
                self._await(Deferred.fromCoroutine(coroutine), request)

    def _await(self, answering: Deferred[None], request: Request) -> None:
        """Report errors. An answer that only reads is cancelled when its client has gone."""
        if request.method in READ_METHODS:
            request.when_gone(answering.cancel)
        answering.addErrback(self._fail, request)

    def _fail(self, failure: Failure, request: Request) -> None:
        error = failure.value
        if isinstance(error, CancelledError) and request.is_gone:
            failure.cleanFailure()  # a cycle of it and its frames would keep the request
            return
        if not isinstance(error, ImgdError):
            request.report_bug(failure)
            error = ImgdError("imgd could not do this; its log says why.")
        if error.status == 503:
            request.report(error)
        if not request.is_gone:
            respond_error(request, error)


class Reply(Endpoint):
    """An endpoint whose answer is a function. Unless ``deep``, what is below its path is a 404."""

    def __init__(
        self,
        answer: Callable[[Request], Coroutine[Any, Any, None] | None],
        methods: tuple[bytes, ...] = (b"GET", b"HEAD"),
        *,
        deep: bool = False,
    ) -> None:
        super().__init__()
        self.answer = answer if deep else _only_exact(answer)
        self.methods = methods


def _only_exact(
    answer: Callable[[Request], Coroutine[Any, Any, None] | None],
) -> Callable[[Request], Coroutine[Any, Any, None] | None]:
    def checked(request: Request) -> Coroutine[Any, Any, None] | None:
        if not request.route.is_exact:
            raise NotFound
        return answer(request)

    return checked


class Refusing(Resource):
    """Answers everything with one error."""

    isLeaf = True

    def __init__(self, error: ImgdError) -> None:
        super().__init__()
        self._error = error

    def render(self, request: Request) -> int:
        """Called by twisted.web."""
        request.set_policy(is_file=False)
        respond_error(request, self._error)
        return NOT_DONE_YET


def vary_by_accept(request: Request) -> None:
    """Tell caches that the answer depends on ``Accept``, too."""
    request.responseHeaders.addRawHeader(b"Vary", b"Accept")
