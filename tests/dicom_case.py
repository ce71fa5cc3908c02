"""A real daemon with a folder of DICOM, and everything that can be asked of it."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.daemons import PATIENCE, Daemon, DaemonCase

HTML = "text/html,application/xhtml+xml"


class Reply(NamedTuple):
    """``headers`` is the head as text, without the status."""

    status: int
    headers: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(daemon: Daemon, path: str, method: str = "GET", **headers: str) -> Reply:
    """The answer to a request below the main URL, whatever its status, over a connection that is
    kept; names of headers are written with underscores.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = _connection(daemon)
    try:
        connection.request(method, f"/{path.lstrip('/')}", headers=named)
        answer = connection.getresponse()
    except (http.client.RemoteDisconnected, ConnectionError):  # closed after the answer before
        connection.close()
        connection.request(method, f"/{path.lstrip('/')}", headers=named)
        answer = connection.getresponse()
    return Reply(answer.status, str(answer.headers), answer.read())


@cache
def _connection(daemon: Daemon) -> http.client.HTTPSConnection:
    host = urlsplit(daemon.url).hostname or ""
    return http.client.HTTPSConnection(host, daemon.port, timeout=PATIENCE, context=daemon.tls())


def load(daemon: Daemon, folder: Path, name: str, **more: object) -> None:
    """Load a folder with its DICOM, and wait until its index is complete."""
    order = {"directory": str(folder), "name": name, "dicom": True, "recursive": True, **more}
    post(daemon, "load-directory", order)
    wait_for_index(daemon, name)


def post(daemon: Daemon, path: str, message: object) -> None:
    """Ask the daemon to do something, and insist on success."""
    request = urllib.request.Request(
        daemon.url + path,
        json.dumps(message).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {daemon.token}"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE, context=daemon.tls()):
        pass


def wait_for_index(daemon: Daemon, name: str) -> list[Reply]:
    """Wait until the index is complete, and give the answers until then."""
    end = time.monotonic() + PATIENCE
    replies: list[Reply] = []
    while time.monotonic() < end:  # each answer takes imgd some seconds while it indexes
        bearer = f"Bearer {daemon.token}"
        replies.append(ask(daemon, f"collections/{name}/dicom/", Authorization=bearer))
        if replies[-1].status != 202:
            return replies
    raise AssertionError(replies[-1])


class Known(NamedTuple):
    """What a search finds of an instance."""

    study: str
    series: str
    uid: str

    @property
    def path(self) -> str:
        """Below ``dicomweb/``."""
        return f"studies/{self.study}/series/{self.series}/instances/{self.uid}"


def instances(daemon: Daemon, name: str) -> Iterator[Known]:
    """Every instance that a search finds, page by page."""
    found = 0
    page: list[dict[str, Any]] = [{}]
    while page:
        path = f"collections/{name}/dicomweb/instances?limit=100&offset={found}"
        page = ask(daemon, path).json
        found += len(page)
        for attributes in page:
            yield Known(*(value(attributes, tag) for tag in ("0020000D", "0020000E", "00080018")))


def value(attributes: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute of DICOM JSON; None if it has none."""
    return attributes.get(tag, {}).get("Value", [None])[0]


class DicomCase(DaemonCase):
    """Tests with a daemon, whose log must have no traceback in the end."""

    def daemon(self, *options: str, **more: Any) -> Daemon:
        daemon = super().daemon("--picture-workers", "2", *options, **more)
        self.addCleanup(self.check_log, daemon)
        self.addCleanup(daemon.stop)
        self.addCleanup(lambda: _connection(daemon).close())
        return daemon

    def check_log(self, daemon: Daemon) -> None:
        """The daemon met nothing that it did not expect."""
        log = "\n".join(daemon.lines)
        for trouble in ("Traceback", "Unhandled", "Error:"):
            self.assertNotIn(trouble, log)
