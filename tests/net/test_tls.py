"""The TLS context, tried by real clients on real sockets."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest import skipUnless

from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from imgd.certificates import renewal
from imgd.errors import StartError
from imgd.net.tls import SwappableContext, build_context
from tests.net.tls_case import (
    ANSWER,
    NAMES,
    TIMEOUT,
    ListenerCase,
    client,
    connected,
    der,
    exchange,
    has_ipv6,
    leaf_of,
    logged_events,
    made,
    read,
)


class HandshakeTests(ListenerCase):
    @inlineCallbacks
    def test_strict(self) -> Any:
        """A client under VERIFY_X509_STRICT connects by name and by address, with 1.2 and 1.3."""
        port = self.serve()

        def ask(name: str, version: ssl.TLSVersion) -> tuple[bytes, str | None]:
            context = client(minimum_version=version, maximum_version=version)
            with connected(port, context, name) as wrapped:
                return exchange(wrapped), wrapped.version()

        for name in ("localhost", "127.0.0.1", "::1"):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                answer, spoken = yield deferToThread(ask, name, version)
                self.assertEqual(answer, ANSWER)
                self.assertEqual(spoken, version.name.replace("_", "."))

    @skipUnless(has_ipv6(), "this machine has no ::1")
    @inlineCallbacks
    def test_ipv6(self) -> Any:
        """The IPv6 loopback is served under its own address."""
        port = self.serve("::1")

        def ask() -> bytes:
            with connected(port, client(), "::1", "::1") as wrapped:
                return exchange(wrapped)

        self.assertEqual((yield deferToThread(ask)), ANSWER)

    @inlineCallbacks
    def test_other_name(self) -> Any:
        """A name that the leaf does not hold is refused by the client."""
        port = self.serve()

        def ask() -> None:
            with connected(port, client(), "elsewhere.example"):
                pass

        with self.assertRaises(ssl.SSLCertVerificationError):
            yield deferToThread(ask)

    @inlineCallbacks
    def test_old_protocol(self) -> Any:
        """TLS 1.1 is refused."""
        port = self.serve()

        context = client()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.flushWarnings()  # Python warns of these versions, too

        def ask() -> None:
            with connected(port, context):
                pass

        with self.assertRaisesRegex(ssl.SSLError, "(?i)alert.protocol.version"):
            yield deferToThread(ask)

    @inlineCallbacks
    def test_ciphers(self) -> Any:
        """The client's order of ciphers is followed; one outside Mozilla's list is refused."""
        port = self.serve()

        def ask(ciphers: str) -> str:
            context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(ciphers)
            with connected(port, context) as wrapped:
                return str((wrapped.cipher() or "")[0])

        chacha, aes = "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"
        self.assertEqual((yield deferToThread(ask, f"{chacha}:{aes}")), chacha)
        self.assertEqual((yield deferToThread(ask, f"{aes}:{chacha}")), aes)
        for weak in ("ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256"):
            with self.assertRaises(ssl.SSLError):
                yield deferToThread(ask, weak)

    @inlineCallbacks
    def test_protocols(self) -> Any:
        """HTTP/1.1 is chosen if it is offered; who offers nothing is served without."""
        port = self.serve()

        def ask(offered: list[str]) -> tuple[str | None, bytes]:
            context = client()
            context.set_alpn_protocols(offered)
            with connected(port, context) as wrapped:
                return wrapped.selected_alpn_protocol(), exchange(wrapped)

        for offered, chosen in (
            (["h2", "http/1.1"], "http/1.1"),
            (["http/1.1"], "http/1.1"),
            ([], None),
        ):
            self.assertEqual((yield deferToThread(ask, offered)), (chosen, ANSWER))

    @inlineCallbacks
    def test_other_protocols(self) -> Any:
        """A client that offers others than HTTP/1.1 gets the alert that says so (RFC 7301 section
        3.2), with TLS 1.2 and 1.3; nothing is logged, and the next client is served.
        """
        port = self.serve()
        events = logged_events(self)

        def ask(offered: list[str], version: ssl.TLSVersion) -> bytes:
            context = client(minimum_version=version, maximum_version=version)
            context.set_alpn_protocols(offered)
            with connected(port, context) as wrapped:
                return exchange(wrapped)

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for offered in (["h2"], ["http/1.0", "h3"]):
                with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
                    yield deferToThread(ask, offered, version)
            answer = yield deferToThread(ask, ["h2", "http/1.1"], version)
            self.assertEqual(answer, ANSWER)
        self.assertEqual(events, [])

    @inlineCallbacks
    def test_both_kinds(self) -> Any:
        """A present-day client gets the P-256 leaf, one that knows RSA alone gets that."""
        port = self.serve()

        def ask(ciphers: str) -> bytes:
            context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(ciphers)
            with connected(port, context) as wrapped:
                return leaf_of(wrapped)

        def ask_modern() -> bytes:
            with connected(port, client()) as wrapped:
                return leaf_of(wrapped)

        rsa, p256 = (der(pair.certificate) for pair in made().pairs)
        self.assertEqual((yield deferToThread(ask_modern)), p256)
        self.assertEqual((yield deferToThread(ask, "ECDHE")), p256)
        self.assertEqual((yield deferToThread(ask, "ECDHE+aRSA")), rsa)

    @skipUnless(shutil.which("openssl"), "openssl is not there")
    @inlineCallbacks
    def test_chains(self) -> Any:
        """A chain in one certificate's file goes out with that certificate, not with the other."""
        folder = self.mktemp()
        os.mkdir(folder)
        chain = os.path.join(folder, "chain.pem")
        with open(chain, "w") as file:
            file.write(read(made().pairs[0].certificate) + read(made().ca_pem))
        pairs = [(chain, made().pairs[0].key), made().pairs[1]]
        for order in (pairs, pairs[::-1]):
            port = self.listen(SwappableContext(build_context(order)))
            for algorithm, length in (("rsa_pss_rsae_sha256", 2), ("ecdsa_secp256r1_sha256", 1)):
                command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-showcerts"]
                shown = yield deferToThread(self.run_client, [*command, "-sigalgs", algorithm])
                self.assertEqual(shown.count(b"-----BEGIN CERTIFICATE-----"), length)

    @staticmethod
    def run_client(command: list[str]) -> bytes:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT
        ).stdout

    @skipUnless(shutil.which("curl"), "curl is not there")
    @inlineCallbacks
    def test_curl(self) -> Any:
        """``curl --cacert ca.pem`` connects without a warning."""
        port = self.serve()
        url = f"https://localhost:{port}/"
        command = ["curl", "-sS", "--noproxy", "*", "--cacert", made().ca_pem, url]
        self.assertEqual((yield deferToThread(self.run_client, command)), b"ok\n")

    @inlineCallbacks
    def test_broken_handshakes(self) -> Any:
        """Plain HTTP, noise and a client that leaves at once are dropped without a log line."""
        port = self.serve()
        events = logged_events(self)

        def send(data: bytes) -> None:
            with (
                contextlib.suppress(ConnectionError),  # a reset is an end like any other
                socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as raw,
            ):
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(1000):
                    pass

        for data in (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\xff\xff" * 99,
            b"\x16",
            b"",
        ):
            yield deferToThread(send, data)
        self.assertEqual(self.factory.ended, 4)
        self.assertEqual(events, [])


class SwapTests(ListenerCase):
    def test_interface(self) -> None:
        """It is a creator of server connections, as Twisted defines them."""
        verifyObject(IOpenSSLServerConnectionCreator, SwappableContext(build_context([])))

    @inlineCallbacks
    def test_swap(self) -> Any:
        """An open connection goes on across a swap, and a new one sees the new leaf."""
        folder = self.mktemp()
        shutil.copytree(os.path.dirname(made().ca_pem), folder)
        newer = renewal.ensure(folder, NAMES, datetime.now(UTC), force_leaf=True)
        self.assertEqual(newer.ca_fingerprint, made().ca_fingerprint)
        context = SwappableContext(build_context(made().pairs))
        port = self.listen(context)

        def connect() -> ssl.SSLSocket:
            raw = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
            return client().wrap_socket(raw, server_hostname="localhost")

        old = yield deferToThread(connect)
        self.addCleanup(old.close)
        self.assertEqual((yield deferToThread(exchange, old)), ANSWER)
        context.swap(build_context(newer.pairs))
        new = yield deferToThread(connect)
        self.addCleanup(new.close)
        for wrapped, leaf in ((old, made().pairs[1][0]), (new, newer.pairs[1][0])):
            self.assertEqual((yield deferToThread(exchange, wrapped)), ANSWER)
            self.assertEqual(leaf_of(wrapped), der(leaf))


class BadPairTests(TestCase):
    def refused(self, build: Callable[[], object]) -> str:
        with self.assertRaises(StartError) as caught:
            build()
        return str(caught.exception.detail)

    def test_bad_pairs(self) -> None:
        """A pair that cannot be used is one sentence with both paths and the reason."""
        rsa, p256 = made().pairs
        missing = os.path.abspath(self.mktemp())
        for pair, reason in (
            ((rsa[0], p256[1]), "the key does not match the certificate"),
            ((rsa[1], rsa[1]), ""),
            ((rsa[0], missing), "No such file"),
            ((missing, rsa[1]), ""),
        ):
            detail = self.refused(partial(build_context, [pair]))
            self.assertIn(f"Cannot serve with {pair[0]} and {pair[1]}: ", detail)
            self.assertIn(reason, detail)
            self.assertNotIn("\n", detail)
