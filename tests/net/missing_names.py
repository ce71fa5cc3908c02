"""A site on a Twisted and a pyOpenSSL that lack one of the names which the fast transports use.

Run with a folder for files. For each name a process is forked in which the two modules look for
another name instead, so that they miss it while the libraries work on. Prints a line of JSON for
each: the name, the warnings that were logged, and what was not served as it should be.
"""

from __future__ import annotations

import ast
import http.client
import importlib
import json
import os
import pkgutil
import re
import signal
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import abstract, tcp
from twisted.internet.interfaces import ITransport
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.protocols import tls

import imgd.collections
import imgd.core
import imgd.files
import imgd.host
from imgd.certificates import renewal
from imgd.certificates.files import PairPaths
from imgd.certificates.names import SubjectAltNames
from imgd.certificates.renewal import CertificateFiles
from tests.certificates.folder_case import QUICK_KEYS
from tests.net.renamed import MODULES, load_without, source_path

LIBRARIES = (abstract, tcp, tls, SSL)
BODY = os.urandom(1 << 20)
TIME_LIMIT = 60  # seconds for one process
AT_ONCE = 4  # processes
# What a module asks of an object that it was given: `_lib` stands for OpenSSL's functions.
OWNERS = {"transport", "_lib"}


# Imported once, before the forks: it takes long, and none of it imports the two modules.
for room in (imgd.core, imgd.host, imgd.files, imgd.collections):
    for info in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        importlib.import_module(info.name)
for library in ("jinja2.ext", "twisted.internet.testing", "twisted.web.static"):
    importlib.import_module(library)


def used_names(module: str) -> Iterator[str]:
    """The libraries' names in a module that are private, or of the objects that it knows from
    inside.
    """
    text = "".join(Path(str(library.__file__)).read_text("utf-8") for library in LIBRARIES)
    words = set(re.findall(r"\b_[a-z]\w*", text))
    for node in ast.walk(ast.parse(Path(source_path(module)).read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            is_asked = node.attr in words or getattr(node.value, "id", "") in OWNERS
            if is_asked and node.attr not in ITransport:
                yield node.attr
        elif isinstance(node, ast.Constant) and node.value in words:
            yield str(node.value)


def fetch(port: int, context: ssl.SSLContext | None) -> Iterator[str]:
    """What is not served as it should be."""
    connection = (
        http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
        if context
        else http.client.HTTPConnection("localhost", port, timeout=30)
    )
    for path, name, value, body in (
        ("/small.jpg", "Accept", "*/*", BODY[:20_000]),
        ("/large.nii", "Accept", "*/*", BODY),
        ("/large.nii", "Range", "bytes=1000-900000", BODY[1000:900_001]),
        ("/small.jpg", "Connection", "close", BODY[:20_000]),
    ):
        connection.request("GET", path, headers={name: value})
        if connection.getresponse().read() != body:
            yield f"{path} {name}: {value} {'https' if context else 'http'}"
    connection.close()


def serve_without(name: str, folder: str, pair: PairPaths, ca: str) -> dict[str, Any]:
    load_without(name)
    from twisted.internet import reactor, threads

    from imgd.net.bulk_tls import tls_factory
    from imgd.net.listen import number_of
    from imgd.net.tls import SwappableContext, build_context
    from imgd.net.transports import warn_if_slow
    from tests.fakes import MemorySite, write

    loop: Any = reactor
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    warn_if_slow(tls=True)
    memory_site = MemorySite(os.path.join(folder, f"without-{name}"))
    write(os.path.join(memory_site.documents, "large.nii"), BODY)
    write(os.path.join(memory_site.documents, "small.jpg"), BODY[:20_000])
    factory = tls_factory(SwappableContext(build_context([pair])), memory_site.site, loop)
    ports = [loop.listenTCP(0, site, interface="127.0.0.1") for site in (memory_site.site, factory)]
    contexts = (None, ssl.create_default_context(cafile=ca))
    failures: list[str] = []

    def fetch_both() -> None:
        for port, context in zip(ports, contexts, strict=True):
            failures.extend(fetch(number_of(port), context))

    def stop(failure: object) -> None:
        failures.extend([str(failure)] if failure else [])
        loop.stop()

    loop.callWhenRunning(lambda: threads.deferToThread(fetch_both).addBoth(stop))
    loop.run()
    warnings = [formatEvent(event) for event in events if event["log_level"] >= LogLevel.warn]
    return {"name": name, "warnings": warnings, "failures": failures}


def main(folder: str) -> None:
    names = SubjectAltNames(("localhost",), ("127.0.0.1",))
    files = renewal.ensure(
        os.path.join(folder, "certificates"), names, datetime.now(UTC), keys=QUICK_KEYS
    )
    names_to_miss = ["", *sorted({name for module in MODULES for name in used_names(module)})]
    while names_to_miss:
        batch, names_to_miss = names_to_miss[:AT_ONCE], names_to_miss[AT_ONCE:]
        processes = {fork(name, folder, files): name for name in batch}
        for process, name in processes.items():
            if status := os.waitpid(process, 0)[1]:
                print_result({"name": name, "failures": [f"status {status}"]})


def fork(name: str, folder: str, files: CertificateFiles) -> int:
    process = os.fork()
    if process == 0:
        signal.alarm(TIME_LIMIT)
        try:
            print_result(serve_without(name, folder, files.pairs[0], files.ca_pem))
            os._exit(0)
        finally:
            os._exit(1)
    return process


def print_result(result: dict[str, Any]) -> None:
    os.write(1, json.dumps(result).encode("ascii") + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
