"""A whole site in memory: real files and real routes; no sockets, threads or waiting."""

from __future__ import annotations

import http.client
import io
import json
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.manager import CollectionManager, LoadedCollection, LoadSpec
from imgd.collections.policy import DirectoryPolicy
from imgd.collections.stored_rows import StoredCollection, StoredTimeout, StoredTimer
from imgd.core.connections import Deadlines
from imgd.core.forwarded import NONE
from imgd.core.routes import RESERVED
from imgd.dicom import indexes as dicom_indexes
from imgd.dicom.index_store import IndexStore
from imgd.dicom.indexer import IndexerParts
from imgd.dicom.indexes import DicomIndexes
from imgd.files.dicom_files import DicomFiles
from imgd.files.disk import Root
from imgd.host.health_monitor import HealthMonitor
from imgd.pictures import maker
from imgd.pictures.cache import PictureCache
from imgd.pictures.maker import Maker, Pictures
from imgd.pictures.views import ViewKind
from imgd.web.access import Access
from imgd.web.own_hosts import OwnHosts
from imgd.web.response_headers import HeaderPolicy
from imgd.web.serializers import Urls
from imgd.web.server import Parts, Site
from imgd.web.signed_links import Links

TOKEN = "a-token-for-the-tests"
DEADLINES = Deadlines(handshake=10, header=20, body=30, stalled=60, idle=75)
LIMITS = {
    "deadlines": DEADLINES,
    "max_connections": 10_000,
    "max_per_client": 0,
    "memory_cache": 64_000_000,
    "archive_limit": 1_000_000_000,
}
CA_PEM = b"-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"  # of no real one
WALL = 1_800_000_000.0  # at which the wall clock starts, in seconds since the epoch
T = TypeVar("T")


class MemoryStore:
    """The methods of ``imgd.collections.store.Store``, over a dict; changes raise ``fail``."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredCollection] = {}
        self.timeout: StoredTimeout | None = None
        self.fail: Exception | None = None

    def collections(self) -> list[StoredCollection]:
        return [self.rows[name] for name in sorted(self.rows)]

    def put(self, collection: StoredCollection) -> None:
        self._check()
        self.rows[collection.name] = collection

    def remove(self, name: str) -> None:
        self._check()
        self.rows.pop(name, None)

    def reschedule(self, timers: Iterable[StoredTimer]) -> None:
        self._check()
        for name, expires_at, minutes in timers:
            if name in self.rows:
                self.rows[name] = replace(
                    self.rows[name], expires_at=expires_at, timeout_minutes=minutes
                )

    def default_timeout(self) -> StoredTimeout | None:
        return self.timeout

    def set_default_timeout(
        self, timeout: StoredTimeout | None, timers: Iterable[StoredTimer] = ()
    ) -> None:
        self.reschedule(timers)
        self.timeout = timeout

    def close(self) -> None:
        """Nothing to close."""

    def _check(self) -> None:
        if self.fail is not None:
            raise self.fail


def log_lines(case: SynchronousTestCase, namespace: str = "") -> list[str]:
    """The log's lines of a package from now on, until the test is over."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if str(event.get("log_namespace", "")).startswith(namespace):
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]  # a plain function
    case.addCleanup(globalLogPublisher.removeObserver, observe)  # type: ignore[arg-type]
    return lines


class Wall:
    """A wall clock that follows a monotonic one, and can be set by ``offset``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset = WALL

    def __call__(self) -> float:
        return self._clock.seconds() + self.offset


class Blocking:
    """Runs blocking work at once, or, while ``held``, when ``step`` or ``release`` is called."""

    def __init__(self) -> None:
        self.held = False
        self.calls = 0
        self._waiting: list[tuple[Deferred[Any], Any]] = []

    def __call__(
        self, directory: str, f: Callable[..., T], *args: Any, key: Hashable | None = None
    ) -> Deferred[T]:
        return self.run_own(f, *args)

    def run_own(self, f: Callable[..., T], *args: Any) -> Deferred[T]:
        """The same for work that says no directory."""
        self.calls += 1
        if not self.held:
            return execute(f, *args)
        done: Deferred[T] = Deferred(self._drop)
        self._waiting.append((done, lambda: execute(f, *args)))
        return done

    def _drop(self, done: Deferred[Any]) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting[0] is not done]

    def step(self) -> None:
        """Do the next piece of work that waits."""
        done, work = self._waiting.pop(0)
        work().chainDeferred(done)

    def fail(self, error: Exception) -> None:
        """Fail the next piece of work that waits."""
        done, _ = self._waiting.pop(0)
        done.errback(error)

    def release(self) -> None:
        """Do all the work that waits now, in order."""
        waiting, self._waiting = self._waiting, []
        for done, work in waiting:
            work().chainDeferred(done)

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._waiting)


class Transport(StringTransport):
    """A connection in memory that keeps whether it was aborted."""

    aborted = False
    protocol: Any = None

    def __init__(self, peer: str) -> None:
        super().__init__(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 8888),
            peerAddress=IPv4Address("TCP", peer, 50000),
        )

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True
        if self.protocol is not None:
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(ConnectionAborted()))

    def lose(self) -> None:
        """The client closes the connection."""
        if self.protocol is not None:
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(ConnectionDone()))

    def getTcpKeepAlive(self) -> bool:
        return False


@dataclass(frozen=True)
class Answer:
    """An answer: ``headers`` by lower-case name, repeated ones joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    aborted: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def parse_answer(raw: bytes, method: str = "GET", *, aborted: bool = False) -> Answer:
    """The first answer in the bytes that a server sent."""
    response = http.client.HTTPResponse(_Socket(raw), method=method)  # type: ignore[arg-type]
    response.begin()
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    try:
        body = response.read()
    except http.client.IncompleteRead as error:
        body = error.partial
    return Answer(response.status, headers, body, aborted)


class MemorySite:
    """A site with a document root and collections, whose clocks the test advances."""

    def __init__(
        self,
        folder: str,
        *,
        cors_origins: tuple[str, ...] = (),
        hosts: tuple[str, ...] | None = None,
        own_names: tuple[str, ...] = (),
        follow_symlinks: bool = False,
        allowed: tuple[str, ...] = (),
        store: MemoryStore | None = None,
        minutes: int = 30,
        public_url: str | None = None,
        private: bool = False,
        has_ca: bool = True,
        dicom_files: DicomFiles | None = None,
        access: Mapping[str, Any] | None = None,
        picture_pool: Maker | None = None,
        picture_cache: int = 10_000_000,
        patient_data: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.state_dir = os.path.join(folder, "state")
        self.documents = os.path.join(folder, "documents")
        for path in (self.state_dir, self.documents):
            os.makedirs(path, exist_ok=True)
        self.clock = Clock()
        self.wall = Wall(self.clock)
        self.store = store if store is not None else MemoryStore()
        self.blocking = Blocking()
        self.manager = CollectionManager(
            store=self.store,
            policy=DirectoryPolicy(
                base=folder,
                allowed=allowed,
                forbidden=(os.path.realpath(self.state_dir),),
                follow_symlinks=follow_symlinks,
                documents=os.path.realpath(self.documents),
                dicom_files=dicom_files or DicomFiles(),
            ),
            clock=self.clock,
            wall=self.wall,
            run_blocking=self.blocking,
            ask=self.blocking,
            run_store=self.blocking.run_own,
            configured_minutes=minutes,
        )
        # Without ``hosts``, no host is known to be the site's, and a read may name any.
        own_hosts = OwnHosts(
            hosts or own_names,
            accepts_others=hosts is None,
            proxies=(more or {}).get("proxies", NONE),
        )
        self.urls = Urls("https://localhost:8888/", public_url, own_hosts)
        self.access_lines: list[str] = []
        self.pictures = Pictures(
            picture_pool,
            PictureCache(os.path.join(self.state_dir, "pictures"), picture_cache, self.blocking),
            self.blocking,
            self.clock.seconds,
            why_off=maker.NO_EXTRA if picture_pool is None else "",
        )
        self.dicom = DicomIndexes(
            self.manager,
            None if picture_pool is None else self._indexer(picture_pool, patient_data),
            dicom_indexes.NO_EXTRA,
        )
        parts = Parts(
            document_root=Root(
                os.path.realpath(self.documents),
                follow_symlinks=follow_symlinks,
                forbidden=(os.path.realpath(self.state_dir),),
                hidden=RESERVED,
            ),
            manager=self.manager,
            urls=self.urls,
            access=Access(
                TOKEN,
                ("localhost", "127.0.0.1", "::1"),
                **{"token_always": private, **(access or {})},
            ),
            headers=HeaderPolicy(cors_origins, private=private),
            hosts=own_hosts,
            run_blocking=self.blocking,
            run_unawaited=self.blocking.run_own,
            uptime=lambda: 12.5,
            ca_pem=lambda: CA_PEM if has_ca else None,
            has_ca=has_ca,
            pictures=self.pictures,
            dicom=self.dicom,
            private=private,
            links=Links(wall=self.wall),
            health_monitor=HealthMonitor(self.clock.seconds),
            **{**LIMITS, **(more or {})},
        )
        self.site = Site(parts, self.clock, self.access_lines.append)

    def _indexer(self, pool: Maker, patient_data: bool) -> IndexerParts:
        return IndexerParts(
            pool=pool,
            view=ViewKind.PATIENT_INDEX if patient_data else ViewKind.INDEX,
            lanes=2,
            store=IndexStore(os.path.join(self.state_dir, "dicom.sqlite3")),
            run=self.blocking,
            run_store=self.blocking.run_own,
            clock=self.clock,
        )

    def connect(self, peer: str = "127.0.0.1") -> Transport:
        """A new connection: write to its protocol with ``transport.protocol.dataReceived``."""
        transport = Transport(peer)
        protocol = self.site.buildProtocol(transport.getPeer())
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def ask(
        self,
        path: str | bytes,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        peer: str = "127.0.0.1",
    ) -> Answer:
        """One request over a new connection, to its end."""
        target = path if isinstance(path, bytes) else path.encode("ascii")
        sent = {"Host": "localhost:8888", **(headers or {})}
        if body:
            sent.setdefault("Content-Length", str(len(body)))
        lines = [b"%b %b HTTP/1.1" % (method.encode("ascii"), target)]
        lines += [f"{name}: {value}".encode("latin-1") for name, value in sent.items()]
        transport = self.connect(peer)
        transport.protocol.dataReceived(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return parse_answer(transport.value(), method, aborted=transport.aborted)

    def post(self, path: str, message: object = None, **more: Any) -> Answer:
        """A control request with this JSON."""
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        body = b"" if message is None else json.dumps(message).encode("ascii")
        return self.ask(path, "POST", headers, body, **more)

    def load(self, directory: str, **order: Any) -> LoadedCollection:
        """Load a directory without the API."""
        result: list[LoadedCollection] = []
        work = Deferred.fromCoroutine(self.manager.load(LoadSpec(directory, **order)))
        work.addCallback(result.append)
        return result[0]


def write(path: str, data: bytes = b"data") -> str:
    """Write a file, and make the folders above it; returns the path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def record_log(case: SynchronousTestCase) -> list[LogEvent]:
    """The events of Twisted's log from now to the end of the test, also those still to come."""
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)
    return events
