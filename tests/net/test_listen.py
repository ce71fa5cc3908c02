"""Listeners on real sockets."""

from __future__ import annotations

import errno
from typing import cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from imgd.errors import StartError
from imgd.net.listen import SwitchableFactory, address_of, bind, number_of
from tests.net.tls_case import has_ipv6


class BindTests(TestCase):
    def bind(self, host: str, port: int) -> list[IListeningPort]:
        ports = bind(cast(IReactorTCP, reactor), host, port, SwitchableFactory())
        self.addCleanup(lambda: gatherResults([maybeDeferred(p.stopListening) for p in ports]))
        return ports

    def test_localhost(self) -> None:
        """localhost is 127.0.0.1 and, if the machine has it, ::1, under one free number."""
        ports = self.bind("localhost", 0)
        expected = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
        self.assertEqual([address_of(port) for port in ports], expected)
        self.assertEqual(len({number_of(port) for port in ports}), 1)
        self.assertGreater(number_of(ports[0]), 0)

    def test_address(self) -> None:
        """Any other host is bound as it is."""
        [port] = self.bind("127.0.0.1", 0)
        self.assertEqual(address_of(port), "127.0.0.1")

    def test_in_use(self) -> None:
        """A port in use is reported in one sentence, with the port."""
        [port] = self.bind("127.0.0.1", 0)
        number = number_of(port)
        for host in ("127.0.0.1", "localhost"):
            error = self.assertRaises(StartError, self.bind, host, number)
            self.assertIn(f"port {number} of 127.0.0.1: it is in use", error.detail)

    def test_no_such_address(self) -> None:
        """So is an address that the machine does not have (RFC 5737's is nobody's)."""
        error = self.assertRaises(StartError, self.bind, "203.0.113.1", 0)
        self.assertIn("no such address", error.detail)


class SwitchableFactoryTests(SynchronousTestCase):
    def test_wrapped(self) -> None:
        """It answers nobody until it wraps a factory."""
        factory = SwitchableFactory()
        self.assertIsNone(factory.buildProtocol(None))
        factory.wrapped = Factory.forProtocol(Protocol)
        self.assertIsInstance(factory.buildProtocol(None), Protocol)

    def test_refusal(self) -> None:
        """A connection that may not be accepted is refused, or closed if there is no refusal."""
        factory = SwitchableFactory()
        factory.wrapped = Factory.forProtocol(Protocol)
        factory.may_accept = lambda address: address is not None
        self.assertIsNone(factory.buildProtocol(None))
        refusal = Protocol()
        factory.refusal = lambda: refusal
        self.assertIs(factory.buildProtocol(None), refusal)
        self.assertIsNot(factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)), refusal)


class FakePort:
    """What ``listenTCP`` returns, of an address and a number."""

    def __init__(self, host: str, port: int) -> None:
        self.address = IPv4Address("TCP", host, port)
        self.is_stopped = False

    def getHost(self) -> IPv4Address:
        return self.address

    def stopListening(self) -> None:
        self.is_stopped = True


class FakeReactor:
    """A reactor on which some binds fail: ``failures`` maps (address, number) to an errno."""

    def __init__(self, failures: dict[tuple[str, int], int]) -> None:
        self.failures = failures
        self.ports: list[FakePort] = []
        self._next = 5000

    def listenTCP(self, number: int, factory: object, backlog: int, interface: str) -> FakePort:
        if not number:
            self._next += 1
            number = self._next
        if code := self.failures.get((interface, number)):
            raise CannotListenError(interface, number, OSError(code, "no"))
        self.ports.append(FakePort(interface, number))
        return self.ports[-1]

    def bind(self, host: str, port: int) -> list[tuple[str, int]]:
        ports = bind(cast(IReactorTCP, self), host, port, SwitchableFactory())
        return [(address_of(port), number_of(port)) for port in ports]


class RareTests(SynchronousTestCase):
    def test_no_ipv6(self) -> None:
        """If there is no ::1, localhost is 127.0.0.1 alone."""
        for code in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            fake = FakeReactor({("::1", 5001): code})
            self.assertEqual(fake.bind("localhost", 0), [("127.0.0.1", 5001)])

    def test_taken_on_ipv6(self) -> None:
        """A free number that ::1 has taken is given back, and another is tried."""
        fake = FakeReactor({("::1", 5001): errno.EADDRINUSE})
        self.assertEqual(fake.bind("localhost", 0), [("127.0.0.1", 5002), ("::1", 5002)])
        self.assertTrue(fake.ports[0].is_stopped)

    def test_given_number_taken_on_ipv6(self) -> None:
        """A number that was given is not changed: the clash is an error."""
        fake = FakeReactor({("::1", 8888): errno.EADDRINUSE})
        error = self.assertRaises(StartError, fake.bind, "localhost", 8888)
        self.assertIn("port 8888 of ::1", error.detail)

    def test_privilege(self) -> None:
        """A port that needs a privilege is reported as that, others by the system's words."""
        fake = FakeReactor({("127.0.0.1", 443): errno.EACCES, ("127.0.0.1", 1): errno.EPERM})
        error = self.assertRaises(StartError, fake.bind, "127.0.0.1", 443)
        self.assertIn("from 1024 on", error.detail)
        error = self.assertRaises(StartError, fake.bind, "127.0.0.1", 1)
        self.assertIn("port 1 of 127.0.0.1", error.detail)
