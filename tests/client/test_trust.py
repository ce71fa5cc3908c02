"""Whom the client believes, over real TLS."""

from __future__ import annotations

from service_identity import VerificationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from imgd.client.agents import treq_client
from imgd.client.api import Client
from imgd.client.discovery import Server
from imgd.client.errors import ClientError, Misbehaved, Untrusted
from imgd.client.identity import verify_host
from imgd.client.line import Line, endpoints
from imgd.client.retry import Patience
from imgd.client.trust import policy, trust_root
from imgd.client.urls import Origin
from imgd.core import messages
from imgd.core.messages import Health
from tests.client.certificates import Authority


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
        port = reactor.listenSSL(0, Site(self.resource), options, interface="127.0.0.1")
        self.addCleanup(lambda: maybeDeferred(port.stopListening))
        return int(port.getHost().port)

    async def ask(self, url: str, ca: bytes | None) -> list[str]:
        """What the API and the checks say of a server: "ok", or why not."""
        said = []
        treq = treq_client(reactor, policy(ca))
        self.addCleanup(treq.close)
        client = Client(treq, url, Patience(reactor))
        for ask in (client.health, lambda: self.head(url, ca)):
            try:
                await ask()
                said.append("ok")
            except ClientError as error:
                self.assertIsInstance(error, Untrusted)
                said.append(error.detail)
        return said

    def head(self, url: str, ca: bytes | None) -> Deferred[object]:
        trusted = policy(ca)
        line = Line(endpoints(reactor, trusted, trusted, Server(url)), Clock(), 30.0)
        self.addCleanup(line.close)
        return line.ask(b"HEAD", f"{url}/health", 0)

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
        port = reactor.listenTCP(0, Factory.forProtocol(_Plain), interface="127.0.0.1")
        self.addCleanup(lambda: maybeDeferred(port.stopListening))
        number = port.getHost().port
        for said in await self.ask(f"https://localhost:{number}", self.authority.pem):
            self.assertIn("does not speak TLS", said)


class Roots(SynchronousTestCase):
    def test_a_file_without_certificates(self) -> None:
        """A CA file that holds no certificate is an error, and not "trust the system's"."""
        for content in (b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
            self.assertRaises(Untrusted, trust_root, content)

    def test_hosts(self) -> None:
        """Names match as RFC 9525 has it: whole labels, and one leftmost wildcard."""
        certificate, _ = Authority().certificate("a.example", "*.b.example", "10.0.0.1", "::1")
        for host in ("a.example", "A.EXAMPLE", "x.b.example", "10.0.0.1", "::1"):
            verify_host(certificate, host)
        for host in ("b.example", "x.y.b.example", "a.example.org", "10.0.0.2", "::2"):
            self.assertRaises(VerificationError, verify_host, certificate, host)

    def test_far_origins(self) -> None:
        """Another origin's URLs are checked with the policy for others, and not with the CA's."""
        near, far = policy(Authority().pem), policy(None)
        chosen: list[object] = []
        for which in (near, far):
            creator = which.creatorForNetloc
            which.creatorForNetloc = lambda host, port, w=which, c=creator: (  # type: ignore
                chosen.append(w),
                c(host, port),
            )[1]
        server = Server("https://localhost:8888").with_public("https://abc.ngrok.example/x")
        endpoint_for = endpoints(reactor, near, far, server)
        endpoint_for(Origin("https", "localhost", 8888))
        endpoint_for(Origin("https", "abc.ngrok.example", 443))
        endpoint_for(Origin("https", "127.0.0.1", 8888))
        self.assertEqual(chosen, [near, far, far])
        for scheme, host, port in (
            ("https", "localhost", 9999),
            ("http", "localhost", 8888),
            ("https", "abc.ngrok.example", 8443),
            ("http", "169.254.169.254", 80),
            ("https", "localhost.example", 8888),
        ):
            self.assertRaises(Misbehaved, endpoint_for, Origin(scheme, host, port))
