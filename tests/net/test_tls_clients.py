"""The local CA as clients see it."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest import skipUnless

from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread

from imgd.net.tls import SwappableContext, build_context
from tests.certificates.folder_case import forge
from tests.net.tls_case import TIMEOUT, ListenerCase, client, connected, made

NODE = """
const [port, name, address] = process.argv.slice(1);
const socket = require("tls").connect(
  {port, host: address, servername: require("net").isIP(name) ? "" : name,
   checkServerIdentity: (_, cert) => require("tls").checkServerIdentity(name, cert)},
  () => { console.log("connected"); socket.destroy(); });
socket.on("error", error => console.log(error.message));
"""


class ConstrainedTests(ListenerCase):
    """The CA as clients see it: what imgd makes is accepted, and a leaf for a site of the world,
    made with the CA's own key, is refused.
    """

    def folder(self) -> str:
        return os.path.dirname(made().ca_pem)

    def serve_forged(self) -> int:
        pair = forge(self.folder(), "example.com", datetime.now(UTC))
        return self.listen(SwappableContext(build_context([pair])))

    @staticmethod
    def python(port: int, name: str) -> str:
        try:
            with connected(port, client(), name):
                return ""
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)

    @staticmethod
    def run_program(command: list[str], **more: str) -> str:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            env={**os.environ, **more},
        )
        return (done.stdout + done.stderr).decode()

    def curl(self, port: int, name: str) -> str:
        target = ["--resolve", f"{name}:{port}:127.0.0.1", f"https://{name}:{port}/"]
        trust = ["--noproxy", "*", "--cacert", made().ca_pem]
        return self.run_program(["curl", "-sS", *trust, *target])

    def node(self, port: int, name: str) -> str:
        command = ["node", "-e", NODE, str(port), name, "127.0.0.1"]
        return self.run_program(command, NODE_EXTRA_CA_CERTS=made().ca_pem)

    def gnutls(self, port: int, name: str) -> str:
        command = ["gnutls-cli", "--x509cafile", made().ca_pem, "--verify-hostname", name]
        if not name[0].isdigit():
            command += ["--sni-hostname", name]
        return self.run_program([*command, "-p", str(port), "127.0.0.1"])

    @inlineCallbacks
    def check(self, ask: Callable[[int, str], str], accepted: str, refused: str) -> Any:
        port = self.serve()
        for name in ("localhost", "127.0.0.1", "host.docker.internal"):
            self.assertIn(accepted, (yield deferToThread(ask, port, name)))
        forged = self.serve_forged()
        for name in ("example.com", "localhost"):
            output = yield deferToThread(ask, forged, name)
            self.assertRegex(output, refused)

    def test_python(self) -> Any:
        """Python's ssl, under VERIFY_X509_STRICT."""
        return self.check(self.python, "", "permitted subtree violation")

    @skipUnless(shutil.which("curl"), "curl is not there")
    def test_curl(self) -> Any:
        return self.check(self.curl, "ok\n", "SSL certificate problem|SSL: ")

    @skipUnless(shutil.which("node"), "node is not there")
    def test_node(self) -> Any:
        return self.check(self.node, "connected", "permitted subtree violation")

    @skipUnless(shutil.which("gnutls-cli"), "gnutls-cli is not there")
    def test_gnutls(self) -> Any:
        return self.check(self.gnutls, "certificate is trusted", "violates the signer's constr")
