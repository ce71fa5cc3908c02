"""Metadata of studies, series and instances over HTTP."""

from __future__ import annotations

from imgd.web.dicom.json_answers import MAX_FRAMES
from tests.dicom_files import write_series
from tests.fakes import TOKEN
from tests.web.dicom.dicomweb_case import BASE, OTHER, SECOND, SERIES, STUDY, THIRD, DicomwebCase

SERIES_PATH = f"studies/{STUDY}/series/{SERIES}"


class MetadataTests(DicomwebCase):
    def test_levels(self) -> None:
        """One object for each instance, in the order of their numbers."""
        for path, uids in (
            (
                f"studies/{STUDY}",
                [f"{SERIES}.{n}" for n in (1, 2, 3)] + [f"{SECOND}.1", f"{SECOND}.2"],
            ),
            (SERIES_PATH, [f"{SERIES}.{n}" for n in (1, 2, 3)]),
            (f"{SERIES_PATH}/instances/{SERIES}.2", [f"{SERIES}.2"]),
        ):
            with self.subTest(path=path):
                self.assertEqual(self.found(f"{path}/metadata", "00080018"), uids)

    def test_object(self) -> None:
        """It has what a viewer needs, none of the pixels, and nothing of the patient."""
        answer = self.get(f"{SERIES_PATH}/instances/{SERIES}.2/metadata")
        self.assertEqual(answer.headers["content-type"], "application/dicom+json")
        self.assertEqual(answer.headers["vary"], "Accept")
        (image,) = answer.json
        self.assertEqual(image["00280010"], {"vr": "US", "Value": [8]})
        self.assertEqual(image["00200032"]["Value"], [-10, -20, 2])
        self.assertEqual(image["00100010"], {"vr": "PN"})
        self.assertNotIn("7FE00010", image)
        self.assertNotIn(b"Doe", answer.body)

    def test_not_found(self) -> None:
        """An unknown UID is named by its kind, and so is one of another study."""
        for path, what in (
            ("studies/1.2.3", "study"),
            (f"studies/{OTHER}/series/{SERIES}", "series"),
            (f"{SERIES_PATH}/instances/{SECOND}.1", "instance"),
        ):
            with self.subTest(path=path):
                answer = self.get(f"{path}/metadata")
                self.assertProblem(answer, 404, f"This collection has no such {what}.")

    def test_accept(self) -> None:
        """Whoever wants XML gets a sentence."""
        path = f"{SERIES_PATH}/metadata"
        answer = self.get(path, Accept='multipart/related; type="application/dicom+xml"')
        self.assertEqual(answer.status, 406)
        self.assertIn("it has no XML", answer.json["detail"])
        plain = self.get(path, Accept="application/json")
        self.assertEqual(plain.headers["content-type"], "application/json")

    def test_conditions(self) -> None:
        """Who has an answer is told that it is the same, until a file changes."""
        path = f"{SERIES_PATH}/metadata"
        first = self.get(path)
        tag = first.headers["etag"]
        self.assertRegex(tag, '^"[0-9a-f]{32}"$')
        same = self.get(path, If_None_Match=tag)
        self.assertEqual((same.status, same.body, same.headers["etag"]), (304, b"", tag))
        self.assertEqual(same.headers["vary"], "Accept")
        self.assertEqual(self.get(path, If_Match='"x"').status, 412)
        old = self.get(path, If_Modified_Since="Sat, 21 Nov 2099 00:00:00 GMT")
        self.assertEqual((old.status, old.body), (200, first.body))
        others = {
            self.get(f"studies/{STUDY}/metadata").headers["etag"],
            self.get(f"{SERIES_PATH}/instances/{SERIES}.1/metadata").headers["etag"],
            self.get(path, Accept="application/json").headers["etag"],
        }
        self.assertEqual(len(others - {tag}), 3)
        write_series(self.folder, 1, name="a/IM{}", more={"WindowCenter": "41"})
        self.wait()
        changed = self.get(path, If_None_Match=tag)
        self.assertEqual(changed.status, 200)
        self.assertEqual(changed.json[0]["00281050"]["Value"], [41])

    def test_head(self) -> None:
        """HEAD has GET's headers but the coding of the body, which is not written."""
        path = f"{SERIES_PATH}/metadata"
        get, head = self.get(path), self.get(path, "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("content-type", "etag", "cache-control", "vary"):
            self.assertEqual(head.headers[name], get.headers[name])

    def test_many(self) -> None:
        """More than are in memory at a time come as one list."""
        count = MAX_FRAMES + 4
        write_series(self.folder, count, name="many/IM{:03}", study="1.7", series="1.7.1")
        self.load()
        uids = self.found("studies/1.7/series/1.7.1/metadata", "00080018")
        self.assertEqual(uids, [f"1.7.1.{n}" for n in range(1, count + 1)])
        self.assertEqual(len(self.get("studies/1.7/instances").json), count)

    def test_lost_records(self) -> None:
        """If the store is gone, the files are indexed again and the answer says to wait, or is
        there; it is never cut short without a sign.
        """
        path = f"{SERIES_PATH}/metadata"
        whole = self.get(path)
        self.restart()
        self.load()
        again = self.get(path)
        self.assertEqual((again.status, again.body), (200, whole.body))

    def test_cross_origin(self) -> None:
        """A page of any origin may read what it knows the UIDs of, as it may read files."""
        answer = self.get(f"{SERIES_PATH}/metadata", Origin="https://viewer.example")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")


class PatientTests(DicomwebCase):
    options = {"patient_data": True}

    def test_patient(self) -> None:
        """With --patient-data the patient is in it."""
        (image,) = self.get(f"studies/{OTHER}/series/{THIRD}/metadata").json
        self.assertEqual(image["00100010"]["Value"], [{"Alphabetic": "Roe^Richard"}])
        self.assertEqual(image["00100020"]["Value"], ["P-2"])
        self.assertNotIn("7FE00010", image)


class PrivateTests(DicomwebCase):
    options = {"private": True}

    def test_private(self) -> None:
        """The answer is for the bearer alone, and no shared cache keeps it."""
        path = f"{BASE}/{SERIES_PATH}/metadata"
        self.assertEqual(self.memory_site.ask(path).status, 401)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = self.memory_site.ask(path, headers=headers)
        self.assertEqual(answer.headers["cache-control"], "private, no-cache")
