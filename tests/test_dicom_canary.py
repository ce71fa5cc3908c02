"""Nothing that tells who is in the picture leaves imgd, but in the files themselves."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from urllib.parse import quote

from tests import canaries
from tests.daemons import Daemon
from tests.dicom_case import HTML, DicomCase, Known, Reply, ask, instances, load, wait_for_index

Question = tuple[str, dict[str, str]]  # a path, and headers, with the method if it is not GET
COLLECTION = "collections/export"
BELOW_A_COLLECTION = (
    *("", "?format=json", "/images", "/images?format=ndjson", "/dicom/", "/dicom/?format=json"),
    *("/dicom.json", "/files/", "/files/?format=json", "/files/?view=gallery"),
    *("/dicomweb/studies", "/dicomweb/series", "/dicomweb/instances"),
)
SEARCHES = ("", "?includefield=all", "?includefield=PatientName,StudyDate&includefield=00080080")
KINDS = (HTML, "application/json", "application/dicom+json", "*/*", "image/png", "image/jpeg")
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
STRANGE_KINDS = (
    *("application/dicom+xml", 'multipart/related; type="video/mp4"', canaries.NAME),
    'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90',
)
OF_STUDY = ("/metadata", "/series", "/instances", "/thumbnail")
OF_SERIES = ("/instances", "/metadata", "/thumbnail")
OF_INSTANCE = (
    *("/metadata", "/rendered", "/thumbnail", "/frames/1", "/frames/1/rendered"),
    *("/frames/1/thumbnail", "/frames/9999", "/frames/9999/rendered"),
    *("/rendered?viewport=64,64", "/rendered?window=1,2,linear", "/rendered?quality=kanarienvogel"),
)
OF_FILE = ("?thumb", "?info", "?slice=axial:0", "?slice=axial:99999", "?mosaic")
# Each once with every mark in the place of the letter that stands for it.
QUESTIONS = (
    *("dicomweb/studies?PatientName={}", "dicomweb/studies?00100010={}*&fuzzymatching=true"),
    *(
        "dicomweb/studies?StudyDate={}",
        "dicomweb/instances?Modality={}",
        "dicomweb/series?SeriesNumber={}",
    ),
    *("dicomweb/studies/{}", "dicomweb/studies/{}/metadata", "dicomweb/studies?limit={}"),
    *("dicomweb/studies/1.2.3/series/{}/metadata", "dicomweb/studies?offset={}"),
    *("dicom/{}.nii", "dicom/{}.json", "dicom/{}", "dicom/?format={}", "files/{}", "dicomweb/{}"),
)


class CanaryCase(DicomCase):
    def start(self, *options: str) -> Daemon:
        """A daemon that has indexed the files."""
        canaries.write(self.folder / "export")
        daemon = self.daemon(*options)
        load(daemon, self.folder / "export", "export")
        return daemon

    def replies(self, daemon: Daemon) -> Iterator[tuple[str, Reply]]:
        """Everything that can be asked, with what was asked, but the files themselves."""
        for path, headers in self.questions(daemon):
            method = headers.pop("method", "GET")
            yield f"{method} {path} {headers}", ask(daemon, path, method, **headers)

    def questions(self, daemon: Daemon) -> Iterator[Question]:
        files = [file.name for file in (self.folder / "export").iterdir()]
        yield from of_collection()
        yield from of_files(sorted(files))
        for uids in instances(daemon, "export"):
            yield from of_series(uids)
            yield from of_instance(uids)
            yield from refused(uids)
        for question, mark in product(QUESTIONS, (*canaries.MARKS, canaries.NAME)):
            path = f"{COLLECTION}/{question.replace('{}', quote(mark))}"
            yield from ((path, {"Accept": kind}) for kind in KINDS[:2])
        yield from ((path, {}) for path in ("", "collections", "health", "-/trust"))


def of_collection() -> Iterator[Question]:
    for below in BELOW_A_COLLECTION:
        yield from ((COLLECTION + below, {"Accept": kind}) for kind in KINDS)
        yield COLLECTION + below, {"method": "HEAD"}
        yield COLLECTION + below, {"method": "OPTIONS", "Origin": "https://a.example"}
    for level, search in product(("studies", "series", "instances"), SEARCHES):
        yield f"{COLLECTION}/dicomweb/{level}{search}", {}


def of_files(names: Sequence[str]) -> Iterator[Question]:
    for name in names:
        yield from ((f"{COLLECTION}/files/{name}{query}", {}) for query in OF_FILE)
        yield f"-/view/{COLLECTION}/files/{name}", {"Accept": HTML}


def of_series(uids: Known) -> Iterator[Question]:
    study = f"{COLLECTION}/dicomweb/studies/{uids.study}"
    for below, search in product(OF_STUDY, SEARCHES):
        yield study + below + search, {}
    yield from ((f"{study}/series/{uids.series}{below}", {}) for below in OF_SERIES)
    for suffix, kind in product((".nii", ".json", ""), KINDS[:2]):
        yield f"{COLLECTION}/dicom/{uids.series}{suffix}", {"Accept": kind}
        yield f"-/view/{COLLECTION}/dicom/{uids.series}{suffix}", {"Accept": kind}


def of_instance(uids: Known) -> Iterator[Question]:
    for below, kind in product(OF_INSTANCE, (*KINDS, FRAMES)):
        yield f"{COLLECTION}/dicomweb/{uids.path}{below}", {"Accept": kind}


def refused(uids: Known) -> Iterator[Question]:
    """In types that nothing has."""
    for kind, below in product(STRANGE_KINDS, ("", "/metadata", "/frames/1", "/rendered")):
        method = "GET" if below else "HEAD"
        yield f"{COLLECTION}/dicomweb/{uids.path}{below}", {"Accept": kind, "method": method}


def kept(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and every value of every database, unpacked if it was packed."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield path.name, data
        if data.startswith(b"SQLite format 3"):
            for value in values(path):
                yield f"a value in {path.name}", value
                with contextlib.suppress(zlib.error):
                    yield f"a packed value in {path.name}", zlib.decompressobj(47).decompress(value)


def values(database: Path) -> Iterator[bytes]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in opened.execute(f'SELECT * FROM "{table}"'):
                yield from (v if isinstance(v, bytes) else str(v).encode() for v in row)


class WithheldTests(CanaryCase):
    def test_nothing_leaves(self) -> None:
        """No mark is in an answer, its head, the log, the index, the cache of pictures or any other
        file of the state folder; in the files that were asked about, every mark is.
        """
        daemon = self.start()
        for file in (self.folder / "export").iterdir():
            self.assertGreaterEqual(len(canaries.found(file.read_bytes())), 7, file.name)
        self.assertEqual(len(set(instances(daemon, "export"))), 7)
        statuses = set()
        for asked, reply in self.replies(daemon):
            statuses.add(reply.status)
            self.assertEqual(canaries.found(reply.headers.encode() + reply.body), [], asked)
            self.assertLess(reply.status, 500, (asked, reply.body[:300]))
        self.assertLessEqual({200, 400, 404, 406, 409}, statuses)
        daemon.stop()
        self.assertEqual(canaries.found("\n".join(daemon.lines).encode()), [])
        state = dict(kept(self.folder / "state"))
        self.assertIn("dicom.sqlite3", state)
        for name, data in state.items():
            self.assertEqual(canaries.found(data), [], name)

    def test_progress(self) -> None:
        """What is told while the index is made, and after the files have gone, has no mark."""
        canaries.write(self.folder / "export")
        daemon = self.daemon()
        load(daemon, self.folder / "export", "export")
        for file in (self.folder / "export").iterdir():
            file.write_bytes(file.read_bytes()[:-700])
        for reply in wait_for_index(daemon, "export"):
            self.assertEqual(canaries.found(reply.headers.encode() + reply.body), [])
        for file in (self.folder / "export").iterdir():
            file.unlink()
        for asked, reply in self.replies(daemon):
            self.assertEqual(canaries.found(reply.headers.encode() + reply.body), [], asked)
        self.assertEqual(canaries.found("\n".join(daemon.lines).encode()), [])


class PatientDataTests(CanaryCase):
    def test_with_patient_data(self) -> None:
        """With --patient-data the metadata has the name, and it can be searched for; private
        elements are in no answer even then.
        """
        daemon = self.start("--patient-data")
        web = "collections/export/dicomweb"
        found = ask(daemon, f"{web}/studies?PatientName=kanarien*&StudyDate=19370101-19371231")
        self.assertEqual(found.status, 200, found.body)
        self.assertEqual(len(found.json), 5)
        for attributes in found.json:
            name = attributes["00100010"]["Value"][0]["Alphabetic"]
            self.assertEqual(name, f"{canaries.NAME}^^Dr.")
        for uids in instances(daemon, "export"):
            [metadata] = ask(daemon, f"{web}/{uids.path}/metadata").json
            self.assertEqual(metadata["00100020"]["Value"], [canaries.PATIENT_ID])
            self.assertEqual(metadata["00080020"]["Value"], [canaries.DATE])
            self.assertEqual([tag for tag in metadata if int(tag[:4], 16) % 2], [])

    def test_no_more(self) -> None:
        """Once the daemon was started without the option, nothing that it kept before is in its
        files any more, not even in what a database has deleted.
        """
        daemon = self.start("--patient-data")
        daemon.stop()
        with_patients = b"".join(data for _, data in kept(self.folder / "state"))
        self.assertNotEqual(canaries.found(with_patients), [])
        daemon = self.daemon()
        for _, reply in islice(self.replies(daemon), 3):
            self.assertEqual(canaries.found(reply.body), [])
        daemon.stop()
        for name, data in kept(self.folder / "state"):
            self.assertEqual(canaries.found(data), [], name)
