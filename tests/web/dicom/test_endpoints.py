"""Every path below a collection that is about DICOM, and what none of them is."""

from __future__ import annotations

import shutil

from tests.fakes import parse_answer
from tests.web.dicom.dicomweb_case import BASE, SERIES, STUDY, DicomwebCase

SERIES_PATH = f"{BASE}/studies/{STUDY}/series/{SERIES}"
ONE = f"{SERIES_PATH}/instances/{SERIES}.1"
LISTS = (
    *("/collections/scans/dicom/", "/collections/scans/dicom.json", f"{BASE}/studies"),
    *(f"{BASE}/series", f"{BASE}/instances", f"{BASE}/studies/{STUDY}/series"),
    *(f"{BASE}/studies/{STUDY}/instances", f"{SERIES_PATH}/instances"),
)
FILES = (
    *(f"/collections/scans/dicom/{SERIES}.nii", f"/collections/scans/dicom/{SERIES}.json"),
    *(SERIES_PATH, f"{SERIES_PATH}/metadata", f"{SERIES_PATH}/thumbnail", ONE, f"{ONE}/metadata"),
    *(f"{ONE}/rendered", f"{ONE}/thumbnail", f"{ONE}/frames/1", f"{ONE}/frames/1/rendered"),
    *(f"{ONE}/frames/1/thumbnail", f"{BASE}/studies/{STUDY}", f"{BASE}/studies/{STUDY}/metadata"),
    f"{BASE}/studies/{STUDY}/thumbnail",
)


class EndpointTests(DicomwebCase):
    def test_answers(self) -> None:
        """Every path has an answer to GET and HEAD, methods for OPTIONS, and no other method."""
        for path in (*LISTS, *FILES):
            with self.subTest(path=path):
                for method, status in (("GET", 200), ("HEAD", 200), ("OPTIONS", 204)):
                    self.assertEqual(self.memory_site.ask(path, method).status, status)
                refused = self.memory_site.ask(path, "PUT")
                self.assertEqual(refused.status, 405)
                self.assertEqual(refused.headers["allow"], "GET, HEAD, OPTIONS")

    def test_origins(self) -> None:
        """Pages of any origin may read what a UID is needed for, and nothing that lists UIDs."""
        for path in FILES:
            answer = self.memory_site.ask(path, headers={"Origin": "https://viewer.example"})
            self.assertEqual(answer.headers.get("access-control-allow-origin"), "*", path)
        for path in LISTS:
            answer = self.memory_site.ask(path, headers={"Origin": "https://viewer.example"})
            self.assertNotIn("access-control-allow-origin", answer.headers, path)

    def test_progress(self) -> None:
        """While the index is made, every path says how far it is."""
        shutil.rmtree(self.memory_site.state_dir)
        self.restart()
        self.load()
        self.pool.held = True
        for path in (*LISTS, *FILES):
            with self.subTest(path=path):
                transport = self.memory_site.connect()
                lines = f"GET {path} HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"
                transport.protocol.dataReceived(lines.encode())
                self.memory_site.clock.advance(3)
                answer = parse_answer(transport.value())
                self.assertEqual((answer.status, answer.headers["retry-after"]), (202, "1"))
                self.assertEqual((answer.json["indexed"], answer.json["total"]), (0, 6))

    def test_other_collections(self) -> None:
        """A collection that is not loaded, or cannot be one, is not found."""
        for name in ("none", "..", "a%2fb", "%00", "a" * 65):
            for end in ("dicom/", "dicom.json", "dicomweb/studies", f"dicom/{SERIES}.nii"):
                answer = self.memory_site.ask(f"/collections/{name}/{end}")
                self.assertEqual(answer.status, 404, (name, end))

    def test_no_pictures(self) -> None:
        """If nothing can be indexed, every path says what to install."""
        self.restart(picture_pool=None)
        self.load()
        for path in (*LISTS, *FILES):
            answer = self.memory_site.ask(path)
            self.assertEqual(answer.status, 501, path)
            self.assertIn("pip install", answer.json["detail"])
