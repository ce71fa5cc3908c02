"""The URLs that answers about DICOM hand out, and who may read what they lead to."""

from __future__ import annotations

from typing import Any

from imgd.web.dicom.addresses import LINK_LIFE
from tests.dicom.site_case import DicomCase
from tests.dicom_files import SERIES, STUDY, write_series
from tests.fakes import TOKEN, Answer

HERE = "https://localhost:8888"
COLLECTION = "/collections/scans"
BEARER: dict[str, Any] = {"Authorization": f"Bearer {TOKEN}"}
FAR = "203.0.113.9"  # RFC 5737: documentation


class AddressCase(DicomCase):
    def setUp(self) -> None:
        super().setUp()
        write_series(self.folder, 2)

    def ask(self, path: str, status: int = 200, **headers: Any) -> Answer:
        """What somebody without any right but those of the path and the headers gets."""
        answer = self.memory_site.ask(path, headers=headers, peer=FAR)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def start(self, **options: Any) -> None:
        self.restart(**options)
        self.load()

    def link(self, path: str, *, prefix: bool, seconds: int = 600) -> str:
        """The path of a signed link."""
        message = {"path": path, "prefix": prefix, "expires": seconds}
        answer = self.memory_site.post("/links", message, headers=BEARER)
        return str(answer.json["url"]).removeprefix(HERE)

    def urls(self, path: str, base: str, **headers: Any) -> list[str]:
        """The paths, below ``base``, of all URLs in both answers about the collection at a path."""
        overview = self.ask(f"{path}/dicom/", **headers).json
        [study] = overview["studies"]
        [series] = study["series"]
        found = [overview["ohif"], overview["dicomweb"], study["ohif"], study["dicomweb"]]
        found += [series[key] for key in ("nii", "json", "dicomweb", "thumbnail", "viewer")]
        document = self.ask(f"{path}/dicom.json", **headers).json
        files = [entry["url"] for entry in document["studies"][0]["series"][0]["instances"]]
        for url in files:
            self.assertTrue(url.startswith("dicomweb:"))
        found += [url.removeprefix("dicomweb:") for url in files]
        for url in found:
            self.assertTrue(url.startswith(base), url)
        return [url.removeprefix(base) for url in found]

    def assert_open(self, paths: list[str]) -> None:
        """Who has these paths may read what they lead to."""
        for path in paths:
            answer = self.memory_site.ask(path, peer=FAR)
            self.assertNotIn(answer.status, (401, 403, 410), (path, answer.body))
        files = [path for path in paths if "/files/" in path]
        self.assertEqual(len(files), 2)
        for path in files:
            self.assertEqual(self.ask(path).body[128:132], b"DICM")


class PublicTests(AddressCase):
    def test_plain(self) -> None:
        """Where everybody may read, URLs are plain, at the host that was asked."""
        self.start()
        paths = self.urls(COLLECTION, HERE)
        self.assertIn(f"{COLLECTION}/dicomweb/studies/{STUDY}/series/{SERIES}/thumbnail", paths)
        self.assertIn(f"/-/view{COLLECTION}/dicom/{SERIES}.nii", paths)
        self.assertIn(f"{COLLECTION}/files/IM0001", paths)
        self.assert_open(paths)
        self.start(own_names=("scans.localhost",))
        answer = self.ask(f"{COLLECTION}/dicom/", Host="scans.localhost:9000").json
        self.assertEqual(answer["ohif"], f"http://scans.localhost:9000{COLLECTION}/dicom.json")

    def test_current(self) -> None:
        """The collection without a name has the same URLs as any other."""
        self.restart()
        self.memory_site.load(self.folder)
        self.assert_open(self.urls("/collections/current", HERE))

    def test_public_url(self) -> None:
        """Below a public URL with a path, every URL has that path."""
        self.start(public_url="https://example.com/scans-of-all/")
        self.assert_open(self.urls(COLLECTION, "https://example.com/scans-of-all"))

    def test_odd_names(self) -> None:
        """Names are encoded as URLs of files are everywhere."""
        write_series(self.folder, 1, name="a b/50% #{}?.dcm", series="1.2.9")
        self.start()
        document = self.ask(f"{COLLECTION}/dicom.json").json
        urls = [
            entry["url"].removeprefix(f"dicomweb:{HERE}")
            for series in document["studies"][0]["series"]
            for entry in series["instances"]
        ]
        self.assertIn(f"{COLLECTION}/files/a%20b/50%25%20%231%3F.dcm", urls)
        for url in urls:
            self.assertEqual(self.ask(url).body[128:132], b"DICM")


class PrivateTests(AddressCase):
    def test_token(self) -> None:
        """Who asks with the token gets links to the whole collection, good for a day and for
        nothing else.
        """
        self.start(private=True)
        self.ask(f"{COLLECTION}/dicom/", 401)
        self.ask(f"{COLLECTION}/dicom.json", 401)
        paths = self.urls(COLLECTION, HERE, **BEARER)
        self.assert_open(paths)
        page = self.ask(f"{COLLECTION}/dicom/", **BEARER, Accept="text/html").body
        self.assertIn(b"hold a signed link", page)
        ticket = paths[0].split("/")[3]
        self.ask(f"/-/s/{ticket}/collections", 403)
        self.ask(f"/-/s/{ticket}/collections/other/dicom/", 403)
        self.memory_site.wall.offset += LINK_LIFE - 1
        self.assert_open(paths)
        self.memory_site.wall.offset += 2
        self.ask(paths[-1], 410)

    def test_prefix_link(self) -> None:
        """Who asks by a link to the collection gets URLs with that link, which end as it does."""
        self.start(private=True)
        link = self.link(f"{COLLECTION}/", prefix=True)
        paths = self.urls(link.rstrip("/"), HERE)
        for path in paths:
            self.assertTrue(path.startswith(link.removesuffix(f"{COLLECTION}/")), path)
        self.assert_open(paths)
        self.memory_site.wall.offset += 601
        self.ask(paths[-1], 410)

    def test_prefix_of_all(self) -> None:
        """A link to everything is good for its URLs, too."""
        self.start(private=True)
        link = self.link("/", prefix=True).rstrip("/")
        self.assert_open(self.urls(f"{link}{COLLECTION}", HERE))

    def test_public_url(self) -> None:
        """Links are below a public URL's path."""
        self.start(private=True, public_url="https://example.com/x")
        self.assert_open(self.urls(COLLECTION, "https://example.com/x", **BEARER))

    def test_single_link(self) -> None:
        """A link to one page alone gives no other: dicom/ names plain URLs, which need the token,
        its page leads nowhere, and dicom.json, which is of no use without its files, says which
        link it needs.
        """
        self.start(private=True)
        page = self.link(f"{COLLECTION}/dicom/", prefix=False)
        overview = self.ask(page).json
        self.assertEqual(overview["ohif"], f"{HERE}{COLLECTION}/dicom.json")
        for url in (overview["ohif"], overview["studies"][0]["series"][0]["json"]):
            self.ask(url.removeprefix(HERE), 401)
        html = self.ask(page, Accept="text/html").body
        for part in (b"/-/s/", b"<img", b".nii", b"dicomjson"):
            self.assertNotIn(part, html)
        for path, prefix in ((f"{COLLECTION}/dicom.json", False), (f"{COLLECTION}/dicom/", True)):
            link = self.link(path, prefix=prefix)
            ticket = link.split("/")[3]
            answer = self.ask(f"/-/s/{ticket}{COLLECTION}/dicom.json", 403)
            self.assertNotIn("Traceback", answer.json["detail"])
        link = self.link(f"{COLLECTION}/dicom.json", prefix=False)
        self.assertIn("with prefix", self.ask(link, 403).json["detail"])

    def test_narrow_prefix(self) -> None:
        """By a link to dicom/ and what is below, volumes can be read, and nothing beside them."""
        self.start(private=True)
        link = self.link(f"{COLLECTION}/dicom/", prefix=True)
        [study] = self.ask(link).json["studies"]
        [series] = study["series"]
        self.ask(series["json"].removeprefix(HERE))
        self.ask(series["dicomweb"].removeprefix(HERE), 403)

    def test_link_on_public_site(self) -> None:
        """Where everybody may read, a signed link still gives URLs with it: they may be sent on."""
        self.start()
        link = self.link(f"{COLLECTION}/", prefix=True)
        self.assert_open(self.urls(link.rstrip("/"), HERE))
