"""A server and its clients in one process.

``python -m tests.web.transfers REACTOR FOLDER [without-sendfile]`` prints ``ok`` if large and small
files came whole, over plain TCP and over TLS.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import tempfile
from importlib import import_module
from typing import cast

if "without-sendfile" in sys.argv and hasattr(os, "sendfile"):
    del os.sendfile  # as on a platform that has none, before anything looks for it
import_module(f"twisted.internet.{sys.argv[1]}").install()

from twisted.internet import reactor, threads  # noqa: E402
from twisted.internet.address import IPv4Address  # noqa: E402
from twisted.internet.interfaces import IProtocolFactory  # noqa: E402
from twisted.internet.protocol import ServerFactory  # noqa: E402

from imgd.net import tcp  # noqa: E402
from imgd.net.bulk_tls import tls_factory  # noqa: E402
from imgd.net.tls import SwappableContext, build_context  # noqa: E402
from tests.fakes import MemorySite, write  # noqa: E402
from tests.net.tls_case import client, made  # noqa: E402

BODY = os.urandom(1 << 20) * 20
failures: list[str] = []


def ask(port: int, tls: bool) -> None:
    context: ssl.SSLContext = client()
    connection: http.client.HTTPConnection = (
        http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
        if tls
        else http.client.HTTPConnection("localhost", port, timeout=30)
    )
    for path, byte_range, body in (
        ("/large.nii", None, BODY),
        ("/small.jpg", None, BODY[:20_000]),
        ("/large.nii", "bytes=1000000-9000000", BODY[1_000_000:9_000_001]),
        ("/large.nii", "bytes=-70000", BODY[-70_000:]),
        ("/small.jpg", None, BODY[:20_000]),
    ):
        connection.request("GET", path, headers={"Range": byte_range} if byte_range else {})
        if connection.getresponse().read() != body:
            failures.append(f"{path} {byte_range} tls={tls}")
    connection.close()


def listen(factory: IProtocolFactory) -> int:
    port = reactor.listenTCP(0, cast(ServerFactory, factory), interface="127.0.0.1")
    return cast(IPv4Address, port.getHost()).port


def main() -> None:
    assert tcp.has_send_file() == ("without-sendfile" not in sys.argv and hasattr(os, "sendfile"))
    memory_site = MemorySite(tempfile.mkdtemp(dir=sys.argv[2]))
    write(os.path.join(memory_site.documents, "large.nii"), BODY)
    write(os.path.join(memory_site.documents, "small.jpg"), BODY[:20_000])
    context = SwappableContext(build_context(made().pairs))
    plain = listen(memory_site.site)
    tls = listen(tls_factory(context, memory_site.site, reactor))

    def both() -> None:
        ask(plain, False)
        ask(tls, True)

    def done(failure: object) -> None:
        sys.stdout.write(f"{failure or failures or 'ok'}\n")
        reactor.stop()

    reactor.callWhenRunning(lambda: threads.deferToThread(both).addBoth(done))
    reactor.run()


main()
