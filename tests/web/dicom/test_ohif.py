"""``dicom.json``, which OHIF's data source dicomjson reads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from imgd.collections.registry import LoadedCollection
from imgd.dicom.indexes import StillIndexing
from imgd.web.dicom import ohif
from tests.dicom.site_case import DicomCase
from tests.dicom_files import SERIES, STUDY, ct_slice, save, write_series
from tests.fakes import Answer
from tests.web.connection_case import FullTransport, connect

PATH = "/collections/scans/dicom.json"
FILES = "dicomweb:https://localhost:8888/collections/scans/files/"


def frame_groups(z: float) -> Dataset:
    position, groups = Dataset(), Dataset()
    position.ImagePositionPatient = [0.0, 0.0, z]
    groups.PlanePositionSequence = Sequence([position])
    return groups


def multiframe(frames: int) -> Dataset:
    """An enhanced file, each of whose frames has its position."""
    dataset = ct_slice(
        series="1.2.7", more={"NumberOfFrames": frames, "ImagePositionPatient": None}
    )
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    dataset.PixelData = np.zeros(frames * dataset.Rows * dataset.Columns, "<i2").tobytes()
    groups = [frame_groups(2.0 * number) for number in range(frames)]
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return dataset


class DocumentTests(DicomCase):
    def ask(self, query: str = "", status: int = 200) -> Answer:
        answer = self.memory_site.ask(f"{PATH}{query}")
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def studies(self, query: str = "") -> list[dict[str, Any]]:
        return list(self.ask(query).json["studies"])

    def test_document(self) -> None:
        """Studies hold series, series instances; numbers are numbers, and URLs those of files."""
        write_series(self.folder, 3, name="a/{}")
        write_series(self.folder, 2, series="1.2.8", modality="MR", more={"SeriesNumber": 2})
        write_series(self.folder, 1, name="c{}", study="1.2.3", series="1.2.3.4")
        self.load()
        by_uid = {study["StudyInstanceUID"]: study for study in self.studies()}
        self.assertEqual(sorted(by_uid), sorted([STUDY, "1.2.3"]))
        study = by_uid[STUDY]
        self.assertEqual((study["NumInstances"], study["Modalities"]), (5, "CT/MR"))
        self.assertEqual((study["PatientName"], study["StudyDate"]), ("", ""))
        first, second = study["series"]
        self.assertEqual((first["SeriesInstanceUID"], first["SeriesNumber"]), (SERIES, 1))
        self.assertEqual((first["Modality"], second["Modality"]), ("CT", "MR"))
        urls = [entry["url"] for entry in first["instances"]]
        self.assertEqual(urls, [f"{FILES}a/{n}" for n in (1, 2, 3)])
        metadata = first["instances"][1]["metadata"]
        for key, value in (
            *(("Rows", 8), ("Columns", 6), ("BitsAllocated", 16), ("PixelRepresentation", 1)),
            *(("PixelSpacing", [0.5, 0.75]), ("ImagePositionPatient", [-10, -20, 2])),
            *(("RescaleIntercept", -1024), ("WindowCenter", 40), ("InstanceNumber", 2)),
            *(("SOPInstanceUID", f"{SERIES}.2"), ("ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"])),
        ):
            self.assertEqual(metadata[key], value, key)

    def test_frames(self) -> None:
        """A file of several frames has an entry for each, numbered from 1; the first has the
        metadata, groups of all frames among them, and all its UIDs.
        """
        save(multiframe(3), f"{self.folder}/IM")
        self.load()
        [study] = self.studies()
        entries = study["series"][0]["instances"]
        urls = [entry["url"] for entry in entries]
        self.assertEqual(urls, [f"{FILES}IM?frame={n}" for n in (1, 2, 3)])
        first, *others = [entry["metadata"] for entry in entries]
        self.assertEqual(first["NumberOfFrames"], 3)
        groups = first["PerFrameFunctionalGroupsSequence"]
        positions = [group["PlanePositionSequence"][0]["ImagePositionPatient"] for group in groups]
        self.assertEqual(positions, [[0, 0, 0], [0, 0, 2], [0, 0, 4]])
        for metadata in others:
            self.assertEqual(metadata["SOPInstanceUID"], first["SOPInstanceUID"])
            self.assertNotIn("PerFrameFunctionalGroupsSequence", metadata)

    def test_folders_called_frames(self) -> None:
        """No URL has a segment by which OHIF would take it for one of DICOMweb's, whatever folders
        and collections are called; each leads to its file.
        """
        save(multiframe(2), f"{self.folder}/frames/Frames/frames/IM")
        self.memory_site.load(self.folder, name="frames", recursive=True)
        [study] = self.memory_site.ask("/collections/frames/dicom.json").json["studies"]
        for entry in study["series"][0]["instances"]:
            self.assertNotIn("/frames/", entry["url"].lower())
            path = entry["url"].removeprefix("dicomweb:https://localhost:8888").partition("?")[0]
            self.assertEqual(self.memory_site.ask(path).body[128:132], b"DICM")

    def test_claimed_frames(self) -> None:
        """A file that claims frames by the million, and has one, is one entry."""
        save(ct_slice(more={"NumberOfFrames": 20_000_000}), f"{self.folder}/IM")
        self.load()
        for study in self.studies():
            [entry] = study["series"][0]["instances"]
            self.assertEqual(entry["url"], f"{FILES}IM")

    def test_one_study(self) -> None:
        """One study can be asked for; one that is not there is 404."""
        write_series(self.folder, 2)
        write_series(self.folder, 1, name="c{}", study="1.2.3", series="1.2.3.4")
        self.load()
        [study] = self.studies("?StudyInstanceUID=1.2.3")
        self.assertEqual((study["StudyInstanceUID"], study["NumInstances"]), ("1.2.3", 1))
        detail = self.ask("?StudyInstanceUID=9.9", 404).json["detail"]
        self.assertIn("no study", detail)

    def test_none(self) -> None:
        """Without DICOM there are no studies."""
        self.load()
        self.assertEqual(self.studies(), [])

    def test_patient(self) -> None:
        """With --patient-data a study has the patient's name, and a series its description."""
        write_series(self.folder, 1, more={"SeriesDescription": "Neck"})
        self.restart(patient_data=True)
        self.load()
        [study] = self.studies()
        self.assertEqual((study["PatientName"], study["PatientID"]), ("Doe^Jane", "P-1"))
        self.assertEqual(study["StudyDate"], "20260102")
        self.assertEqual(study["series"][0]["SeriesDescription"], "Neck")

    def test_head(self) -> None:
        """HEAD has the headers alone."""
        self.load()
        answer = self.memory_site.ask(PATH, "HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["content-type"], "application/json")


class StreamTests(DicomCase):
    END = b"0\r\n\r\n"  # of a body in chunks

    def test_pieces(self) -> None:
        """What is sent does not depend on how many files are read at once."""
        write_series(self.folder, 7)
        write_series(self.folder, 3, name="b{}", series="1.2.8")
        save(multiframe(8), f"{self.folder}/frames")
        self.load()
        whole = self.memory_site.ask(PATH).body
        self.assertEqual(whole.count(b'"url":'), 7 + 3 + 8)
        for piece in (1, 2, 3, 7):
            self.patch(ohif, "PIECE", piece)
            self.assertEqual(self.memory_site.ask(PATH).body, whole)

    def test_slow_reader(self) -> None:
        """A client that reads nothing is sent some pieces, and no more are read for it until it
        goes on.
        """
        self.patch(ohif, "PIECE", 1)
        write_series(self.folder, 9)
        self.load()
        self.memory_site.ask(PATH)
        transport = FullTransport("127.0.0.1")
        connect(self.memory_site, transport)
        transport.protocol.dataReceived(
            f"GET {PATH} HTTP/1.1\r\nHost: localhost:8888\r\n\r\n".encode("ascii")
        )
        sent = transport.value()
        self.assertFalse(sent.endswith(self.END))
        for _ in range(20):
            transport.protocol.resumeProducing()
            self.assertLess(len(transport.value()) - len(sent), 2000)  # one file
            sent = transport.value()
        self.assertTrue(sent.endswith(self.END))

    def test_gone_reader(self) -> None:
        """Nothing more is read for a client that has gone."""
        self.patch(ohif, "PIECE", 1)
        write_series(self.folder, 9)
        self.load()
        self.memory_site.ask(PATH)
        records, asked = self.dicom.records, []

        async def count(loaded: LoadedCollection, instances: Any) -> Any:
            asked.append(instances)
            return await records(loaded, instances)

        self.patch(self.dicom, "records", count)
        transport = FullTransport("127.0.0.1")
        connect(self.memory_site, transport)
        transport.protocol.dataReceived(
            f"GET {PATH} HTTP/1.1\r\nHost: localhost:8888\r\n\r\n".encode("ascii")
        )
        transport.lose()
        self.assertLess(len(asked), 4)

    def test_changed_on_the_way(self) -> None:
        """If a file is indexed no more while the answer is sent, the connection ends: nobody takes
        a part for the whole.
        """
        self.patch(ohif, "PIECE", 1)
        write_series(self.folder, 3)
        self.load()
        self.memory_site.ask(PATH)
        records, asked = self.dicom.records, []

        async def forget(loaded: LoadedCollection, instances: Any) -> Any:
            asked.append(instances)
            if len(asked) > 2:
                raise StillIndexing(0, 1)
            return await records(loaded, instances)

        self.patch(self.dicom, "records", forget)
        answer = self.memory_site.ask(PATH)
        self.assertEqual(len(asked), 3)
        self.assertTrue(answer.aborted)
        self.assertRaises(ValueError, json.loads, answer.body)
