"""Who may control: where the system tells whose a connection is, and by token alone."""

from __future__ import annotations

import os

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from imgd.host.socket_owner import Lookup, SocketAddress
from imgd.web.access import make_access
from tests.fakes import TOKEN, MemorySite

BEARER = {"Authorization": f"Bearer {TOKEN}"}
OWN, ROOT, WWW = 1000, 0, 33


class OwnerTests(SynchronousTestCase):
    """A loopback peer is local where its socket is of the daemon's user, or of root."""

    def memory_site(self, user: int | OSError | None) -> MemorySite:
        def lookup(own: SocketAddress, other: SocketAddress) -> int | None:
            self.lookups.append((own, other))
            if isinstance(user, OSError):
                raise user
            return user

        self.lookups: list[tuple[SocketAddress, SocketAddress]] = []
        access = {"socket_owner": lookup, "own_users": {OWN, ROOT}}
        return MemorySite(os.path.abspath(self.mktemp()), access=access)

    def test_own(self) -> None:
        """The same user and root need no token; the connection is asked for by both of its ends."""
        for user in (OWN, ROOT):
            self.assertEqual(self.memory_site(user).post("/timeout/5").status, 200)
            ends = (SocketAddress("127.0.0.1", 50000), SocketAddress("127.0.0.1", 8888))
            self.assertEqual(self.lookups, [ends])

    def test_others(self) -> None:
        """nginx as www-data, a socket that was closed, and a system that fails need it."""
        for user in (WWW, None, OSError(24, "Too many open files")):
            memory_site = self.memory_site(user)
            answer = memory_site.post("/links", {"path": "/", "prefix": True})
            self.assertEqual(answer.status, 403)
            self.assertIn("another user", answer.json["detail"])
            self.assertEqual(memory_site.post("/timeout/5", headers=BEARER).status, 200)

    def test_paths_of_the_host(self) -> None:
        """Who may not control sees no path of the host."""
        for user, expected in ((OWN, True), (WWW, False)):
            memory_site = self.memory_site(user)
            memory_site.load(memory_site.documents)
            directory = memory_site.ask("/").json["current_directory"]
            self.assertEqual(directory == os.path.realpath(memory_site.documents), expected)
            self.assertEqual(os.path.isabs(directory), expected)

    def test_looked_up_last(self) -> None:
        """The system is asked for nobody whom the request itself gives away, and for no file."""
        memory_site = self.memory_site(OWN)
        memory_site.post("/timeout/5", headers={"Via": "1.1 x"})
        memory_site.post("/timeout/5", headers=BEARER)
        memory_site.post("/timeout/5", peer="203.0.113.9")
        memory_site.ask("/missing.png")
        self.assertEqual(self.lookups, [])


class UnknownOwnerTests(SynchronousTestCase):
    """Where the system does not tell whose a connection is."""

    def lines(self, lookup: Lookup | None, *, token_always: bool = False) -> list[str]:
        with capturedLogs() as events:
            make_access(TOKEN, (), token_always=token_always, socket_owner=lookup)
        return [formatEvent(event) for event in events]

    def test_told_at_start(self) -> None:
        """One line says that every user may control, where that is so."""
        [line] = self.lines(None)
        self.assertIn("every user of this machine", line)
        self.assertIn("--require-token", line)
        self.assertEqual(self.lines(None, token_always=True), [])
        self.assertEqual(self.lines(lambda _own, _other: OWN), [])

    def test_rule(self) -> None:
        """What a request says of itself decides then, as it does of a connection of one's own."""
        memory_site = MemorySite(os.path.abspath(self.mktemp()))  # which asks no system
        self.assertEqual(memory_site.post("/timeout/5").status, 200)
        self.assertEqual(memory_site.post("/timeout/5", headers={"Via": "1.1 x"}).status, 403)


class RequireTokenTests(SynchronousTestCase):
    """--require-token, for what programs of the same user forward."""

    def test_always(self) -> None:
        """Every POST needs the token; reading stays open, without paths of the host."""
        memory_site = MemorySite(os.path.abspath(self.mktemp()), access={"token_always": True})
        memory_site.load(memory_site.documents)
        self.assertIn("--require-token", memory_site.post("/timeout/5").json["detail"])
        self.assertEqual(memory_site.post("/timeout/5").status, 403)
        self.assertEqual(memory_site.post("/timeout/5", headers=BEARER).status, 200)
        self.assertFalse(os.path.isabs(memory_site.ask("/").json["current_directory"]))
        self.assertTrue(
            os.path.isabs(memory_site.ask("/", headers=BEARER).json["current_directory"])
        )
