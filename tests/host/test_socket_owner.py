"""Whose a connection from this machine is, asked of the real system about real sockets."""

from __future__ import annotations

import os
import socket
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.host import socket_owner
from imgd.host.socket_owner import Lookup, SocketAddress

OTHER = 54321  # a user that no machine has
NOWHERE = SocketAddress("127.0.0.1", 1)


def end(address: tuple[object, ...]) -> SocketAddress:
    return SocketAddress(str(address[0]), int(str(address[1])))


class NetlinkTests(SynchronousTestCase):
    """By sock_diag."""

    lookup: Lookup = staticmethod(socket_owner.by_netlink)

    def setUp(self) -> None:
        if not sys.platform.startswith("linux"):
            raise SkipTest("only Linux says whose a socket is")

    def connect(
        self, host: str, bound: str = ""
    ) -> tuple[socket.socket, SocketAddress, SocketAddress]:
        """A client's socket, and both ends as the server sees them."""
        family = socket.AF_INET6 if ":" in host or bound else socket.AF_INET
        listener = socket.socket(family)
        self.addCleanup(listener.close)
        if bound:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind((bound or host, 0))
        except OSError as error:
            raise SkipTest(f"this machine has no {host}: {error}") from None
        listener.listen()
        client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.addCleanup(client.close)
        client.connect((host, listener.getsockname()[1]))
        server, peer = listener.accept()
        self.addCleanup(server.close)
        return client, end(peer), end(server.getsockname())

    def test_own(self) -> None:
        """This process's sockets are its user's, of IPv4, of IPv6, and of the one in the other."""
        for host, bound in (("127.0.0.1", ""), ("::1", ""), ("127.0.0.1", "::"),
                            ("::ffff:127.0.0.1", "::")):  # fmt: skip
            with self.subTest(host=host, bound=bound):
                _, peer, here = self.connect(host, bound)
                self.assertEqual(self.lookup(peer, here), os.geteuid())
                self.assertIn(os.geteuid(), socket_owner.own_users())

    def test_half_closed(self) -> None:
        """A client that has nothing more to say is still who it is."""
        client, peer, here = self.connect("127.0.0.1")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.lookup(peer, here), os.geteuid())

    def test_closed(self) -> None:
        """One that was closed is nobody's: the kernel would say root's."""
        client, peer, here = self.connect("127.0.0.1")
        client.close()
        self.assertIsNone(self.lookup(peer, here))

    def test_nothing_there(self) -> None:
        """No such connection, nobody's."""
        self.assertIsNone(self.lookup(NOWHERE, SocketAddress("127.0.0.1", 2)))
        self.assertIsNone(self.lookup(SocketAddress("::1", 1), SocketAddress("::1", 2)))

    def test_other_user(self) -> None:
        """Another user's socket is that one's; who is not mapped into this namespace is nobody."""
        if os.geteuid() != 0:
            raise SkipTest("only root can be another user")
        for user, expected in ((OTHER, OTHER), (socket_owner.UNMAPPED, None)):
            listener = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(listener.close)
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                try:
                    os.setuid(user)
                    client = socket.socket()
                    client.connect(listener.getsockname())
                    os.close(writer)
                    os.read(reader, 1)  # until the parent is done
                finally:
                    os._exit(0)
            os.close(reader)
            server, peer = listener.accept()
            self.addCleanup(server.close)
            try:
                self.assertEqual(self.lookup(end(peer), end(server.getsockname())), expected)
            finally:
                os.close(writer)
                os.waitpid(child, 0)


class ProcTests(NetlinkTests):
    """By /proc/net, where netlink is not to be had."""

    lookup: Lookup = staticmethod(socket_owner.by_proc)

    def test_not_there(self) -> None:
        """Where there is no such table, that is an error and not nobody."""
        with self.assertRaises(OSError):
            socket_owner.by_proc(NOWHERE, NOWHERE, folder=os.path.abspath(self.mktemp()))


class ChoiceTests(SynchronousTestCase):
    """Which way there is."""

    def test_choice(self) -> None:
        """On Linux there is one."""
        chosen = socket_owner.choose()
        self.assertEqual(chosen is not None, sys.platform.startswith("linux"))
