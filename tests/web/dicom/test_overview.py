"""``/collections/NAME/dicom/``: where it is, while the index is made, and who may read it."""

from __future__ import annotations

from typing import Any

from imgd.dicom.indexes import WAIT
from tests.dicom.site_case import DicomCase
from tests.dicom_files import SERIES, STUDY, write_series
from tests.fakes import Answer

PATH = "/collections/scans/dicom/"
BROWSER: dict[str, Any] = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PLAIN: dict[str, Any] = {}
PAGE = "https://viewer.example"  # of another origin
# What OHIF sends for an image, whose quotes make a browser ask first.
OHIF_PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "accept",
}


class OverviewCase(DicomCase):
    def ask(self, status: int = 200, path: str = PATH, **headers: Any) -> Answer:
        answer = self.memory_site.ask(path, headers=headers)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def overview(self) -> Any:
        answer = self.ask()
        self.assertEqual(answer.headers["content-type"], "application/json")
        return answer.json


class PathTests(OverviewCase):
    def test_paths(self) -> None:
        """Without its last slash the path leads to the one with it; others are not there."""
        self.load()
        answer = self.ask(301, f"{PATH[:-1]}?format=json")
        self.assertEqual(answer.headers["location"], "dicom/?format=json")
        self.ask(404, f"{PATH}/")
        self.ask(404, "/collections/other/dicom/")
        head = self.memory_site.ask(PATH, "HEAD")
        self.assertEqual(head.headers["content-length"], str(len(self.ask().body)))

    def test_off(self) -> None:
        """Where nothing can be indexed, both forms say so."""
        self.restart(picture_pool=None)
        self.load()
        for headers in (PLAIN, BROWSER):
            self.ask(501, **headers)


class ProgressTests(OverviewCase):
    def setUp(self) -> None:
        super().setUp()
        write_series(self.folder, 3)
        self.load()

    def wait_in_vain(self, path: str, accept: str = "*/*") -> bytes:
        """What is answered to who asks, and waits as long as the server does."""
        transport = self.memory_site.connect()
        head = f"GET {path} HTTP/1.1\r\nHost: localhost:8888\r\nAccept: {accept}\r\n\r\n"
        self.pool.held = True
        transport.protocol.dataReceived(head.encode("ascii"))
        self.memory_site.clock.advance(WAIT)
        return bytes(transport.value())

    def test_json(self) -> None:
        """While the index is made, programs get 202 with how far it is, and when to ask again;
        those of DICOMweb, volumes and OHIF too, and also if they name HTML.
        """
        for path, accept in (
            *((PATH, "*/*"), (f"{PATH}{SERIES}.nii", "*/*"), (f"{PATH}{SERIES}.nii", "text/html")),
            *(("/collections/scans/dicom.json", "*/*"), (f"{PATH}?format=json", "text/html")),
            *(("/collections/scans/dicomweb/studies", "application/dicom+json"),),
        ):
            answer = self.wait_in_vain(path, accept)
            self.assertTrue(answer.startswith(b"HTTP/1.1 202 "), (path, answer))
            for part in (b"Retry-After: 1\r\n", b'"total":3', b'"indexed":0', b"so far."):
                self.assertIn(part, answer, path)
        self.pool.release()
        self.assertEqual(self.overview()["instance_count"], 3)

    def test_page(self) -> None:
        """People get a page that asks again by itself, and says how far it is, with a bar."""
        answer = self.wait_in_vain(PATH, "text/html")
        self.assertTrue(answer.startswith(b"HTTP/1.1 202 "), answer)
        for part in (
            *(b"Retry-After: 1\r\n", b"Content-Type: text/html", b"no-store"),
            *(b'<meta http-equiv="refresh" content="1">', b'<progress max="3" value="0"'),
        ):
            self.assertIn(part, answer)
        self.pool.release()
        self.assertNotIn(b"http-equiv", self.ask(**BROWSER).body)


class OriginTests(OverviewCase):
    """A page of the internet must not learn what a machine has, nor take it."""

    LISTS = (
        *(PATH, "/collections/scans/dicom.json", "/collections/scans/dicomweb/studies"),
        *("/collections/scans/dicomweb/series", "/collections/scans/dicomweb/instances"),
        f"/collections/scans/dicomweb/studies/{STUDY}/series",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/instances",
    )
    BY_UID = (
        *(f"{PATH}{SERIES}.nii", f"{PATH}{SERIES}.json"),
        f"/collections/scans/dicomweb/studies/{STUDY}/metadata",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/metadata",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1/frames/1",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/thumbnail",
        "/collections/scans/files/IM0001",
    )

    def readers(self, path: str) -> str | None:
        """Which origins may read the answer to a page of another origin."""
        answer = self.memory_site.ask(path, headers={"Origin": PAGE})
        self.assertLess(answer.status, 500, (path, answer.body))
        return answer.headers.get("access-control-allow-origin")

    def test_any_origin(self) -> None:
        """Pages of every origin read what needs a UID to be known, and no list of UIDs."""
        write_series(self.folder, 1)
        self.load()
        for path in self.LISTS:
            self.assertIsNone(self.readers(path), path)
        for path in self.BY_UID:
            self.assertEqual(self.readers(path), "*", path)

    def test_named_origin(self) -> None:
        """Pages of an origin that --cors-origin names read both, and of others neither."""
        for origins, expected in (((PAGE,), PAGE), (("https://other.example",), None)):
            self.restart(cors_origins=origins)
            write_series(self.folder, 1)
            self.load()
            for path in self.LISTS + self.BY_UID:
                self.assertEqual(self.readers(path), expected, path)

    def test_preflight(self) -> None:
        """A browser that asks whether OHIF may send its Accept is told as for the answer itself."""
        self.load()
        for origins, is_told in (((), False), ((PAGE,), True)):
            self.restart(cors_origins=origins)
            self.load()
            for path in self.LISTS + self.BY_UID:
                answer = self.memory_site.ask(path, "OPTIONS", OHIF_PREFLIGHT)
                self.assertEqual(answer.status, 204)
                allowed = answer.headers.get("access-control-allow-origin")
                self.assertEqual(allowed is not None, is_told or path in self.BY_UID, path)
                self.assertIn("Accept", answer.headers["access-control-allow-headers"])
                self.assertIn("GET", answer.headers["access-control-allow-methods"])
