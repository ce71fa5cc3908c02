"""Searches of a collection's DICOM over HTTP."""

from __future__ import annotations

from imgd.dicom.query import MAX_KEYS, NOT_FUZZY
from imgd.web.dicom.search import MORE
from tests.dicom_files import write_series
from tests.fakes import TOKEN
from tests.web.dicom.dicomweb_case import (
    BASE,
    OTHER,
    SECOND,
    SERIES,
    STUDY,
    THIRD,
    DicomwebCase,
)

STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"
URL = f"https://localhost:8888{BASE}"


class SearchTests(DicomwebCase):
    def test_levels(self) -> None:
        """Studies, series and instances, of all, of a study and of a series."""
        for path, tag, expected in (
            ("studies", STUDY_UID, [STUDY, OTHER]),
            ("series", SERIES_UID, [SERIES, SECOND, THIRD]),
            (f"studies/{STUDY}/series", SERIES_UID, [SERIES, SECOND]),
            (
                f"studies/{STUDY}/series/{SECOND}/instances",
                INSTANCE_UID,
                [f"{SECOND}.1", f"{SECOND}.2"],
            ),
            (f"studies/{OTHER}/instances", INSTANCE_UID, [f"{THIRD}.1"]),
        ):
            with self.subTest(path=path):
                self.assertEqual(self.found(path, tag), expected)
        self.assertEqual(len(self.get("instances").json), 6)

    def test_results(self) -> None:
        """A result is DICOM JSON whose URL leads to what it is about; the patient is not in it."""
        answer = self.get(f"studies?StudyInstanceUID={STUDY}")
        self.assertEqual(answer.headers["content-type"], "application/dicom+json")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.headers["vary"], "Accept")
        (study,) = answer.json
        self.assertEqual(study["00081190"]["Value"], [f"{URL}/studies/{STUDY}"])
        self.assertEqual(study["00080061"]["Value"], ["CT", "MR"])
        self.assertEqual(study["00201208"]["Value"], [5])
        for tag, vr in (("00100010", "PN"), ("00100020", "LO"), ("00080020", "DA")):
            self.assertEqual(study[tag], {"vr": vr})
        (image, *_) = self.get(f"studies/{STUDY}/series/{SERIES}/instances").json
        self.assertEqual(image["00280010"], {"vr": "US", "Value": [8]})
        self.assertEqual(image["00280100"], {"vr": "US", "Value": [16]})

    def test_nothing(self) -> None:
        """If nothing matches, the list is empty."""
        for path in (
            "studies?StudyInstanceUID=1.2.3",
            "studies/1.2.3/series",
            f"studies/{STUDY}/series/1.2.3/instances",
            "series?BodyPartExamined=FOOT",
            "studies?limit=0",
            "studies?offset=9",
        ):
            with self.subTest(path=path):
                answer = self.get(path)
                self.assertEqual((answer.status, answer.body), (200, b"[]"))

    def test_keys(self) -> None:
        """What memory and what the store knows can be searched for, on every level."""
        for path, tag, expected in (
            ("studies?ModalitiesInStudy=MR", STUDY_UID, [STUDY]),
            ("studies?00080061=MR", STUDY_UID, [STUDY]),
            ("series?Modality=CT", SERIES_UID, [SERIES, THIRD]),
            ("series?BodyPartExamined=HE*", SERIES_UID, [SECOND]),
            ("studies?BodyPartExamined=HEAD", STUDY_UID, [STUDY]),
            (f"instances?SOPInstanceUID={SERIES}.2", INSTANCE_UID, [f"{SERIES}.2"]),
            (f"studies?SOPInstanceUID={SECOND}.2,{THIRD}.1", STUDY_UID, [STUDY, OTHER]),
        ):
            with self.subTest(path=path):
                self.assertEqual(self.found(path, tag), expected)

    def test_pages(self) -> None:
        """A page has so many results after others, and it is said if there are more."""
        first, second, past = (self.get(f"instances?limit=4&offset={n}") for n in (0, 4, 6))
        self.assertEqual([len(page.json) for page in (first, second, past)], [4, 2, 0])
        self.assertEqual(first.headers["warning"], f'299 imgd "{MORE}"')
        self.assertNotIn("warning", second.headers)
        everything = [i[INSTANCE_UID] for i in self.get("instances").json]
        self.assertEqual([i[INSTANCE_UID] for i in (*first.json, *second.json)], everything)

    def test_warnings(self) -> None:
        """What is not done is said in a header."""
        answer = self.get("studies?fuzzymatching=true&includefield=Colour&limit=1")
        self.assertIn(f'299 imgd "{NOT_FUZZY}"', answer.headers["warning"])
        self.assertIn("includefield: Colour", answer.headers["warning"])
        self.assertIn(MORE, answer.headers["warning"])

    def test_withheld(self) -> None:
        """Without --patient-data, nobody can guess at names and dates, and learns why."""
        for key in ("PatientName=Doe*", "StudyDate=20260101-", "00100020=P-1", "PatientSex=F"):
            with self.subTest(key=key):
                answer = self.get(f"studies?{key}")
                self.assertEqual(answer.status, 400)
                self.assertIn("without --patient-data", answer.json["detail"])

    def test_unknown_keys(self) -> None:
        """A misspelt key is an error, not a search for everything."""
        answer = self.get("studies?StudyInstanceUid=1.2")
        self.assertProblem(answer, 400, "imgd cannot search by 'StudyInstanceUid'.")

    def test_hostile(self) -> None:
        """Whatever the query is, the answer is a sentence."""
        for query in (
            "&".join(f"a{n}=1" for n in range(MAX_KEYS + 100)),
            f"PatientID={'x' * 7000}",
            f"InstanceNumber={'1,' * 3000}",
            f"BodyPartExamined={'*a' * 3000}b",
            "StudyInstanceUID=1%00",
            "%00=1",
            "%ff=%ff",
            "limit=%F0%9D%9F%99",
            "includefield=%0d%0aSet-Cookie:a",
            "includefield=a%22b",
            "Rows=1&Rows=2",
            "Rows=1e999999",
            "Rows=NaN",
        ):
            with self.subTest(query=query[:60]):
                answer = self.get(f"studies?{query}")
                self.assertEqual(answer.status, 400, answer.body)
                self.assertNotIn("set-cookie", answer.headers)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_accept(self) -> None:
        """JSON by either name; whoever wants XML gets a sentence."""
        for accept, media_type in (
            ("application/dicom+json", "application/dicom+json"),
            ("*/*", "application/dicom+json"),
            ("application/json", "application/json"),
            ("application/json, application/dicom+json", "application/dicom+json"),
            (
                'multipart/related; type="application/dicom+xml", application/json',
                "application/json",
            ),
        ):
            with self.subTest(accept=accept):
                answer = self.get("studies", Accept=accept)
                self.assertEqual((answer.status, answer.headers["content-type"]), (200, media_type))
        answer = self.get("studies", Accept='multipart/related; type="application/dicom+xml"')
        self.assertProblem(
            answer,
            406,
            "imgd gives this as application/dicom+json alone: it has no XML. Accept that, or */*.",
        )
        self.assertEqual(answer.headers["vary"], "Accept")
        for named, media_type in (
            ("application/json", "application/json"),
            ("application/dicom+json", "application/dicom+json"),
            ("application/dicom%2Bjson", "application/dicom+json"),
        ):
            in_query = self.get(f"studies?accept={named}", Accept="text/html")
            self.assertEqual(in_query.headers["content-type"], media_type)

    def test_methods(self) -> None:
        """HEAD has GET's headers; a preflight allows what viewers send."""
        head = self.get("studies?limit=1", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-type"], "application/dicom+json")
        self.assertIn("warning", head.headers)
        preflight = self.get(
            "studies",
            "OPTIONS",
            Origin="https://viewer.example",
            Access_Control_Request_Method="GET",
            Access_Control_Request_Headers="accept",
        )
        self.assertEqual(preflight.status, 204)
        self.assertIn("Accept", preflight.headers["access-control-allow-headers"])
        self.assertEqual(self.get("studies", "DELETE").status, 405)

    def test_origins(self) -> None:
        """A page of another origin can list nothing, unless it is named."""
        origin = "https://viewer.example"
        answer = self.get("studies", Origin=origin)
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertEqual(answer.headers["cross-origin-resource-policy"], "same-origin")
        self.restart(cors_origins=(origin,))
        self.load()
        named = self.get("studies", Origin=origin)
        self.assertEqual(named.headers["access-control-allow-origin"], origin)
        self.assertEqual(named.headers["vary"], "Origin, Accept")

    def test_changes(self) -> None:
        """A new file is found."""
        self.get("studies")
        write_series(self.folder, 1, name="d/IM{}", study="1.9", series="1.9.1")
        self.memory_site.clock.advance(60)
        self.load()
        self.assertIn("1.9", self.found("studies", STUDY_UID))

    def test_progress(self) -> None:
        """As long as the index is made, the answer is how far it is."""
        self.restart()
        self.load()
        self.pool.held = True
        transport = self.memory_site.connect()
        transport.protocol.dataReceived(
            f"GET {BASE}/studies HTTP/1.1\r\nHost: localhost:8888\r\n\r\n".encode()
        )
        self.memory_site.clock.advance(3)
        self.assertIn(b"HTTP/1.1 202", transport.value())
        self.assertIn(b"Retry-After: 1", transport.value())

    def test_paths(self) -> None:
        """Other paths, and other collections, are not found."""
        for path in ("", "patients", f"studies/{STUDY}/rendered", "studies/x/series"):
            self.assertEqual(self.get(path).status, 404)
        self.assertEqual(self.memory_site.ask("/collections/none/dicomweb/studies").status, 404)

    def test_no_pictures(self) -> None:
        """Where nothing can be indexed, the answer says what to install."""
        self.restart(picture_pool=None)
        self.load()
        answer = self.get("studies")
        self.assertEqual(answer.status, 501)
        self.assertIn("pip install", answer.json["detail"])


class PatientTests(DicomwebCase):
    options = {"patient_data": True}

    def test_found(self) -> None:
        """With --patient-data, patients and dates can be searched for, and results have them."""
        for key, expected in (
            ("PatientName=roe*", [OTHER]),
            ("PatientName=*DOE*", [STUDY]),
            ("00100020=P-2", [OTHER]),
            ("StudyDate=20260101-", [STUDY]),
            ("StudyDate=-20251231", [OTHER]),
            ("PatientSex=F", [STUDY, OTHER]),
            ("AccessionNumber=A?&StudyDate=20251231", [OTHER]),
        ):
            with self.subTest(key=key):
                self.assertEqual(self.found(f"studies?{key}", STUDY_UID), expected)
        (study,) = self.get("studies?PatientName=roe*").json
        self.assertEqual(study["00100010"]["Value"], [{"Alphabetic": "Roe^Richard"}])
        self.assertEqual(study["00080020"]["Value"], ["20251231"])


class PrivateTests(DicomwebCase):
    options = {"private": True}

    def test_private(self) -> None:
        """Who has the token gets URLs that work without it; nobody else gets anything."""
        self.assertEqual(self.get("studies").status, 401)
        answer = self.get("studies", Authorization=f"Bearer {TOKEN}")
        url = answer.json[0]["00081190"]["Value"][0]
        self.assertIn("/-/s/", url)
        path = url.removeprefix("https://localhost:8888")
        self.assertEqual(self.memory_site.ask(f"{path}/metadata").status, 200)
        below = self.memory_site.ask(f"{path}/series", headers={"Origin": "https://viewer.example"})
        self.assertEqual(below.status, 200)
        self.assertNotIn("access-control-allow-origin", below.headers)
        link = f"https://localhost:8888{path.partition('/collections/')[0]}/"
        self.assertTrue(below.json[0]["00081190"]["Value"][0].startswith(link))
