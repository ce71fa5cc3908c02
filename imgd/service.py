"""Settings to the running daemon: the one place where everything meets."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
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
from imgd.collections.scan import Policy
from imgd.collections.store import Store
from imgd.core import health
from imgd.core.access_rules import who_may_read
from imgd.core.connections import Deadlines
from imgd.core.forwarded import TrustedProxies
from imgd.core.routes import RESERVED
from imgd.core.urls import is_loopback
from imgd.errors import StartError
from imgd.files.disk import Root, hidden_by
from imgd.files.folder_indexes import FolderIndexes
from imgd.host import (
    control_token,
    descriptors,
    instance_lock,
    secret_file,
    signing_key,
    socket_owner,
)
from imgd.host.access_log import AccessLog
from imgd.host.atomic import make_private_folder
from imgd.host.blocking import BlockingRunner
from imgd.host.clock import MonotonicClock, never_set_back
from imgd.host.shutdown import Shutdown, within
from imgd.logs import Logger, SeldomFailures, one_line
from imgd.net.accept_errors import AcceptErrors
from imgd.net.bulk_tls import tls_factory
from imgd.net.listen import SwitchableFactory, address_of, bind, close, number_of
from imgd.net.listen_urls import ListenUrls
from imgd.net.tls import SwappableContext, build_context
from imgd.net.transports import warn_if_slow
from imgd.settings import Settings
from imgd.web.access import make_access
from imgd.web.own_hosts import OwnHosts
from imgd.web.response_headers import HeaderPolicy
from imgd.web.serializers import Urls
from imgd.web.server import Parts, Site
from imgd.web.signed_links import Links

LAST_CHANGE: Final = 5  # seconds that storing it may take when the daemon ends
MEGABYTE: Final = 1_000_000  # bytes


def make(settings: Settings, reactor: Any) -> Daemon:
    """The daemon for these settings, not yet started; every log line is one line from here on."""
    never_set_back(reactor)
    machine = BlockingRunner(reactor, os.path.realpath(settings.state_dir), settings.disk_timeout)
    seldom = SeldomFailures(reactor.seconds)
    for observer in (AcceptErrors(machine.no_descriptor), seldom, one_line):
        globalLogPublisher.addObserver(observer)  # type: ignore[arg-type]  # plain functions
    return Daemon(settings, reactor, machine)


class Daemon(Service):
    """imgd as twistd runs it. A start that fails raises StartError, in one sentence.

    Ports are bound first, while there may be the privilege to; files are touched in
    ``startService``, by the user that twistd changed to.
    """

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any, machine: BlockingRunner) -> None:
        self._settings = settings
        self._reactor = reactor
        self._machine = machine
        self._started = time.monotonic()
        self._main, self._plain = SwitchableFactory(), SwitchableFactory()
        self._main_ports: list[IListeningPort] = []
        self._plain_ports: list[IListeningPort] = []
        self._undo = ExitStack()
        self._hangups: list[Callable[[], object]] = []  # what SIGHUP asks for
        self._manager: CollectionManager | None = None
        self._site: Site | None = None

    @property
    def url(self) -> str:
        """Where this daemon is reached on its main port, with a slash at the end."""
        return self._where.url

    @property
    def _where(self) -> ListenUrls:
        scheme = "https" if self._settings.tls else "http"
        return ListenUrls(self._settings.host, scheme, self._main_ports, self._plain_ports)

    def privilegedStartService(self) -> None:
        """Bind every port."""
        wanted = self._settings
        self._main_ports = bind(self._reactor, wanted.host, wanted.port, self._main)
        if wanted.http_port is not None:
            self._plain_ports = bind(self._reactor, wanted.host, wanted.http_port, self._plain)

    def startService(self) -> None:
        """Take the state folder, bring back what was loaded, and open the doors."""
        wanted = self._settings
        if wanted.settings_file is not None:
            self.log.info("Settings were read from {path}", path=wanted.settings_file)
        state_dir = os.path.realpath(wanted.state_dir)
        hold = self._take_state_folder(state_dir)
        secret_file.refuse_open(state_dir)
        secret = wanted.token or control_token.read_or_make(state_dir)
        store = Store.open(os.path.join(state_dir, "catalog.sqlite3"))
        self._machine.keep(store)
        manager = self._manager = self._make_keeper(state_dir, store)
        manager.restore()
        warn_if_slow(tls=wanted.tls)
        watch, context = self._make_certificates(state_dir) if wanted.tls else (None, None)
        links = self._make_links(state_dir, store)
        site = self._site = self._make_site(state_dir, secret, manager, watch, links)
        self._open(site)
        self._plain.wrapped = site
        self._main.wrapped = tls_factory(context, site, self._reactor) if context else site
        made = watch.files if watch else None
        hold.publish(self._where.urls, made.ca_pem if made else None)
        self._say_where(state_dir, watch)
        super().startService()

    def _open(self, site: Site) -> None:
        """Look after the machine, the connections and the signals while this runs."""
        self._main.may_accept = self._plain.may_accept = site.limiter.may_accept
        self._plain.refusal = site.limiter.overload_protocol
        if not self._settings.tls:
            self._main.refusal = site.limiter.overload_protocol
        self._machine.start()
        self._undo.callback(self._machine.stop)
        self._heed_hangups()
        site.limiter.start()
        stopping = Shutdown(self._reactor, site.limiter.abort_now)
        self._reactor.callWhenRunning(stopping.listen)
        self._undo.callback(stopping.uninstall)

    def stopService(self) -> Deferred[None]:
        """Stop listening, let what is under way end, store the last change, and give the state
        folder back.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await gatherResults([close(port) for port in (*self._main_ports, *self._plain_ports)])
        if self._site is not None:
            await self._site.drain(self._settings.grace)
        if self._manager is not None:
            closing = Deferred.fromCoroutine(self._manager.close())
            if not await within(LAST_CHANGE, closing, self._reactor):
                self.log.error("The state could not be closed: its disk does not answer")
        self._undo.close()

    # The parts

    def _take_state_folder(self, state_dir: str) -> instance_lock.InstanceLock:
        try:
            make_private_folder(state_dir)
        except OSError as error:
            raise StartError(
                f"Cannot make the state folder {state_dir}: {error.strerror}."
            ) from None
        hold = instance_lock.hold(state_dir)
        self._undo.callback(hold.release)
        return hold

    def _make_keeper(self, state_dir: str, store: Store) -> CollectionManager:
        wanted = self._settings
        policy = Policy(
            base=wanted.frame_base_dir,
            allowed=wanted.allow_roots,
            forbidden=(state_dir,),
            follow_symlinks=wanted.follow_symlinks,
            documents=os.path.realpath(wanted.images_dir),
        )
        return CollectionManager(
            store=store,
            policy=policy,
            clock=MonotonicClock(self._reactor),
            wall=time.time,
            run_blocking=self._machine.run,
            default_minutes=wanted.timeout_minutes,
        )

    def _make_certificates(self, state_dir: str) -> tuple[CertificateWatch, SwappableContext]:
        wanted = self._settings
        source: CertificateSource
        if wanted.cert and wanted.key:
            source = UserCertificates(wanted.cert, wanted.key)
            self._warn_of_open_key(wanted.key)
        else:
            source = LocalCertificates(
                state_dir,
                lambda: required_names(wanted.host, wanted.tls_names),
                force_leaf=wanted.generate_certs,
            )
        context = SwappableContext(build_context(source.pairs, source.wildcard))
        watch = CertificateWatch(
            source,
            context.serve,
            self._machine.run_internal,
            self._reactor,
            self._machine.health_monitor,
        )
        watch.start()
        self._undo.callback(watch.stop)
        self._hangups.append(watch.check)
        return watch, context

    def _warn_of_open_key(self, key: str) -> None:
        """Not refused: containers are handed their secrets in files that everybody may read."""
        if secret_file.is_open_to_others(key, secret_file.EVERYBODY):
            self.log.warn("The key {key} can be read by every user of this machine", key=key)

    def _make_site(
        self,
        state_dir: str,
        secret: str,
        manager: CollectionManager,
        watch: CertificateWatch | None,
        links: Links,
    ) -> Site:
        wanted = self._settings
        indexes = FolderIndexes(self._reactor.seconds)
        self._machine.each_second(indexes.drop_unused)
        parts = Parts(
            document_root=self._document_root(state_dir),
            manager=manager,
            urls=Urls(self.url, wanted.public_url),
            access=make_access(
                secret,
                wanted.allow_hosts,
                token_always=wanted.require_token or wanted.private,
                socket_owner=socket_owner.choose(),
            ),
            hosts=self._own_hosts(),
            headers=HeaderPolicy(wanted.cors_origins),
            run_blocking=self._machine.run,
            run_unawaited=self._machine.run_unawaited,
            uptime=lambda: time.monotonic() - self._started,
            ca_pem=lambda: watch.ca_pem() if watch else None,
            memory_cache=wanted.memory_cache * MEGABYTE,
            private=wanted.private,
            links=links,
            proxies=TrustedProxies(wanted.proxies),
            indexes=indexes,
            health_monitor=self._machine.health_monitor,
            **_limits(wanted),
        )
        return Site(parts, self._reactor, self._access_log())

    def _own_hosts(self) -> OwnHosts:
        wanted = self._settings
        if not all(is_loopback(address_of(port)) for port in self._main_ports):
            return OwnHosts()
        names = required_names(wanted.host, wanted.tls_names)
        own = subject_names(wanted.cert) if wanted.tls and wanted.cert else []
        # What is below .localhost is on this machine in every browser (RFC 6761 section 6.3).
        hosts = OwnHosts([*wanted.allow_hosts, "*.localhost", *names.dns, *names.ips, *own])
        hosts.add_url(wanted.public_url)
        return hosts

    def _make_links(self, state_dir: str, store: Store) -> Links:
        key = signing_key.read_or_make(state_dir)
        renew = partial(self._machine.run, store.in_place, signing_key.renew, state_dir)
        return Links(key, renew)

    def _document_root(self, state_dir: str) -> Root:
        wanted = self._settings
        if wanted.images_dir_is_default:
            os.makedirs(wanted.images_dir, exist_ok=True)
        root = Root(
            os.path.realpath(wanted.images_dir),
            follow_symlinks=wanted.follow_symlinks,
            forbidden=(state_dir,),
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
        self._machine.check(health.ACCESS_LOG, lambda: path if access_log.is_losing else "")
        self._undo.callback(access_log.close)
        self._hangups.append(access_log.reopen)
        return access_log.write

    def _heed_hangups(self) -> None:
        """Act on SIGHUP, on the reactor's thread, where the platform has it."""
        if hasattr(signal, "SIGHUP"):
            before = signal.signal(signal.SIGHUP, self._hang_up)
            self._undo.callback(signal.signal, signal.SIGHUP, before)

    def _hang_up(self, *_: object) -> None:
        for act in self._hangups:
            self._reactor.callFromThread(act)

    # What is told

    def _say_where(self, state_dir: str, watch: CertificateWatch | None) -> None:
        self._where.log_urls()
        self.log.info("Serving {path}", path=os.path.realpath(self._settings.images_dir))
        files = watch.files if watch else None
        if files is not None and files.ca is not None:
            self.log.info(
                "The CA certificate to trust is {path} (SHA-256 {fingerprint})",
                path=files.ca_pem,
                fingerprint=files.ca_fingerprint,
            )
        host, port = self._settings.host, number_of(self._main_ports[0])
        readers = who_may_read(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            self._settings.cors_origins,
            private=self._settings.private,
        )
        self.log.info("May read: {readers}", readers=readers)
        if not self._settings.token:
            self.log.info("The token is in {path}", path=control_token.path(state_dir))
        self.log.info("imgd {version} is ready: open {url}", version=__version__, url=self.url)


def _limits(wanted: Settings) -> dict[str, Any]:
    """How many connections there may be, and for how long, as fields of Parts."""
    most = wanted.max_connections or descriptors.connections_for(descriptors.raise_limit())
    each = wanted.max_per_client
    deadlines = Deadlines(
        handshake=wanted.handshake_timeout,
        header=wanted.header_timeout,
        body=wanted.body_timeout,
        stalled=wanted.stall_timeout,
        idle=wanted.idle_timeout,
    )
    return {
        "deadlines": deadlines,
        "max_connections": most,
        "max_per_client": max(1, most // 4) if each is None else each,
    }
