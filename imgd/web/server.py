"""The URL map, on one screen, and the site that serves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Site as TwistedSite

from imgd import __version__
from imgd.collections.manager import CollectionManager
from imgd.core import messages
from imgd.core.connections import ConnectionTable, Deadlines
from imgd.core.forwarded import NONE, TrustedProxies
from imgd.core.links import redact
from imgd.core.wait_limits import WaitLimit
from imgd.errors import ImgdError, NotFound
from imgd.files.disk import Root
from imgd.files.folder_indexes import FolderIndexes
from imgd.host.access_log import combined
from imgd.host.blocking import RunBlocking, RunOwn
from imgd.host.health_monitor import HealthMonitor
from imgd.web import pages
from imgd.web.access import Access
from imgd.web.channel import Channel
from imgd.web.collection_endpoints import Collections, CurrentImages
from imgd.web.connection_limiter import ConnectionLimiter
from imgd.web.control import Actions, control
from imgd.web.endpoint import Endpoint, Refusing, Reply, respond, respond_json, vary_by_accept
from imgd.web.fast_path import FastPath, FastPathRequest, ReportingFastPath
from imgd.web.file_cache import FileCache
from imgd.web.files import Files
from imgd.web.folder_listings import EACH_CLIENT, EACH_FOLDER, FolderListings
from imgd.web.image_lists import ImageLists
from imgd.web.own_hosts import OwnHosts
from imgd.web.proxied_channel import ProxiedChannel
from imgd.web.request import Request
from imgd.web.response_headers import HeaderPolicy
from imgd.web.serializers import Serializers, Urls
from imgd.web.signed_links import DisabledFastPath, LinkActions, Links, Private, Signed

# First segments that are imgd's own: the document root's file or folder of such a name is hidden.
RESERVED: Final = frozenset(
    (
        *("images", "collections", "health", "timeout", "load-directory", "unload"),
        *("public-url", "links", "-"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a site is made of. ``ca_pem`` is the local CA's certificate, where imgd made one;
    ``uptime`` gives seconds. ``run_unawaited`` runs what nobody waits for.
    ``private``: to read, the token or a link is needed.
    ``max_per_client`` 0 bounds no client. ``indexes`` are those that somebody looks after.
    """

    document_root: Root
    manager: CollectionManager
    urls: Urls
    access: Access
    headers: HeaderPolicy
    run_blocking: RunBlocking
    run_unawaited: RunOwn
    uptime: Callable[[], float]
    ca_pem: Callable[[], bytes | None]
    memory_cache: int = 64_000_000  # bytes of small files kept in memory
    private: bool = False
    hosts: OwnHosts = field(default_factory=OwnHosts)
    links: Links = field(default_factory=Links)
    indexes: FolderIndexes | None = None
    health_monitor: HealthMonitor = field(default_factory=lambda: HealthMonitor(time.monotonic))
    deadlines: Deadlines = field(default_factory=Deadlines)
    max_connections: int = 10_000
    max_per_client: int = 0
    proxies: TrustedProxies = NONE  # whose word counts for the address of a client


def url_map(parts: Parts, clock: IReactorTime) -> Resource:
    """Which path leads where."""
    manager, access = parts.manager, parts.access
    views = Serializers(manager, parts.urls, clock)
    waiting = WaitLimit(EACH_FOLDER, EACH_CLIENT)
    indexes = parts.indexes or FolderIndexes(clock.seconds)
    folders = FolderListings(views, parts.run_blocking, indexes, waiting)
    images = ImageLists(manager, parts.urls, parts.run_blocking, waiting)
    actions = Actions(manager, views, parts.urls, parts.hosts)
    linking = LinkActions(parts.links, parts.urls, access)
    documents = Files(parts.document_root, folders)

    root = Tree(otherwise=documents)
    links = Tree(otherwise=control(access, linking.make))
    own = Tree(otherwise=assets(parts.ca_pem))
    root.putChild(b"", Front(documents, views, access))
    root.putChild(b"images", CurrentImages(manager, folders))
    root.putChild(b"collections", Collections(manager, views, access, folders, images))
    root.putChild(b"health", Reply(health(parts.uptime, parts.health_monitor)))
    root.putChild(b"timeout", Timeout(manager, control(access, actions.timeout, deep=True)))
    root.putChild(b"load-directory", control(access, actions.load))
    root.putChild(b"unload", control(access, actions.unload))
    root.putChild(b"public-url", control(access, actions.public_url))
    root.putChild(b"links", links)
    links.putChild(b"revoke", control(access, linking.revoke))
    root.putChild(b"-", own)
    own.putChild(b"s", Signed(parts.links, root))
    return Private(root, access) if parts.private else root


class Tree(Resource):
    """A resource with named children, and one that takes every other name."""

    def __init__(self, otherwise: Resource) -> None:
        super().__init__()
        self._otherwise = otherwise

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Called by twisted.web for a name that is no child's."""
        request.postpath.insert(0, request.prepath.pop())
        return self._otherwise

    def render(self, request: Request) -> Any:
        """Called by twisted.web where the path ends here."""
        return self._otherwise.render(request)


class Front(Endpoint):
    """``/``: the status for programs, the document root's page for people."""

    def __init__(self, documents: Files, views: Serializers, access: Access) -> None:
        super().__init__()
        self._documents = documents
        self._views = views
        self._access = access

    def answer(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """The listing where HTML is named, or a format; else the status."""
        if request.path != b"/":  # "//x" comes here too
            raise NotFound
        if request.prefers(b"text/html") or b"format" in request.args:
            return self._documents.answer(request)
        vary_by_accept(request)
        return self._status(request)

    async def _status(self, request: Request) -> None:
        full = self._access.is_controller(request)
        respond_json(request, await self._views.status(full=full))


class Timeout(Tree):
    """``GET /timeout`` tells, ``POST /timeout/MINUTES`` sets."""

    def __init__(self, manager: CollectionManager, setting: Reply) -> None:
        super().__init__(setting)
        telling = Reply(self._tell)
        self.putChild(b"", telling)
        self.render = telling.render  # type: ignore[method-assign]
        self._manager = manager

    def _tell(self, request: Request) -> None:
        minutes = self._manager.default_minutes
        respond_json(
            request, messages.Timeout(timeout_minutes=minutes, timeout_enabled=minutes > 0)
        )


def health(uptime: Callable[[], float], health_monitor: HealthMonitor) -> Callable[[Request], None]:
    """``GET /health``: 200 while anything is answered, with the reasons why not all is well."""

    def answer(request: Request) -> None:
        reasons = health_monitor.reasons()
        told = messages.Health(
            status="degraded" if reasons else "healthy",
            version=__version__,
            uptime_seconds=round(uptime(), 3),
            reasons=reasons or UNSET,
        )
        respond_json(request, told)

    return answer


def assets(ca_pem: Callable[[], bytes | None]) -> Reply:
    """``/-/``: imgd's own files, and the certificate of its CA."""

    def answer(request: Request) -> None:
        name = b"/".join(request.postpath).decode("ascii", "replace")
        if name == "ca.pem" and (pem := ca_pem()) is not None:
            request.setHeader(b"Content-Disposition", b'attachment; filename="imgd-ca.pem"')
            respond(request, pem, b"application/x-pem-file")
        elif name in pages.ASSETS:
            media_type, body = pages.ASSETS[name]
            request.setHeader(b"Cache-Control", b"max-age=3600")
            respond(request, body, media_type.encode("ascii"))
        else:
            raise NotFound

    return Reply(answer, deep=True)


class Site(TwistedSite):
    """Serves the URL map over HTTP/1.1 alone. Time is the reactor's, and never set back."""

    requestFactory = Request
    protocol = Channel  # type: ignore[assignment]  # stock: one that could turn into HTTP/2

    def __init__(
        self,
        parts: Parts,
        reactor: IReactorTime,
        access_log: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(url_map(parts, reactor), reactor=reactor, parsePOSTFormSubmission=False)
        self.timeOut = None  # the reception has the deadlines
        self.health_monitor = parts.health_monitor
        table = ConnectionTable(parts.deadlines, parts.max_connections, parts.max_per_client)
        self.proxies = parts.proxies
        self.limiter = ConnectionLimiter(
            table, reactor, parts.health_monitor, self._note_idle, parts.proxies
        )
        self.access = parts.access
        self.header_policy = parts.headers
        self._access_log = access_log
        self._hosts = parts.hosts
        self._lane = DisabledFastPath() if parts.private else self._make_lane(parts, reactor)
        self.fast_path: FastPath | ReportingFastPath | DisabledFastPath = self._lane

    def _make_lane(self, parts: Parts, reactor: IReactorTime) -> FastPath:
        files = FileCache(
            parts.document_root,
            parts.manager,
            parts.memory_cache,
            call_soon=lambda f: reactor.callLater(0, f),
            run_unawaited=parts.run_unawaited,
        )
        tell = None if self._access_log is None else self.log
        return FastPath(files, parts.headers, tell, accepts_host=parts.hosts.accepts)

    def getResourceFor(self, request: Request) -> Resource:
        """Called by a request for what answers it."""
        host = request.getHeader(b"host")
        if request.method != b"POST" and not self._hosts.accepts(host):
            return Refusing(self._hosts.misdirected(host))
        found: Resource = super().getResourceFor(request)
        return found

    def refusing(self, error: ImgdError) -> Resource:
        """What answers a request that is refused, wherever its path leads."""
        return Refusing(error)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Called by twisted for each connection."""
        is_proxy = getattr(addr, "host", "") in self.proxies
        self.protocol = ProxiedChannel if is_proxy else Channel
        return super().buildProtocol(addr)

    def _note_idle(self, wanted: bool) -> None:
        """Have the reception told of answers of the lane: a request costs nothing where not."""
        if isinstance(self._lane, FastPath):
            self.fast_path = (
                ReportingFastPath(self._lane, self.limiter.note) if wanted else self._lane
            )

    def drain(self, grace: float) -> Deferred[None]:
        """Answer what was asked, and end every connection: done after ``grace`` seconds at most."""
        self.fast_path = self._lane = DisabledFastPath()  # the other's answers keep a connection
        return self.limiter.drain(grace)

    def startFactory(self) -> None:
        """The stock site would write every request into the daemon's own log."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: Request | FastPathRequest) -> None:  # type: ignore[override]  # no others here
        """Called once for each request, when it is answered."""
        if self._access_log is not None:
            self._access_log(access_line(request, time.time()))


def access_line(request: Request | FastPathRequest, when: float) -> str:
    """A request as a line of the access log."""
    return combined(
        peer=getattr(request.getClientAddress(), "host", None),
        user=None,
        when=when,
        request=b" ".join((request.method, redact(request.uri), request.clientproto)),
        status=request.code,
        size=request.sentLength,
        referer=redact(request.getHeader(b"referer") or b"") or None,
        agent=request.getHeader(b"user-agent"),
    )
