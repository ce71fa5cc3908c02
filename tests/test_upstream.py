"""What imgd relies on inside Twisted and pyOpenSSL, named one by one.

``imgd.net.tcp`` and ``imgd.net.bulk_tls`` alone use private names. A failure here after an upgrade
says which of them is gone or means something else; the modules say what each is for, and
``tests/net/test_transports.py`` what happens without it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet import abstract, tcp
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel

import imgd
from tests.test_layers import read

ALLOWED = {"imgd.net.tcp", "imgd.net.bulk_tls"}
PUBLIC = {"_replace", "_asdict", "_fields"}  # of namedtuples, documented


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

    def test_close(self) -> None:
        """A transport may be lost while it reads: it leaves the reactor, and has no descriptor."""
        lost = inspect.getsource(abstract.FileDescriptor.connectionLost)
        for name in ("self.stopReading()", "self.stopWriting()"):
            self.assertIn(name, lost)
        self.assertIn("del self.fileno", inspect.getsource(tcp.Connection.connectionLost))
        self.assertEqual(abstract.FileDescriptor().fileno(), -1)

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
    lib, ffi = cast(Any, SSL)._lib, cast(Any, SSL)._ffi

    def test_names(self) -> None:
        """The functions of OpenSSL that are called by themselves are bound."""
        for name in ("BIO_read", "BIO_write", "BIO_get_mem_data", "SSL_read", "SSL_write"):
            self.assertTrue(callable(getattr(self.lib, name)), name)
        self.assertEqual(self.lib.SSL_MODE_ENABLE_PARTIAL_WRITE, 1)  # of OpenSSL's ssl.h

    def test_connection(self) -> None:
        """A connection over memory has its two BIOs and its SSL where they are looked for."""
        connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        for name, kind in (("_ssl", "SSL *"), ("_into_ssl", "BIO *"), ("_from_ssl", "BIO *")):
            cname = self.ffi.typeof(getattr(connection, name)).cname
            self.assertEqual(re.sub(r"^struct |_st(?= )", "", cname).upper(), kind.upper())


def is_private(name: object) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(r"_[a-zA-Z]\w*", name))


def defined_names(tree: ast.AST) -> set[str]:
    """What a module defines, imports or assigns, of itself or of its classes."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.alias():
                names.add(node.name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


def private_uses(tree: ast.AST, own: set[str], inherited: set[str]) -> Iterator[str]:
    """Private names of others that a module uses: imported, as attributes, or by ``getattr``.

    ``own`` are the module's names; ``inherited``, other modules' of imgd, are good for ``self``.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                paths = [alias.name for alias in node.names]
            case ast.ImportFrom(module=module) if (module or "").partition(".")[0] != "imgd":
                paths = [f"{module}.{alias.name}" for alias in node.names]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                paths = [] if name in own | inherited else [name]
            case (
                ast.Attribute(attr=name)
                | ast.Call(
                    func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
                    args=[_, ast.Constant(value=name), *_],
                )
            ):
                paths = [] if name in own else [str(name)]
            case _:
                continue
        for path in paths:
            if any(is_private(part) and part not in PUBLIC for part in path.split(".")):
                yield path


def problems(sources: Mapping[str, str]) -> list[str]:
    trees = {module: ast.parse(source) for module, source in sources.items()}
    own = {module: defined_names(tree) for module, tree in trees.items()}
    inherited = set().union(*(names for module, names in own.items() if module not in ALLOWED))
    return [
        f"{module}: {name}"
        for module, tree in trees.items()
        if module not in ALLOWED
        for name in private_uses(tree, own[module], inherited)
    ]


@cache
def names_of(kind: type) -> set[str]:
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # written in C
        source = ""
    return {*vars(kind), *re.findall(r"self\.(_[a-z]\w*)", source)}


def overridden_names(kind: type) -> Iterator[str]:
    """Private names of a class of imgd that one of its bases from elsewhere has as well."""
    own = {name for name in vars(kind) if is_private(name)}
    own |= set(re.findall(r"self\.(_[a-z]\w*)(?:: [^=\n]+)? = ", inspect.getsource(kind)))
    for base in kind.__mro__[1:]:
        if base.__module__.partition(".")[0] in {"imgd", "builtins", "abc", "typing", "enum"}:
            continue
        yield from (f"{kind.__module__}.{kind.__name__}: {name}" for name in own & names_of(base))


class TwoModulesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sources = read(Path(imgd.__file__).parent)

    def test_no_others(self) -> None:
        """No other module of imgd imports a private name, or asks anything but itself for one."""
        self.assertEqual(problems(self.sources), [])

    def test_nothing_overridden(self) -> None:
        """No class of another module overrides a private name of its foreign bases unawares."""
        names: list[str] = []
        for module_name in self.sources.keys() - ALLOWED:
            module = importlib.import_module(module_name)
            for kind in vars(module).values():
                if inspect.isclass(kind) and kind.__module__ == module_name:
                    names += overridden_names(kind)
        self.assertEqual(names, [])

        class Careless(TLSMemoryBIOProtocol):
            def _write(self, _data: bytes) -> None:
                self._reason = None

        self.assertEqual(
            {line.rpartition(" ")[2] for line in overridden_names(Careless)}, {"_write", "_reason"}
        )

    def test_sees(self) -> None:
        """The check sees a private name however it is used, and no name of imgd's own."""
        for source in (
            "from twisted.protocols._smb import base",
            "from twisted.internet import _sslverify",
            "from OpenSSL.SSL import _lib",
            "import OpenSSL._util",
            "import twisted.internet._sslverify as verify",
            "transport._tempDataLen",
            "transport._tempDataLen += 1",
            "getattr(transport, '_tempDataLen', 0)",
            "hasattr(transport, '_tempDataLen')",
            "setattr(transport, '_tempDataLen', 0)",
            "self._reader_of_twisted()",
            "def f():\n    from twisted.web import _newclient",
        ):
            self.assertEqual(len(problems({"imgd.web.new": source})), 1, source)
        for source in (
            "from imgd.core._x import _y",
            "class A:\n    def _f(self): self._g = self._f",
            "self._x = 1\nsame._x",
            "t._replace(a=1)",
            "from __future__ import annotations",
        ):
            self.assertEqual(problems({"imgd.web.new": source}), [], source)
        base = {"imgd.web.base": "class A:\n    def _f(self): pass"}
        self.assertEqual(problems({**base, "imgd.web.new": "self._f()"}), [])
        self.assertEqual(len(problems({**base, "imgd.web.new": "other._f()"})), 1)
