"""What imgd leans on inside Twisted and pyOpenSSL, named one by one.

``imgd.net.tcp`` and ``imgd.net.bulk_tls`` alone know private names. A failure here after an
upgrade says which of them is gone or means something else; the modules say what each is for.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from OpenSSL import SSL
from twisted.internet import abstract, tcp
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel

import imgd

ALLOWED = {"net/tcp.py", "net/bulk_tls.py"}
# Names of others that begin with an underscore, and are no private names of theirs.
PUBLIC = {"_replace", "_asdict", "_fields"}


class TwistedTests(SynchronousTestCase):
    def test_buffers_of_a_transport(self) -> None:
        """A TCP transport keeps what waits in ``dataBuffer`` from ``offset``, ``_tempDataLen``."""
        source = inspect.getsource(abstract.FileDescriptor.doWrite)
        for name in ("self.dataBuffer", "self._tempDataLen", "self.offset"):
            self.assertIn(name, source)
        self.assertTrue(issubclass(tcp.Connection, abstract.FileDescriptor))

    def test_paused_producers(self) -> None:
        """A transport that was emptied resumes a producer that ``producerPaused`` marks."""
        source = inspect.getsource(abstract.FileDescriptor.doWrite)
        self.assertIn("self.producerPaused = False", source)
        self.assertIn("self.producer.resumeProducing()", source)

    def test_send(self) -> None:
        """``writeSomeData`` sends at once, and gives a number or an exception."""
        source = inspect.getsource(tcp.Connection.writeSomeData)
        self.assertIn("self.socket.send", source)
        self.assertIn("return main.CONNECTION_LOST", source)

    def test_tls(self) -> None:
        """The TLS protocol moves its bytes by the methods that are replaced."""
        for caller, names in (
            ("dataReceived", ("_handshakeDone", "_appSendBuffer", "_flushReceiveBIO()")),
            ("write", ("_write(bytes)",)),
            ("_unbufferPendingWrites", ("_write(eachWrite)",)),
            ("_write", ("_bufferedWrite", "_tlsShutdownFinished", "_lostTLSConnection")),
            ("_flushReceiveBIO", ("_lostTLSConnection", "_aborted", "_flushSendBIO()")),
            ("makeConnection", ("_tlsConnection", "factory._creatorCallable(self)")),
            ("makeConnection", ("_appSendBuffer = []", "factory.registerProtocol(self)")),
            ("connectionLost", ("_lostTLSConnection:", "_tlsConnection = None")),
            ("loseConnection", ("_shutdownTLS()",)),
            ("_unbufferPendingWrites", ("_shutdownTLS()",)),
            ("unregisterProducer", ("_producer = None", "_shutdownTLS()")),
        ):
            source = inspect.getsource(getattr(TLSMemoryBIOProtocol, caller))
            for name in names:
                self.assertIn(f"self.{name}", source, f"TLSMemoryBIOProtocol.{caller}")

    def test_channel(self) -> None:
        """A channel's idleness shows by public names: ``requests``, ``persistent``, line mode."""
        source = inspect.getsource(HTTPChannel)
        for name in ("self.requests.append(request)", "del self.requests[0]", "self.persistent"):
            self.assertIn(name, source)
        # A request without a length is whole at its head; one that has a length, and no decoder,
        # is whole when it is said to be.
        headed = inspect.getsource(HTTPChannel.lineReceived)
        self.assertIn("self.allHeadersReceived()\n            if self.length == 0:", headed)
        self.assertIn("self.requests[-1]", inspect.getsource(HTTPChannel.allContentReceived))
        channel = HTTPChannel()
        self.assertEqual((channel.requests, channel.line_mode, channel.paused), ([], 1, False))


class PyOpenSSLTests(SynchronousTestCase):
    def test_names(self) -> None:
        """The functions of OpenSSL that are called by themselves are bound."""
        for name in ("BIO_read", "BIO_write", "BIO_get_mem_data", "SSL_read", "SSL_write"):
            self.assertTrue(callable(getattr(SSL._lib, name)), name)
        self.assertEqual(SSL._lib.SSL_MODE_ENABLE_PARTIAL_WRITE, 1)  # of OpenSSL's ssl.h

    def test_connection(self) -> None:
        """A connection over memory has its two BIOs and its SSL where they are looked for."""
        connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        for name, kind in (("_ssl", "SSL *"), ("_into_ssl", "BIO *"), ("_from_ssl", "BIO *")):
            found = SSL._ffi.typeof(getattr(connection, name)).cname
            self.assertEqual(re.sub(r"^struct |_st(?= )", "", found).upper(), kind.upper())


class TwoModulesTests(SynchronousTestCase):
    def test_no_others(self) -> None:
        """No other module of imgd asks anything but itself for a private name."""
        package = Path(imgd.__file__).parent
        found = []
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package).as_posix()
            if name in ALLOWED:
                continue
            source = path.read_text("utf-8")
            own = set(re.findall(r"(?:self|cls|def|class|import|,)\.?\s*(_[a-z]\w*)", source))
            for node in ast.walk(ast.parse(source)):
                private = isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)
                if private and node.attr not in own | PUBLIC:
                    found.append(f"{name}:{node.lineno} {node.attr}")
        self.assertEqual(found, [])
