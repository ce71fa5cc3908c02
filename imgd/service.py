"""Settings to the running daemon: the one module that puts all parts together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.logger import globalLogPublisher

from imgd import __version__
from imgd.certificates.files import subject_names
from imgd.certificates.local_certificates import LocalCertificates
from imgd.certificates.names import required_names
from imgd.certificates.user_certificates import UserCertificates
from imgd.certificates.watch import CertificateSource, CertificateWatch
from imgd.collections.manager import CollectionManager
from imgd.collections.policy import DirectoryPolicy
from imgd.collections.store import Store
from imgd.core import health
from imgd.core.access_rules import who_may_read
from imgd.core.connections import Deadlines
from imgd.core.forwarded import TrustedProxies
from imgd.core.messages import PicturesReport
from imgd.core.routes import RESERVED
from imgd.core.urls import is_loopback
from imgd.dicom import indexes as dicom_indexes
from imgd.dicom.indexes import DicomIndexes
from imgd.errors import StartError
from imgd.files.disk import Root, hidden_by
from imgd.files.folder_indexes import FolderIndexes
from imgd.host import descriptors, instance_lock, secret_files, socket_owner
from imgd.host.access_log import AccessLog
from imgd.host.atomic_files import make_private_folder
from imgd.host.blocking import BlockingRunner
from imgd.host.clock import make_monotonic
from imgd.host.health_checks import HealthChecks
from imgd.host.health_monitor import HealthMonitor
from imgd.host.secret_files import SIGNING_KEY, TOKEN
from imgd.host.shutdown import Shutdown, within
from imgd.host.state_monitor import StateMonitor
from imgd.logs import Logger, SeldomFailures, one_line
from imgd.net.accept_errors import AcceptErrors
from imgd.net.bulk_tls import tls_factory
from imgd.net.listen import SwitchableFactory, address_of, bind, close, number_of
from imgd.net.listen_urls import ListenUrls
from imgd.net.tls import SwappableContext, build_context
from imgd.net.transports import warn_if_slow
from imgd.pictures import maker
from imgd.pictures.pool import PicturePool
from imgd.settings import Settings
from imgd.web.access import make_access
from imgd.web.own_hosts import OwnHosts
from imgd.web.response_headers import HeaderPolicy
from imgd.web.serializers import Urls
from imgd.web.server import Parts, Site
from imgd.web.signed_links import Links

CLOSE_TIMEOUT: Final = 5  # seconds that storing the last change may take when the daemon ends
MEGABYTE: Final = 1_000_000  # bytes


def make(settings: Settings, reactor: Any) -> Daemon:
    """The daemon for these settings, not yet started; every log line is one line from here on."""
    make_monotonic(reactor)
    health_monitor = HealthMonitor(reactor.seconds)
    accept_errors = AcceptErrors(
        lambda detail: health_monitor.report(health.DESCRIPTORS, detail=detail)
    )
    for observer in (accept_errors, SeldomFailures(reactor.seconds), one_line):
        globalLogPublisher.addObserver(observer)  # type: ignore[arg-type]  # plain functions
    return Daemon(settings, reactor, health_monitor)


class Daemon(Service):
    """imgd as twistd runs it. A start that fails raises StartError, in one sentence.

    Ports are bound first, while there may be the privilege to; files are touched in
    ``startService``, by the user that twistd changed to.
    """

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any, health_monitor: HealthMonitor) -> None:
        self._settings = settings
        self._reactor = reactor
        self._health_monitor = health_monitor
        self._state_dir = os.path.realpath(settings.state_dir)
        self._runner = BlockingRunner(reactor, settings.disk_timeout)
        self._checks = HealthChecks(reactor, self._runner, health_monitor)
        self._state = StateMonitor(self._state_dir, self._runner, health_monitor, reactor.seconds)
        self._started = time.monotonic()
        self._main, self._plain = SwitchableFactory(), SwitchableFactory()
        self._main_ports: list[IListeningPort] = []
        self._plain_ports: list[IListeningPort] = []
        self._names: Sequence[str] = ()
        self._cleanup = ExitStack()
        self._on_hangup: list[Callable[[], object]] = []
        self._manager: CollectionManager | None = None
        self._site: Site | None = None
        self._dicom: DicomIndexes | None = None
        self._picture_pool = self._make_picture_pool()

    @property
    def url(self) -> str:
        """The URL of the main port, with a slash at the end."""
        return self._urls.url

    @property
    def _urls(self) -> ListenUrls:
        scheme = "https" if self._settings.tls else "http"
        host, names = self._settings.host, self._names
        return ListenUrls(host, scheme, self._main_ports, self._plain_ports, names)

    def privilegedStartService(self) -> None:
        """Bind every port."""
        host = self._settings.host
        self._main_ports = bind(self._reactor, host, self._settings.port, self._main)
        if self._settings.http_port is not None:
            self._plain_ports = bind(self._reactor, host, self._settings.http_port, self._plain)

    def startService(self) -> None:
        """Lock the state folder, restore what was loaded, and accept connections."""
        settings = self._settings
        if settings.settings_file is not None:
            self.log.info("Settings were read from {path}", path=settings.settings_file)
        for warning in settings.warnings:
            self.log.warn("{warning}", warning=warning)
        lock = self._lock_state_folder()
        secret_files.refuse_open(self._state_dir)
        token = settings.token or TOKEN.read_or_make(self._state_dir)
        store = Store.open(os.path.join(self._state_dir, "catalog.sqlite3"))
        self._state.watch(store.check_path)
        manager = self._manager = self._make_manager(store)
        manager.restore()
        warn_if_slow(tls=settings.tls)
        watch, context = self._make_certificates() if settings.tls else (None, None)
        self._names = _own_names(settings)
        renew_key = partial(self._state.run_beside, secret_files.renew_signing_key, self._state_dir)
        links = Links(SIGNING_KEY.read_or_make(self._state_dir), renew_key)
        site = self._site = self._make_site(token, manager, watch, links)
        self._start(site)
        self._plain.wrapped = site
        self._main.wrapped = tls_factory(context, site, self._reactor) if context else site
        lock.publish(self._urls.published(), watch.files.ca_pem if watch and watch.files else None)
        self._log_start(watch)
        super().startService()

    def _start(self, site: Site) -> None:
        """Start what runs beside the site: health checks, deadlines and signals."""
        self._main.may_accept = self._plain.may_accept = site.limiter.may_accept
        self._plain.refusal = site.limiter.overload_protocol
        if not self._settings.tls:
            self._main.refusal = site.limiter.overload_protocol
        self._checks.each_second(self._state.tick)
        self._checks.start()
        self._cleanup.callback(self._runner.close)
        self._cleanup.callback(self._checks.stop)
        self._handle_hangups()
        site.limiter.start()
        shutdown = Shutdown(self._reactor, site.limiter.abort_now)
        self._reactor.callWhenRunning(shutdown.install)
        self._cleanup.callback(shutdown.uninstall)

    def stopService(self) -> Deferred[None]:
        """Stop listening, let what is under way end, store the last change, and release the state
        folder.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await gatherResults([close(port) for port in (*self._main_ports, *self._plain_ports)])
        if self._site is not None:
            await self._site.drain(self._settings.grace)
        if self._dicom is not None:
            await within(CLOSE_TIMEOUT, self._dicom.stop(), self._reactor)
        if self._picture_pool is not None:
            await within(CLOSE_TIMEOUT, self._picture_pool.stop(), self._reactor)
        if self._manager is not None:
            closing = Deferred.fromCoroutine(self._manager.close())
            if not await within(CLOSE_TIMEOUT, closing, self._reactor):
                self.log.error("The state could not be closed: its disk does not answer")
        self._cleanup.close()

    # The parts

    def _lock_state_folder(self) -> instance_lock.InstanceLock:
        try:
            make_private_folder(self._state_dir)
        except OSError as error:
            raise StartError(
                f"Cannot make the state folder {self._state_dir}: {error.strerror}."
            ) from None
        lock = instance_lock.acquire(self._state_dir)
        self._cleanup.callback(lock.release)
        return lock

    def _make_manager(self, store: Store) -> CollectionManager:
        settings = self._settings
        policy = DirectoryPolicy(
            base=settings.frame_base_dir,
            allowed=settings.allow_roots,
            forbidden=(self._state_dir,),
            follow_symlinks=settings.follow_symlinks,
            documents=os.path.realpath(settings.images_dir),
        )
        return CollectionManager(
            store=store,
            policy=policy,
            clock=self._reactor,
            wall=time.time,
            run_blocking=self._runner.run,
            ask=self._runner.ask,
            run_store=self._state.run,
            configured_minutes=settings.timeout_minutes,
        )

    def _pictures_report(self) -> PicturesReport:
        if self._picture_pool is not None:
            return self._picture_pool.status()
        return PicturesReport(off="--picture-workers 0" if maker.is_installed() else maker.PIP_LINE)

    def _make_picture_pool(self) -> PicturePool | None:
        """None if no pictures are made. No process is started before the first picture."""
        settings = self._settings
        workers = settings.picture_workers
        if workers is None:
            workers = max(1, (os.cpu_count() or 1) - 1)
        if not workers or not maker.is_installed():
            return None
        return PicturePool(
            self._reactor,
            workers=workers,
            max_pixels=settings.picture_pixels,
            timeout=settings.picture_timeout,
            health_monitor=self._health_monitor,
        )

    def _make_certificates(self) -> tuple[CertificateWatch, SwappableContext]:
        settings = self._settings
        source: CertificateSource
        if settings.cert and settings.key:
            source = UserCertificates(settings.cert, settings.key)
            self._warn_of_open_key(settings.key)
        else:
            source = LocalCertificates(
                self._state_dir,
                lambda: required_names(settings.host, settings.tls_names),
                force_leaf=settings.generate_certs,
            )
        context = SwappableContext(build_context(source.pairs))
        run = partial(self._runner.run_internal, "certificates")
        watch = CertificateWatch(source, context.serve, run, self._reactor, self._health_monitor)
        watch.start()
        self._cleanup.callback(watch.stop)
        self._on_hangup.append(watch.check)
        return watch, context

    def _warn_of_open_key(self, key: str) -> None:
        """Not refused: containers get their secrets in files that everybody may read."""
        if secret_files.is_open_to_others(key, secret_files.EVERYBODY):
            self.log.warn("The key {key} can be read by every user of this machine", key=key)

    def _make_site(
        self, token: str, manager: CollectionManager, watch: CertificateWatch | None, links: Links
    ) -> Site:
        settings = self._settings
        indexes = FolderIndexes(self._reactor.seconds)
        self._checks.each_second(indexes.drop_unused)
        max_connections, max_per_client = _connection_limits(settings)
        proxies = TrustedProxies(settings.proxies)
        hosts = self._own_hosts(proxies)
        parts = Parts(
            document_root=self._document_root(),
            manager=manager,
            urls=Urls(self.url, settings.public_url, hosts),
            access=make_access(
                token,
                settings.allow_hosts,
                token_always=settings.require_token or settings.private,
                socket_owner=socket_owner.choose(),
            ),
            hosts=hosts,
            headers=HeaderPolicy(settings.cors_origins, private=settings.private),
            run_blocking=self._runner.run,
            run_unawaited=self._runner.run_unawaited,
            uptime=lambda: time.monotonic() - self._started,
            ca_pem=lambda: watch.ca_pem() if watch else None,
            has_ca=watch is not None and watch.files is not None,
            pictures_report=self._pictures_report,
            pictures=maker.make(
                self._picture_pool,
                self._state_dir,
                settings.picture_cache * MEGABYTE,
                self._runner.ask,
                self._reactor.seconds,
            ),
            dicom=self._make_dicom(manager),
            memory_cache=settings.memory_cache * MEGABYTE,
            archive_limit=settings.archive_limit * MEGABYTE,
            private=settings.private,
            max_age=settings.max_age,
            links=links,
            niivue=settings.niivue,
            proxies=proxies,
            indexes=indexes,
            health_monitor=self._health_monitor,
            deadlines=_deadlines(settings),
            max_connections=max_connections,
            max_per_client=max_per_client,
        )
        return Site(parts, self._reactor, self._access_log())

    def _make_dicom(self, manager: CollectionManager) -> DicomIndexes:
        dicom = self._dicom = dicom_indexes.make(
            manager,
            self._picture_pool,
            self._state_dir,
            self._runner,
            self._reactor,
            with_patients=self._settings.patient_data,
        )
        self._checks.each_second(dicom.drop_unloaded)
        return dicom

    def _own_hosts(self, proxies: TrustedProxies) -> OwnHosts:
        settings = self._settings
        is_reached = not all(is_loopback(address_of(port)) for port in self._main_ports)
        # What is below .localhost is on this machine in every browser (RFC 6761 section 6.3).
        names = [*settings.allow_hosts, "*.localhost", *self._names]
        own_hosts = OwnHosts(names, accepts_others=is_reached, proxies=proxies)
        own_hosts.add_url(settings.public_url)
        return own_hosts

    def _document_root(self) -> Root:
        settings = self._settings
        if settings.images_dir_is_default:
            _make_folder(settings.images_dir)
        root = Root(
            os.path.realpath(settings.images_dir),
            follow_symlinks=settings.follow_symlinks,
            forbidden=(self._state_dir,),
            hidden=RESERVED,
        )
        for name in hidden_by(root):
            self.log.warn("{path} is not served: /{name} is imgd's own", path=root.path, name=name)
        return root

    def _access_log(self) -> Callable[[str], None] | None:
        path = self._settings.access_log
        if path == "-":
            return lambda line: self.log.info("{line}", line=line)
        if not path:
            return None
        access_log = AccessLog(path)
        self._checks.add(health.ACCESS_LOG, lambda: path if access_log.is_losing else "")
        self._cleanup.callback(access_log.close)
        self._on_hangup.append(access_log.reopen)
        return access_log.write

    def _handle_hangups(self) -> None:
        """Handle SIGHUP on the reactor's thread, if the platform has it."""
        if hasattr(signal, "SIGHUP"):
            previous = signal.signal(signal.SIGHUP, self._hang_up)
            self._cleanup.callback(signal.signal, signal.SIGHUP, previous)

    def _hang_up(self, *_: object) -> None:
        for action in self._on_hangup:
            self._reactor.callFromThread(action)

    def _log_start(self, watch: CertificateWatch | None) -> None:
        settings = self._settings
        self._urls.log_urls()
        self.log.info("Serving {path}", path=os.path.realpath(settings.images_dir))
        files = watch.files if watch else None
        if files is not None and files.ca is not None:
            self.log.info(
                "The CA certificate to trust is {path} (SHA-256 {fingerprint})",
                path=files.ca_pem,
                fingerprint=files.ca_fingerprint,
            )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{host}:{number_of(self._main_ports[0])}"
        readers = who_may_read(address, settings.cors_origins, private=settings.private)
        self.log.info("May read: {readers}", readers=readers)
        if not settings.token:
            self.log.info("The token is in {path}", path=TOKEN.path(self._state_dir))
        if settings.compat_b:
            needs_token = settings.require_token or settings.private
            here = "" if needs_token else "programs of this user on this machine, and "
            self.log.info(
                "May control: {here}everybody who sends the token (Authorization: Bearer TOKEN)",
                here=here,
            )
        self.log.info("imgd {version} is ready: open {url}", version=__version__, url=self.url)


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"Cannot make the document root {path}: {error.strerror}. Name another by --images-dir."
        ) from None


def _own_names(settings: Settings) -> list[str]:
    """The names and addresses of this machine, as its certificates hold them or might."""
    names = required_names(settings.host, settings.tls_names)
    certified = subject_names(settings.cert) if settings.tls and settings.cert else []
    return list(dict.fromkeys([*certified, *names.dns, *names.ips]))


def _deadlines(settings: Settings) -> Deadlines:
    return Deadlines(
        handshake=settings.handshake_timeout,
        header=settings.header_timeout,
        body=settings.body_timeout,
        stalled=settings.stall_timeout,
        idle=settings.idle_timeout,
    )


def _connection_limits(settings: Settings) -> tuple[int, int]:
    """How many connections there may be in all, and of one client (0: any number)."""
    limit = settings.max_connections or descriptors.connections_for(descriptors.raise_limit())
    per_client = settings.max_per_client
    return limit, max(1, limit // 4) if per_client is None else per_client
