"""The load of a soak: readers, controllers, and clients that behave badly.

Each kind is a loop in a thread, with connections of its own. Bodies are checked: every version of a
file is one byte, repeated, so a body with two values is a mix of two versions ("torn").
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

FILES = 60
LARGE = 4_000_000  # bytes
COLLECTIONS = 4
PATIENCE = 30  # seconds: what takes longer counts as a hang
# A body may end early if its file was truncated meanwhile, and a connection if it was slow.
ENDED = (ConnectionError, ssl.SSLError, http.client.HTTPException, socket.timeout)


class Corpus:
    """Directories of files that change while they are served."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = [root / f"study-{n}" for n in range(COLLECTIONS)]
        for folder in self.folders:
            (folder / "deep").mkdir(parents=True)
            for n in range(FILES):
                self.write(folder / f"{n:03}.jpg")
            self.write(folder / "volume.nii.gz", LARGE)
            self.write(folder / "deep" / "slice.dcm")

    def write(self, path: Path, size: int = 0) -> None:
        """A new version of a file, in one step."""
        fresh = path.with_name(f".{path.name}.{threading.get_ident()}")
        fresh.write_bytes(bytes([random.randrange(256)]) * (size or random.randrange(200, 200_000)))
        fresh.rename(path)

    def change(self) -> None:
        """Change a file or a folder in one of the ways in which files change."""
        folder = random.choice(self.folders)
        path = folder / f"{random.randrange(FILES):03}.jpg"
        match random.randrange(6):
            case 0 | 1:
                self.write(path)
            case 2:  # truncated in place, while clients may read it
                with contextlib.suppress(OSError):
                    os.truncate(folder / "volume.nii.gz", LARGE // 2)
                self.write(folder / "volume.nii.gz", LARGE)
            case 3:
                path.unlink(missing_ok=True)
                self.write(path)
            case 4:
                with contextlib.suppress(OSError):
                    path.with_suffix(".png").symlink_to("/etc/hostname")
                path.with_suffix(".png").unlink(missing_ok=True)
            case 5:
                folder.rename(folder.with_name("away"))
                folder.with_name("away").rename(folder)


class Load:
    """The loops. ``count`` counts their results; ``torn`` and ``hung`` must stay 0."""

    def __init__(self, corpus: Corpus, https: int, plain: int, ca: Path) -> None:
        self.corpus = corpus
        self.https, self.plain = https, plain
        self.tls = ssl.create_default_context(cafile=str(ca))
        self.count: Counter[str] = Counter()
        self._go = threading.Event()
        self._end = threading.Event()
        kinds = [
            *[self.read] * 4,
            *(self.control, self.list, self.change, self.abort, self.abort, self.slow_reader),
            *(self.garbage, self.slow_head, self.silent, self.conditional),
        ]
        self._resting = threading.Barrier(len(kinds) + 1)
        self._threads = [
            threading.Thread(target=self._loop, args=(kind,), daemon=True) for kind in kinds
        ]
        for thread in self._threads:
            thread.start()

    def run(self, seconds: float) -> None:
        """Run every kind at once for a while; then all pause, without a connection."""
        self._go.set()
        time.sleep(seconds)
        self._go.clear()
        self._resting.wait(2 * PATIENCE)

    def end(self) -> None:
        """End the loops."""
        self._end.set()
        self._go.set()

    def _loop(self, kind: Callable[[], Iterator[None]]) -> None:
        while True:
            self._go.wait()
            if self._end.is_set():
                return
            self._spell(kind)
            self._resting.wait(2 * PATIENCE)

    def _spell(self, kind: Callable[[], Iterator[None]]) -> None:
        while self._go.is_set() and not self._end.is_set():
            try:
                for _ in kind():
                    if not self._go.is_set():
                        break
            except TimeoutError:
                self.count["hung"] += 1
            except ENDED:
                self.count["ended early"] += 1
            except OSError:
                self.count["other errors"] += 1

    # Connections

    def _connect(self) -> socket.socket:
        if random.random() < 0.5:
            return socket.create_connection(("127.0.0.1", self.plain), PATIENCE)
        bare = socket.create_connection(("127.0.0.1", self.https), PATIENCE)
        try:
            return self.tls.wrap_socket(bare, server_hostname="localhost")
        except BaseException:
            bare.close()
            raise

    @contextlib.contextmanager
    def _client(self) -> Iterator[http.client.HTTPConnection]:
        client = http.client.HTTPConnection("localhost")
        client.sock = self._connect()
        try:
            yield client
        finally:
            client.close()

    def _ask(
        self,
        client: http.client.HTTPConnection,
        path: str,
        method: str = "GET",
        body: object = None,
        **headers: str,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        sent = None if body is None else json.dumps(body)
        if sent:
            headers["Content-Type"] = "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request(method, path, sent, named)
        answer = client.getresponse()
        data = answer.read()
        self.count[f"{answer.status}"] += 1
        return answer, data

    def _path(self) -> str:
        folder = f"/study-{random.randrange(COLLECTIONS)}"
        if random.random() < 0.5:
            folder = f"/collections{folder}/files"
        name = "volume.nii.gz" if random.random() < 0.1 else f"{random.randrange(FILES):03}.jpg"
        return f"{folder}/{name}"

    def _torn(self, client: http.client.HTTPConnection, path: str, data: bytes) -> None:
        """Count a body with two values. Zeros in a file that was truncated in place are counted
        apart: sendfile hands pages to the kernel, and a truncation clears those under way.
        """
        plain = not isinstance(client.sock, ssl.SSLSocket)
        cleared = plain and path.endswith("volume.nii.gz") and len(set(data) - {0}) == 1
        self.count["cleared by a truncation on the way" if cleared else "torn"] += 1

    # Kinds of load

    def read(self) -> Iterator[None]:
        """Whole files, ranges and heads over one connection, a while."""
        with self._client() as client:
            for _ in range(random.randrange(1, 200)):
                first = random.randrange(100_000)
                ranged = {"Range": f"bytes={first}-{first + random.randrange(50_000)}"}
                headers = ranged if random.random() < 0.3 else {}
                method = "HEAD" if random.random() < 0.1 else "GET"
                path = self._path()
                answer, data = self._ask(client, path, method, **headers)
                if answer.status in (200, 206) and len(set(data)) > 1:
                    self._torn(client, path, data)
                yield

    def conditional(self) -> Iterator[None]:
        """What a browser does on its second visit."""
        with self._client() as client:
            for _ in range(50):
                path = self._path()
                tag = self._ask(client, path, "HEAD")[0].headers.get("ETag")
                if tag:
                    self._ask(client, path, If_None_Match=tag)
                yield

    def list(self) -> Iterator[None]:
        """Folders as JSON and as pages, collections line by line, health."""
        with self._client() as client:
            for _ in range(20):
                name = f"study-{random.randrange(COLLECTIONS)}"
                for path in (
                    *(f"/{name}/?format=json", f"/{name}/", "/", "/health", "/collections"),
                    f"/collections/{name}/images?format=ndjson",
                    "/" + "x" * random.randrange(3000),
                ):
                    self._ask(client, path, Accept=random.choice(("text/html", "*/*")))
                    yield

    def control(self) -> Iterator[None]:
        """Loads, replaced and unloaded again."""
        with self._client() as client:
            for _ in range(20):
                name = f"study-{random.randrange(COLLECTIONS)}"
                load = {"directory": str(self.corpus.root / name), "recursive": True}
                self._ask(client, "/load-directory", "POST", {**load, "name": name})
                if random.random() < 0.3:
                    self._ask(client, "/unload", "POST", {"name": name})
                self._ask(client, "/load-directory", "POST", {"directory": "/nowhere"})
                self._ask(client, "/load-directory", "POST", [1, 2])
                yield
                time.sleep(0.02)

    def change(self) -> Iterator[None]:
        """Files and folders change while they are read."""
        self.corpus.change()
        yield
        time.sleep(0.01)

    def abort(self) -> Iterator[None]:
        """A reset in the middle of a large file."""
        with contextlib.closing(self._connect()) as connection:
            name = f"study-{random.randrange(COLLECTIONS)}"
            connection.sendall(f"GET /{name}/volume.nii.gz HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            for _ in range(random.randrange(8)):
                connection.recv(50_000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.count["aborted"] += 1
            yield

    def slow_reader(self) -> Iterator[None]:
        """Many connections that ask for a large file each, and read almost nothing."""
        held = []
        try:
            for _ in range(20):
                held.append(self._connect())
                held[-1].sendall(b"GET /study-0/volume.nii.gz HTTP/1.1\r\nHost: x\r\n\r\n")
            for _ in range(50):
                for connection in held:
                    connection.recv(100)
                self.count["slow reads"] += 1
                yield
                time.sleep(0.2)
        finally:
            for connection in held:
                connection.close()

    def slow_head(self) -> Iterator[None]:
        """Heads and bodies that come byte by byte, until the daemon has had enough."""
        with contextlib.closing(self._connect()) as connection:
            text = random.choice((b"GET / HTTP/1.1\r\n", b"POST /unload HTTP/1.1\r\nHost: x\r\n"))
            connection.sendall(text + b"Content-Length: 10000\r\n\r\n" * (b"POST" in text))
            while self._go.is_set():
                connection.sendall(b"x")
                self.count["bytes of slow heads"] += 1
                yield
                time.sleep(0.1)

    def silent(self) -> Iterator[None]:
        """Connections that send nothing, at the TLS port not even a ClientHello."""
        held = []
        try:
            for port in (self.https, self.plain) * 10:
                held.append(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(40):
                yield
                time.sleep(0.1)
            self.count["silent"] += len(held)
        finally:
            for connection in held:
                connection.close()

    def garbage(self) -> Iterator[None]:
        """Bytes that mean nothing, or almost something."""
        port = random.choice((self.https, self.plain))
        with contextlib.closing(self._connect()) as connection:
            connection.sendall(_garbage())
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                connection.recv(1000)
        with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as bare:
            bare.sendall(os.urandom(random.randrange(1, 2000)))
        self.count["garbage"] += 2
        yield


def _garbage() -> bytes:
    request = bytearray(
        b"GET /study-0/000.jpg HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-\r\n\r\n"
    )
    for _ in range(random.randrange(1, 6)):
        request[random.randrange(len(request))] = random.randrange(256)
    return bytes(request) * random.randrange(1, 4)
