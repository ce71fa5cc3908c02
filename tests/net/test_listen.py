"""Listeners on real sockets."""

from __future__ import annotations

import errno
import socket

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from imgd.errors import StartError
from imgd.net.listen import SwitchableFactory, address_of, bind, number_of


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class BindTests(TestCase):
    def bind(self, host: str, port: int) -> list:
        ports = bind(reactor, host, port, SwitchableFactory())
        self.addCleanup(lambda: gatherResults([p.stopListening() for p in ports]))
        return ports

    def test_localhost(self) -> None:
        """localhost is 127.0.0.1 and, where the machine has it, ::1, under one free number."""
        ports = self.bind("localhost", 0)
        wanted = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
        self.assertEqual([address_of(port) for port in ports], wanted)
        self.assertEqual(len({number_of(port) for port in ports}), 1)
        self.assertGreater(number_of(ports[0]), 0)

    def test_address(self) -> None:
        """Any other host is bound as it is."""
        [port] = self.bind("127.0.0.1", 0)
        self.assertEqual(address_of(port), "127.0.0.1")

    def test_in_use(self) -> None:
        """A port in use is told in one sentence, with the port."""
        [port] = self.bind("127.0.0.1", 0)
        number = number_of(port)
        for host in ("127.0.0.1", "localhost"):
            error = self.assertRaises(StartError, self.bind, host, number)
            self.assertIn(f"port {number} of 127.0.0.1: it is in use", error.detail)

    def test_no_such_address(self) -> None:
        """An address that the machine does not have is told as that (RFC 5737's is nobody's)."""
        error = self.assertRaises(StartError, self.bind, "203.0.113.1", 0)
        self.assertIn("no such address", error.detail)

    def test_door(self) -> None:
        """A door answers nobody until there is something behind it."""
        door = SwitchableFactory()
        self.assertIsNone(door.buildProtocol(None))
        door.behind = Factory.forProtocol(Protocol)
        self.assertIsInstance(door.buildProtocol(None), Protocol)


class Port:
    """What ``listenTCP`` returns, of an address and a number."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port, self.stopped = host, port, False

    def getHost(self) -> Port:
        return self

    def stopListening(self) -> None:
        self.stopped = True


class BlockingRunner:
    """A reactor on which some binds fail: ``failures`` maps (address, number) to an errno."""

    def __init__(self, failures: dict[tuple[str, int], int]) -> None:
        self.failures = failures
        self.ports: list[Port] = []
        self._next = 5000

    def listenTCP(self, number: int, factory: object, backlog: int, interface: str) -> Port:
        if not number:
            self._next += 1
            number = self._next
        if code := self.failures.get((interface, number)):
            raise CannotListenError(interface, number, OSError(code, "no"))
        self.ports.append(Port(interface, number))
        return self.ports[-1]


class RareTests(SynchronousTestCase):
    def test_no_ipv6(self) -> None:
        """Where there is no ::1, localhost is 127.0.0.1 alone."""
        for code in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            machine = BlockingRunner({("::1", 5001): code})
            self.assertEqual(len(bind(machine, "localhost", 0, SwitchableFactory())), 1)

    def test_taken_on_ipv6(self) -> None:
        """A free number that ::1 has taken is given back, and another is tried."""
        machine = BlockingRunner({("::1", 5001): errno.EADDRINUSE})
        ports = bind(machine, "localhost", 0, SwitchableFactory())
        self.assertEqual([(p.host, p.port) for p in ports], [("127.0.0.1", 5002), ("::1", 5002)])
        self.assertTrue(machine.ports[0].stopped)

    def test_given_number_taken_on_ipv6(self) -> None:
        """A number that was asked for is not changed: the clash is an error."""
        machine = BlockingRunner({("::1", 8888): errno.EADDRINUSE})
        error = self.assertRaises(StartError, bind, machine, "localhost", 8888, SwitchableFactory())
        self.assertIn("port 8888 of ::1", error.detail)

    def test_privilege(self) -> None:
        """A port that needs a privilege is told as that, others by the system's words."""
        machine = BlockingRunner({("127.0.0.1", 443): errno.EACCES, ("127.0.0.1", 1): errno.EPERM})
        error = self.assertRaises(StartError, bind, machine, "127.0.0.1", 443, SwitchableFactory())
        self.assertIn("from 1024 on", error.detail)
        error = self.assertRaises(StartError, bind, machine, "127.0.0.1", 1, SwitchableFactory())
        self.assertIn("port 1 of 127.0.0.1", error.detail)
