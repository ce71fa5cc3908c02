"""Whom the client believes, over real TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from imgd.client.api import Client
from imgd.client.discovery import Server
from imgd.client.errors import ClientError, InvalidResponse, Retrier, Untrusted
from imgd.client.session import HttpSession
from imgd.client.trust import trust_root, verify_host
from imgd.core import messages
from imgd.core.messages import Health
from tests.client.certificates import Authority
from tests.client.fake_imgd import listen


class _Healthy(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def render_GET(self, request: object) -> bytes:
        self.seen.append(request)
        return messages.encode(Health(version="1", uptime_seconds=1.0))

    render_HEAD = render_GET


class _Plain(Protocol):
    """Answers whatever comes as a server of plain HTTP does."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.transport.loseConnection()


class Handshakes(TestCase):
    """A server with some certificate, and a client that trusts some CA."""

    def setUp(self) -> None:
        self.authority = Authority()
        self.resource = _Healthy()

    def serve(self, *names: str) -> int:
        options = self.authority.options(*names)
        return listen(self, Site(self.resource), options)

    async def ask(self, url: str, ca: bytes | None) -> list[str]:
        """What the API and the checks say of a server: "ok", or why not."""
        said = []
        session = HttpSession(reactor, Server(url, ca))
        self.addCleanup(session.close)
        client = Client(HTTPClient(session), url, Retrier(reactor))
        checks = HttpSession(reactor, Server(url, ca))
        self.addCleanup(checks.close)
        for ask in (client.health, lambda: checks.send(b"HEAD", f"{url}/health")):
            try:
                await ask()
                said.append("ok")
            except ClientError as error:
                self.assertIsInstance(error, Untrusted)
                said.append(error.detail)
        return said

    async def test_trusted(self) -> None:
        """A certificate of the CA that is given, for the host that is asked, is good."""
        port = self.serve("localhost", "127.0.0.1")
        for host in ("localhost", "127.0.0.1"):
            self.assertEqual(
                await self.ask(f"https://{host}:{port}", self.authority.pem), ["ok", "ok"]
            )

    async def test_another_ca(self) -> None:
        """A certificate of another CA is refused, the system's store included."""
        port = self.serve("localhost")
        for ca in (Authority().pem, None):
            for said in await self.ask(f"https://localhost:{port}", ca):
                self.assertIn("--ca FILE", said)
        self.assertEqual(self.resource.seen, [])

    async def test_another_host(self) -> None:
        """A certificate for another host is refused, before a request is sent."""
        for names in (("example.com",), ("*.localhost",), ("127.0.0.2",)):
            port = self.serve(*names)
            for host in ("localhost", "127.0.0.1"):
                for said in await self.ask(f"https://{host}:{port}", self.authority.pem):
                    self.assertIn("another name", said)
        self.assertEqual(self.resource.seen, [])

    async def test_a_name_that_cannot_be_read(self) -> None:
        """Beside ``*.localhost``, which service-identity cannot read, other names still count."""
        port = self.serve("*.localhost", "localhost")
        self.assertEqual(
            await self.ask(f"https://localhost:{port}", self.authority.pem), ["ok", "ok"]
        )

    async def test_no_names(self) -> None:
        """A certificate with no names at all is for no host: Twisted alone would take it."""
        port = self.serve()
        for said in await self.ask(f"https://localhost:{port}", self.authority.pem):
            self.assertIn("another name", said)
        self.assertEqual(self.resource.seen, [])

    async def test_no_tls(self) -> None:
        """A server that speaks plain HTTP on the port is named as what it is."""
        number = listen(self, Factory.forProtocol(_Plain))
        for said in await self.ask(f"https://localhost:{number}", self.authority.pem):
            self.assertIn("does not speak TLS", said)

    async def test_tls_where_none_is_expected(self) -> None:
        """A server that answers plain HTTP with an alert is named as what it is, too."""

        class Alerting(_Plain):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(b"\x15\x03\x01\x00\x02\x02\x46")
                self.transport.loseConnection()

        url = f"http://localhost:{listen(self, Factory.forProtocol(Alerting))}"
        session = HttpSession(reactor, Server(url))
        self.addCleanup(session.close)
        with self.assertRaisesRegex(InvalidResponse, "write https:// in the URL"):
            await session.send(b"GET", f"{url}/")

    async def test_far_origins(self) -> None:
        """The local CA is for the server's own origins; one that the user chose is for all."""
        port = self.serve("localhost", "127.0.0.1")
        near, far = f"https://localhost:{port}", f"https://127.0.0.1:{port}"
        for is_chosen in (False, True):
            server = Server(near, self.authority.pem, is_chosen).with_public(far)
            session = HttpSession(reactor, server)
            self.addCleanup(session.close)
            self.assertEqual((await session.send(b"HEAD", f"{near}/health")).code, 200)
            asking = Deferred.fromCoroutine(session.send(b"HEAD", f"{far}/health"))
            if is_chosen:
                self.assertEqual((await asking).code, 200)
            else:
                await self.assertFailure(asking, Untrusted)


class Roots(SynchronousTestCase):
    def test_a_file_without_certificates(self) -> None:
        """A CA file that holds no certificate is an error, and not "trust the system's"."""
        for content in (b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
            self.assertRaises(Untrusted, trust_root, content)

    def trusted(self, ca: bytes) -> int:
        """How many certificates of a bundle are trusted."""
        return len(trust_root(ca)._caCerts)

    def test_bundle(self) -> None:
        """A certificate that cannot be read refuses no other of its bundle, wherever it stands."""
        good, other = Authority().pem, Authority().pem
        begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
        for bad in (begin + b"AAAA\n" + end, begin + b"!\n", end, b"# a comment\n", b"\xff\0\n"):
            for bundle in (bad + good + other, good + bad + other, good + other + bad):
                self.assertEqual(self.trusted(bundle), 2, bad)
            self.assertRaises(Untrusted, trust_root, bad)
        self.assertEqual(self.trusted(good.replace(b"CERTIFICATE", b"X509 CERTIFICATE")), 1)

    def test_system_bundle(self) -> None:
        """Every certificate of Debian's bundle is trusted, without a word of warning."""
        path = Path("/etc/ssl/certs/ca-certificates.crt")
        if not path.exists():
            raise SkipTest("no Debian bundle here")
        bundle = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(self.trusted(bundle), bundle.count(b"-----BEGIN CERTIFICATE-----"))

    def test_odd_serial(self) -> None:
        """A CA whose serial is negative, as some of the system's store have, warns of nothing."""
        if shutil.which("openssl") is None:
            raise SkipTest("no openssl here")
        folder = self.mktemp()
        os.mkdir(folder)
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        command += " -subj /CN=odd -set_serial -5 -keyout key.pem -out ca.pem"
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(self.trusted(Path(folder, "ca.pem").read_bytes()), 1)

    def test_hosts(self) -> None:
        """Names match as RFC 9525 has it: whole labels, and one leftmost wildcard."""
        certificate, _ = Authority().certificate("a.example", "*.b.example", "10.0.0.1", "::1")
        for host in ("a.example", "A.EXAMPLE", "x.b.example", "10.0.0.1", "::1"):
            verify_host(certificate, host)
        for host in ("b.example", "x.y.b.example", "a.example.org", "10.0.0.2", "::2"):
            self.assertRaises(VerificationError, verify_host, certificate, host)
