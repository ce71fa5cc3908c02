"""The resource tree, on one screen, and the site that serves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Site as TwistedSite

from imgd.collections.manager import CollectionManager
from imgd.core.connection_table import ConnectionTable
from imgd.core.connections import Deadlines
from imgd.core.forwarded import NONE, TrustedProxies
from imgd.core.messages import PicturesReport
from imgd.core.routes import RouteKind, redact
from imgd.core.wait_limits import WaitLimit
from imgd.dicom.indexes import DicomIndexes
from imgd.errors import ImgdError, NotFound
from imgd.files.disk import Root
from imgd.files.folder_indexes import FolderIndexes
from imgd.host.access_log import combined
from imgd.host.blocking import RunBlocking, RunOwn
from imgd.host.health_monitor import HealthMonitor
from imgd.pictures.maker import Pictures
from imgd.web.access import Access
from imgd.web.archives import Archives
from imgd.web.channel import Channel
from imgd.web.collection_endpoints import CollectionEndpoints
from imgd.web.connection_limiter import ConnectionLimiter
from imgd.web.control import Actions, control
from imgd.web.dicom.addresses import Addresses
from imgd.web.dicom.endpoints import DicomEndpoints
from imgd.web.dicom.parts import DicomParts
from imgd.web.endpoint import Refusing, Reply
from imgd.web.fast_path import DisabledFastPath, FastPath, FastPathRequest, ReportingFastPath
from imgd.web.file_cache import FileCache
from imgd.web.files import Files
from imgd.web.folder_listings import MAX_WAITING_PER_CLIENT, MAX_WAITING_PER_FOLDER, FolderListings
from imgd.web.image_lists import ImageLists
from imgd.web.niivue import NiiVue
from imgd.web.own_files import own_files, send_well_known
from imgd.web.own_hosts import OwnHosts
from imgd.web.proxied_channel import ProxiedChannel
from imgd.web.request import Request
from imgd.web.response_headers import HeaderPolicy
from imgd.web.serializers import Serializers, Urls
from imgd.web.signed_links import LinkActions, Links, PrivateTree, SignedEndpoint
from imgd.web.status_endpoints import RootEndpoint, health, timeout
from imgd.web.token_form import TokenForm
from imgd.web.viewer import Viewer
from imgd.web.whole_status import WholeStatus


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a site is made of.

    ``ca_pem`` gives the local CA's certificate, ``uptime`` seconds. ``has_ca``: imgd made a CA.
    ``run_unawaited`` runs what nobody waits for. ``private``: to read, the token or a link is
    needed. ``max_per_client`` 0 bounds no client. ``indexes`` are those that somebody looks after.
    ``pictures`` makes pictures of files.
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
    has_ca: bool
    pictures: Pictures
    dicom: DicomIndexes
    memory_cache: int  # bytes of small files kept in memory
    archive_limit: int = 0  # bytes of files that a folder may hold to be sent as one; 0: none
    private: bool = False
    hosts: OwnHosts = field(default_factory=OwnHosts)
    links: Links = field(default_factory=Links)
    indexes: FolderIndexes | None = None
    health_monitor: HealthMonitor = field(default_factory=lambda: HealthMonitor(time.monotonic))
    deadlines: Deadlines
    max_connections: int
    max_per_client: int
    pictures_report: Callable[[], PicturesReport | None] = lambda: None
    max_age: int = 0  # seconds for which clients may use a file without asking again
    niivue: str | None = None  # the path of its bundle
    proxies: TrustedProxies = NONE  # whose word counts for the address of a client


class ResourceTree(Resource):
    """Which path leads where: one resource for each kind of route."""

    def __init__(self, parts: Parts, clock: IReactorTime) -> None:
        super().__init__()
        manager, access = parts.manager, parts.access
        serializers = Serializers(manager, parts.urls, clock)
        waiting = WaitLimit(MAX_WAITING_PER_FOLDER, MAX_WAITING_PER_CLIENT)
        indexes = parts.indexes or FolderIndexes(clock.seconds)
        archives = Archives(parts.run_blocking, parts.archive_limit)
        folders = FolderListings(
            *(serializers, parts.run_blocking, indexes, waiting, archives),
            has_ca=parts.has_ca,
            has_pictures=parts.pictures.are_offered,
        )
        images = ImageLists(manager, parts.urls, parts.run_blocking, waiting)
        maker = parts.pictures
        collections = CollectionEndpoints(manager, serializers, access, folders, images, maker)
        actions = Actions(manager, serializers, parts.urls, parts.hosts, parts.dicom)
        link_actions = LinkActions(parts.links, parts.urls, access)
        self.token_form = TokenForm(parts.links, access, parts.hosts, parts.urls, clock)
        dicom = DicomEndpoints(
            DicomParts(
                manager,
                parts.dicom,
                maker,
                Addresses(parts.urls, parts.links),
                parts.run_blocking,
                manager.ask,
            )
        )
        niivue = NiiVue(parts.niivue, manager.ask) if parts.niivue else None
        documents = Files(parts.document_root, folders, manager.ask, maker, send_well_known)
        self._resources: dict[RouteKind, Resource] = {
            RouteKind.STATUS: RootEndpoint(
                documents,
                serializers,
                WholeStatus(manager, serializers, parts.run_blocking),
                access,
            ),
            RouteKind.DOCUMENTS: documents,
            RouteKind.INDEX: documents,
            RouteKind.CURRENT_FILES: Reply(collections.current_files, deep=True),
            RouteKind.COLLECTION_FILES: Reply(collections.files, deep=True),
            RouteKind.DICOM: Reply(dicom.dicom, deep=True),
            RouteKind.DICOM_JSON: Reply(dicom.ohif),
            RouteKind.DICOMWEB: Reply(dicom.dicomweb, deep=True),
            RouteKind.COLLECTIONS: Reply(collections.all),
            RouteKind.COLLECTION: Reply(collections.one),
            RouteKind.IMAGES: Reply(collections.images),
            RouteKind.HEALTH: health(parts.uptime, parts.health_monitor, parts.pictures_report),
            RouteKind.TIMEOUT: timeout(manager),
            RouteKind.SET_TIMEOUT: control(access, actions.timeout, deep=True),
            RouteKind.LOAD: control(access, actions.load),
            RouteKind.UNLOAD: control(access, actions.unload),
            RouteKind.PUBLIC_URL: control(access, actions.public_url),
            RouteKind.LINKS: control(access, link_actions.make),
            RouteKind.REVOKE_LINKS: control(access, link_actions.revoke),
            RouteKind.SIGNED: SignedEndpoint(
                parts.links, self, self.token_form.show_expired if parts.private else None
            ),
            RouteKind.FORM: self.token_form if parts.private else Reply(not_found),
            RouteKind.ASSETS: own_files(parts.ca_pem, niivue),
            RouteKind.VIEW: Viewer(parts.document_root, manager, parts.pictures, niivue),
            RouteKind.UNKNOWN: Reply(not_found),
        }

    def getChild(self, _path: bytes, request: Request) -> Resource:
        """Called by twisted.web, once for each request."""
        return self._resources[request.route.kind]


def not_found(_request: Request) -> None:
    raise NotFound


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
        tree = ResourceTree(parts, reactor)
        root = PrivateTree(tree, parts.access, tree.token_form.show_for) if parts.private else tree
        super().__init__(root, reactor=reactor, parsePOSTFormSubmission=False)
        self.timeOut = None  # the limiter has the deadlines
        self.health_monitor = parts.health_monitor
        table = ConnectionTable(parts.deadlines, parts.max_connections, parts.max_per_client)
        self.proxies = parts.proxies
        self.limiter = ConnectionLimiter(
            table, reactor, parts.health_monitor, self._note_idle, parts.proxies
        )
        self.access = parts.access
        self.header_policy = parts.headers
        self.max_age = parts.max_age
        self._access_log = access_log
        self.hosts = parts.hosts
        self.file_cache = None if parts.private else _file_cache(parts, reactor)
        self._fast_path = (
            DisabledFastPath()
            if self.file_cache is None
            else FastPath(
                self.file_cache,
                parts.headers,
                None if access_log is None else self.log,
                accepts_host=parts.hosts.accepts,
            )
        )
        self.fast_path: FastPath | ReportingFastPath | DisabledFastPath = self._fast_path

    def getResourceFor(self, request: Request) -> Resource:
        """Called by a request for what answers it."""
        host = request.getHeader(b"host")
        if request.method != b"POST" and not self.hosts.accepts(host):
            return Refusing(self.hosts.misdirected(host))
        resource: Resource = super().getResourceFor(request)
        return resource

    def refusing(self, error: ImgdError) -> Resource:
        """What answers a request that is refused, wherever its path leads."""
        return Refusing(error)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Called by twisted for each connection."""
        is_proxy = getattr(addr, "host", "") in self.proxies
        self.protocol = ProxiedChannel if is_proxy else Channel
        return super().buildProtocol(addr)

    def _note_idle(self, is_full: bool) -> None:
        """Tell the limiter of the fast path's answers while it looks for idle connections."""
        if isinstance(self._fast_path, FastPath):
            reporting = ReportingFastPath(self._fast_path, self.limiter.note_idle)
            self.fast_path = reporting if is_full else self._fast_path

    def drain(self, grace: float) -> Deferred[None]:
        """Answer what was asked, and end every connection: done after ``grace`` seconds at most."""
        self.fast_path = self._fast_path = DisabledFastPath()  # its answers keep a connection open
        return self.limiter.drain(grace)

    def startFactory(self) -> None:
        """The stock site would write every request into the daemon's own log."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: Request | FastPathRequest) -> None:  # type: ignore[override]  # no others here
        """Called once for each request, when it is answered."""
        if self._access_log is not None:
            self._access_log(access_line(request, time.time()))


def _file_cache(parts: Parts, reactor: IReactorTime) -> FileCache:
    return FileCache(
        parts.document_root,
        parts.manager,
        parts.memory_cache,
        call_soon=lambda f: reactor.callLater(0, f),
        run_unawaited=parts.run_unawaited,
        max_age=parts.max_age,
    )


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
