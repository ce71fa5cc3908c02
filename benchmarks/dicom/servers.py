"""imgd and Orthanc with its DICOMweb plugin, and how each gets to know a folder of DICOM."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.dicom.inputs import files
from benchmarks.servers import Server, await_port, free_ports, pinned

ORTHANC = "Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # as Debian installs it
PATIENCE = 600.0  # seconds for an index to be made
ASK_AGAIN = 0.2  # seconds


def find_orthanc() -> str | None:
    """Orthanc, if its DICOMweb plugin is installed, too."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return program if PLUGIN.exists() else None


@contextmanager
def orthanc(work: Path) -> Iterator[Server]:
    """Orthanc with its defaults and an empty store, reached by plain HTTP on loopback alone."""
    program = find_orthanc()
    if program is None:
        raise SystemExit("Install orthanc and orthanc-dicomweb first, or say --without-peers.")
    port, _ = free_ports()
    with tempfile.TemporaryDirectory(prefix="orthanc-", dir=work) as store:
        settings = {
            "StorageDirectory": store,
            "IndexDirectory": store,
            "HttpPort": port,
            "RemoteAccessAllowed": False,
            "DicomServerEnabled": False,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True},
        }
        path = Path(store) / "orthanc.json"
        path.write_text(json.dumps(settings), "utf-8")
        with (work / "orthanc.log").open("wb") as log:
            process = subprocess.Popen(pinned([program, str(path)]), stdout=log, stderr=log)
        server = Server(ORTHANC, process, f"http://127.0.0.1:{port}/", "")
        try:
            await_port(server, port)
            yield server
        finally:
            server.stop()


def upload(server: Server, folder: Path) -> None:
    """Give Orthanc every file of a folder by its REST API, over one connection."""
    client = Client(server)
    for path in files(folder):
        status, body = client.ask("POST", "instances", path.read_bytes())
        if status != 200:
            raise RuntimeError(f"Orthanc did not take {path}: {status} {body[:300]!r}")


def load(server: Server, folder: Path, name: str) -> None:
    """Load a folder, and what is below it, as a collection."""
    token = (Path(server.notes["state"]) / "token").read_text("ascii").strip()
    request = {"directory": str(folder), "name": name, "recursive": True}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    status, body = Client(server).ask("POST", "load-directory", json.dumps(request), **headers)
    if status != 200:
        raise RuntimeError(f"imgd did not load {folder}: {status} {body[:300]!r}")


def index(server: Server, name: str, count: int) -> None:
    """Wait until imgd knows all ``count`` instances of a collection."""
    client, due = Client(server), time.monotonic() + PATIENCE
    path = f"collections/{name}/dicom/"
    while (answer := client.ask("GET", path))[0] == 202:
        if time.monotonic() > due:
            raise RuntimeError(f"the index of {count} files took over {PATIENCE:.0f} s")
        time.sleep(ASK_AGAIN)
    status, body = answer
    if status != 200:
        raise RuntimeError(f"/{path}: {status} {body[:300]!r}")
    found = json.loads(body)["instance_count"]
    if found != count:
        raise RuntimeError(f"imgd indexed {found} of {count} files")


@dataclass(frozen=True)
class Web:
    """The DICOMweb of a server: what is before ``studies`` in a path, without a slash first."""

    server: Server
    root: str

    @classmethod
    def of(cls, server: Server, collection: str) -> Web:
        is_imgd = server.name != ORTHANC
        return cls(server, f"collections/{collection}/dicomweb" if is_imgd else "dicom-web")

    def series(self, study: str, series: str) -> str:
        """The path of a series."""
        return f"{self.root}/studies/{study}/series/{series}"

    def metadata(self, study: str, series: str) -> str:
        return f"{self.series(study, series)}/metadata"

    def frame(self, study: str, series: str, instance: str) -> str:
        return f"{self.series(study, series)}/instances/{instance}/frames/1"


class Client:
    """Requests over one kept connection; ``content_type`` is that of the last answer."""

    content_type = ""

    def __init__(self, server: Server) -> None:
        self._client = http.client.HTTPConnection(urlsplit(server.http).netloc, timeout=120)

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body."""
        self._client.request(method, f"/{path}", body, headers)
        answer = self._client.getresponse()
        self.content_type = answer.headers.get("Content-Type", "")
        return answer.status, answer.read()

    def fetch(self, path: str, **headers: str) -> bytes:
        """The body of an answer of status 200."""
        status, body = self.ask("GET", path, None, **headers)
        if status != 200:
            raise RuntimeError(f"/{path}: {status} {body[:300]!r}")
        return body

    def json(self, path: str) -> Any:
        return json.loads(self.fetch(path, Accept="application/dicom+json"))


def uids(client: Client, web: Web) -> tuple[str, str, Sequence[str]]:
    """The study, the series and the instances of the one series that a server has."""
    [series] = client.json(f"{web.root}/series")
    study, uid = (series[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    instances = client.json(f"{web.series(study, uid)}/instances")
    return study, uid, [found["00080018"]["Value"][0] for found in instances]
