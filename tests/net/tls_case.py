"""TLS listeners on real sockets, and clients of them."""

from __future__ import annotations

import atexit
import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from imgd.certificates import renewal
from imgd.certificates.names import SubjectAltNames
from imgd.certificates.renewal import CertificateFiles
from imgd.net.listen import number_of
from imgd.net.tls import SwappableContext, build_context

NAMES = SubjectAltNames(
    ("bar.localhost", "host.docker.internal", "localhost"), ("127.0.0.1", "::1")
)
TIMEOUT = 20  # seconds; how long a client waits before its test fails
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@cache
def made() -> CertificateFiles:
    """Certificates, made once for all tests."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return renewal.ensure(folder, NAMES, datetime.now(UTC))


class Answering(Protocol):
    """Answers every read alike, and counts the connections that end."""

    factory: AnsweringFactory
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(ANSWER)

    def connectionLost(self, reason: object = None) -> None:
        self.factory.ended += 1


class AnsweringFactory(Factory[Answering]):
    protocol = Answering
    noisy = False
    ended = 0


def client(**options: Any) -> ssl.SSLContext:
    """A client that trusts the CA and is as strict as Python 3.13 is."""
    context = ssl.create_default_context(cafile=made().ca_pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name, value in options.items():
        setattr(context, name, value)
    return context


@contextmanager
def connected(
    port: int,
    context: ssl.SSLContext,
    name: str = "localhost",
    address: str = "127.0.0.1",
    **options: Any,
) -> Iterator[ssl.SSLSocket]:
    raw = socket.create_connection((address, port), timeout=TIMEOUT)
    with raw, context.wrap_socket(raw, server_hostname=name, **options) as wrapped:
        yield wrapped


def exchange(wrapped: ssl.SSLSocket) -> bytes:
    wrapped.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return wrapped.recv(1000)


def leaf_of(wrapped: ssl.SSLSocket) -> bytes:
    leaf = wrapped.getpeercert(binary_form=True)
    assert leaf is not None
    return leaf


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def der(path: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(read(path))


def logged_events(case: TestCase) -> list[LogEvent]:
    """The events that are logged from now on."""
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)
    return events


def listen(case: TestCase, factory: Any, interface: str = "127.0.0.1") -> int:
    """The number of a free port, on which the factory answers until the test ends."""
    port = cast(IReactorTCP, reactor).listenTCP(0, factory, interface=interface)
    case.addCleanup(port.stopListening)
    return number_of(port)


class ListenerCase(TestCase):
    timeout = 60

    def listen(self, context: SwappableContext, interface: str = "127.0.0.1") -> int:
        self.factory = AnsweringFactory()
        wrapped = TLSMemoryBIOFactory(context, False, self.factory)
        return listen(self, wrapped, interface)

    def serve(self, interface: str = "127.0.0.1") -> int:
        return self.listen(SwappableContext(build_context(made().pairs)), interface)
