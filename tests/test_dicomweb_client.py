"""dicomweb-client, a library that nobody here wrote, searches and reads a real daemon."""

from __future__ import annotations

import io
import warnings
from typing import Any

from PIL import Image
from pydicom.dataset import Dataset
from twisted.trial.unittest import SkipTest

from tests.daemons import Daemon
from tests.dicom_case import DicomCase, load
from tests.dicom_files import ROOT, ct_slice, save, write_series

try:
    import requests
    from dicomweb_client.api import DICOMwebClient
except ImportError as error:
    raise SkipTest("no dicomweb-client here: pip install dicomweb-client") from error

STUDY, OTHER = f"{ROOT}.1", f"{ROOT}.2"
CT, MR, FRAMES = f"{STUDY}.1", f"{STUDY}.2", f"{OTHER}.1"


class ClientTests(DicomCase):
    def client(self, *options: str) -> DICOMwebClient:
        """A client of a daemon with two studies, loaded as ``scans``."""
        scans = self.folder / "scans"
        write_series(str(scans), 3, name="a/IM{}")
        head = {"SeriesNumber": 2, "BodyPartExamined": "HEAD"}
        write_series(str(scans), 2, name="b/IM{}", series=MR, modality="MR", more=head)
        pixels = b"".join((1000 * n).to_bytes(2, "little") * 48 for n in range(3))
        more = {"NumberOfFrames": 3, "PixelData": pixels, "WindowWidth": "3000"}
        save(ct_slice(study=OTHER, series=FRAMES, more=more), str(scans / "frames"))
        daemon = self.daemon("--allow-root", str(scans), *options)
        load(daemon, scans, "scans")
        return self.of(daemon)

    def of(self, daemon: Daemon) -> DICOMwebClient:
        session = requests.Session()
        session.trust_env = False  # its bundle of authorities would count for more than ours
        session.verify = str(daemon.ca)
        self.addCleanup(session.close)
        client = DICOMwebClient(f"{daemon.url}collections/scans/dicomweb", session=session)
        client.set_http_retry_params(retry=False)
        return client

    def test_search(self) -> None:
        """Studies, series and instances are found, by what is searched for, in pages."""
        client = self.client()
        for found, tag, expected in (
            (client.search_for_studies(), "0020000D", [STUDY, OTHER]),
            (client.search_for_studies(limit=1, offset=1), "0020000D", [OTHER]),
            (
                client.search_for_studies(search_filters={"ModalitiesInStudy": "MR"}),
                *("0020000D", [STUDY]),
            ),
            (client.search_for_series(), "0020000E", [CT, MR, FRAMES]),
            (client.search_for_series(STUDY), "0020000E", [CT, MR]),
            (
                client.search_for_series(
                    STUDY, search_filters={"00180015": "HEAD"}, fields=["BodyPartExamined"]
                ),
                *("0020000E", [MR]),
            ),
            (client.search_for_instances(STUDY, MR), "00080018", [f"{MR}.1", f"{MR}.2"]),
            (client.search_for_instances(study_instance_uid=OTHER), "00080018", [f"{FRAMES}.1"]),
            (client.search_for_studies(search_filters={"StudyInstanceUID": "1.2"}), "", []),
        ):
            self.assertEqual([one[tag]["Value"][0] for one in found], expected)
        error = self.assertRaises(
            requests.HTTPError,
            client.search_for_studies,
            search_filters={"PatientName": "Doe*"},
        )
        self.assertIn("without --patient-data", error.response.json()["detail"])

    def test_metadata(self) -> None:
        """Metadata become data sets that say what the files say, but for the patient."""
        client = self.client()
        for metadata, count in (
            (client.retrieve_study_metadata(STUDY), 5),
            (client.retrieve_series_metadata(STUDY, CT), 3),
        ):
            self.assertEqual(len(metadata), count)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = Dataset.from_json(client.retrieve_instance_metadata(STUDY, CT, f"{CT}.2"))
        file = ct_slice(number=2, position=(-10.0, -20.0, 2.0))
        for keyword in (
            *("SOPClassUID", "SOPInstanceUID", "Modality", "Rows", "Columns", "InstanceNumber"),
            *("ImagePositionPatient", "PixelSpacing", "RescaleIntercept", "WindowCenter"),
            *("BitsAllocated", "PixelRepresentation", "ImageType", "FrameOfReferenceUID"),
        ):
            self.assertEqual(found[keyword].value, file[keyword].value, keyword)
        self.assertFalse(found.PatientName)

    def test_rendered(self) -> None:
        """Instances, frames and series are pictures of the type that was asked for."""
        client = self.client()
        for body, kind in (
            (client.retrieve_instance_rendered(STUDY, CT, f"{CT}.1"), "JPEG"),
            (
                client.retrieve_instance_rendered(
                    *(STUDY, CT, f"{CT}.1"),
                    media_types=("image/png",),
                    params={"window": "40,400,linear", "viewport": "9,8"},
                ),
                "PNG",
            ),
            (
                client.retrieve_instance_rendered(
                    *(STUDY, CT, f"{CT}.1"),
                    media_types=("image/jpeg",),
                    params={"quality": 95},
                ),
                "JPEG",
            ),
        ):
            image = Image.open(io.BytesIO(body))
            self.assertEqual((image.format, image.size), (kind, (9, 8)))
        greys = [self.grey_of(client, number) for number in (1, 2, 3)]
        self.assertEqual(sorted(set(greys)), greys)

    def grey_of(self, client: Any, frame: int) -> int:
        body = client.retrieve_instance_frames_rendered(
            *(OTHER, FRAMES, f"{FRAMES}.1", [frame]), media_types=("image/png",)
        )
        return Image.open(io.BytesIO(body)).tobytes()[0]

    def test_patients(self) -> None:
        """With --patient-data, patients are found by name."""
        client = self.client("--patient-data")
        found = client.search_for_studies(
            search_filters={"PatientName": "doe*"}, fuzzymatching=True
        )
        self.assertEqual(len(found), 2)
        self.assertEqual(found[0]["00100010"]["Value"], [{"Alphabetic": "Doe^Jane"}])
