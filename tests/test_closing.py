"""How connections end, and what clients make of a folder's redirect: real clients, real sockets."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.daemons import PATIENCE, Daemon, environment, port_of, shared_daemon

BODY = os.urandom(20_000)
LAST = b"GET /a.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
NEXT = b"GET /sub/b.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"
BY_TREE = LAST.replace(b"a.bin", b"a.bin?by=tree")


def daemon() -> Daemon:
    running = shared_daemon("closing", "--http-port", "0")
    output = running.folder / "output"
    if not (output / "sub").exists():
        (output / "sub").mkdir()
        (output / "sub" / "b.bin").write_bytes(b"b")
        (output / "a.bin").write_bytes(BODY)
    return running


def run(command: list[str], folder: Path | None = None) -> str:
    """The output of a program; SkipTest without it."""
    if shutil.which(command[0]) is None:
        raise SkipTest(f"no {command[0]} here")
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        cwd=folder,
        env=environment(Path.cwd()),
        check=False,
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def read_to_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


class CloseTests(SynchronousTestCase):
    """``Connection: close``, as on nginx."""

    @contextlib.contextmanager
    def connections(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A plain connection, and one over TLS which raises if it ends without close_notify."""
        running = daemon()
        plain = ("127.0.0.1", port_of(running.http_url))
        tls = ("127.0.0.1", running.port)
        with (
            socket.create_connection(plain, PATIENCE) as http,
            socket.create_connection(tls, PATIENCE) as raw,
            running.tls().wrap_socket(
                raw, server_hostname="localhost", suppress_ragged_eofs=False
            ) as https,
        ):
            yield http, https

    def test_ends_in_good_order(self) -> None:
        """The answer is whole, says that it is the last, and the end is no reset; over TLS there is
        close_notify. The same by the fast path and by the tree, and after requests before it.
        """
        for last in (LAST, BY_TREE):
            for before in (b"", NEXT, NEXT * 20):
                with self.connections() as both:
                    for connection in both:
                        connection.sendall(before + last)
                        answer = read_to_end(connection)
                        head, _, body = answer.rpartition(BODY)
                        self.assertEqual(body, b"")
                        self.assertEqual(head.count(b"\r\nConnection: close\r\n"), 1)
                        self.assertEqual(head.count(b"HTTP/1.1 200 OK"), 1 + before.count(b"GET"))

    def test_what_follows(self) -> None:
        """Requests after it are not answered, and do not reset the connection: even if the client
        goes on sending until it has read the answer.
        """
        for last in (LAST, BY_TREE):
            for after in (NEXT, NEXT * 1000):
                with self.connections() as both:
                    for connection in both:
                        connection.sendall(last + after)
                        answer = read_to_end(connection)
                        self.assertTrue(answer.endswith(BODY))
                        self.assertEqual(answer.count(b"HTTP/1.1 "), 1)

    def test_slow_reader(self) -> None:
        """A body that the socket does not take at once is sent to its end before the close."""
        large = os.urandom(8 << 20)
        (daemon().folder / "output" / "large.bin").write_bytes(large)
        with self.connections() as both:
            for connection in both:
                connection.sendall(LAST.replace(b"a.bin", b"large.bin"))
                self.assertTrue(read_to_end(connection).endswith(large))

    def test_urllib(self) -> None:
        """Python's urllib, which sends it always."""
        running = daemon()
        for url in (running.http_url, running.url):
            with urllib.request.urlopen(
                url + "a.bin", timeout=PATIENCE, context=running.tls() if "https" in url else None
            ) as answer:
                self.assertEqual((answer.headers["Connection"], answer.read()), ("close", BODY))

    def test_ab(self) -> None:
        """``ab -k`` speaks HTTP/1.0 and is kept; without -k each connection ends after one."""
        url = daemon().http_url + "a.bin"
        kept = run(["ab", "-k", "-q", "-n", "50", "-c", "2", url])
        self.assertRegex(kept, r"Failed requests: +0\n")
        self.assertRegex(kept, r"Keep-Alive requests: +50\n")
        closed = run(["ab", "-q", "-n", "50", "-c", "2", url])
        self.assertRegex(closed, r"Complete requests: +50\n")
        self.assertRegex(closed, r"Failed requests: +0\n")


class Prefix(BaseHTTPRequestHandler):
    """Serves a daemon below ``/pre/fix``, as the simplest proxies do."""

    target = ""

    def do_GET(self) -> None:
        path = self.path.removeprefix("/pre/fix")
        answer = http.client.HTTPConnection("127.0.0.1", port_of(self.target), timeout=PATIENCE)
        answer.request("GET", path)
        response = answer.getresponse()
        self.send_response_only(response.status)
        for name in ("Location", "Content-Type", "Content-Length"):
            if value := response.headers[name]:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.read())
        answer.close()

    do_HEAD = do_GET


class RedirectTests(SynchronousTestCase):
    """A folder without its slash leads clients to its list, with the query, and below a prefix."""

    def setUp(self) -> None:
        handler = type("Handler", (Prefix,), {"target": daemon().http_url})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        proxy = f"http://127.0.0.1:{server.server_port}/pre/fix/"
        self.urls = [f"{base}sub?format=json&sort=name" for base in (daemon().http_url, proxy)]
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()

    def check(self, *command: str) -> None:
        for url in self.urls:
            self.assertIn('"b.bin"', run([*command, url], self.folder), url)

    def test_curl(self) -> None:
        self.check("curl", "-sSL")

    def test_wget(self) -> None:
        self.check("wget", "-qO-")

    def test_aria2c(self) -> None:
        for number, url in enumerate(self.urls):
            run(["aria2c", "-q", "-o", str(number), url], self.folder)
            self.assertIn(b'"b.bin"', (self.folder / str(number)).read_bytes())

    def test_python(self) -> None:
        """urllib of this Python and of every other here: before 3.11 it follows 301, and no 308."""
        code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
        others = (shutil.which(f"python3.{minor}") for minor in range(7, 14))
        for python in (sys.executable, *filter(None, others)):
            if "works" in run([python, "-c", "print('works')"]):  # pyenv's shims need not
                self.check(python, "-c", code)

    def test_requests(self) -> None:
        code = "import sys, requests; print(requests.get(sys.argv[1]).text)"
        if importlib.util.find_spec("requests") is None:
            raise SkipTest("no requests here")
        self.check(sys.executable, "-c", code)
