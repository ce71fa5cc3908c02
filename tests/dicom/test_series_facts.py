"""What is told of a series before anybody opens it."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import FileFacts
from imgd.dicom.model import IndexedInstance, IndexedSeries
from imgd.dicom.series_facts import PatientFacts, SeriesFacts, facts, samples
from imgd.pictures.instances import FramePlane, Instance

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
CORONAL = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
EXPLICIT = "1.2.840.10008.1.2.1"


def indexed(number: int, **more: Any) -> IndexedInstance:
    values = {
        **{"names": (f"IM{number}",), "facts": FileFacts(1, 1, 1, 1), "row": number},
        **{"study": "1.2", "series": "1.2.3", "uid": f"1.2.3.{number}", "sop_class": ""},
        **{"syntax": EXPLICIT, "modality": "CT", "number": number, "frames": 1},
        **{"rows": 8, "columns": 6, "offset": 9, "length": 96, **more},
    }
    return IndexedInstance(**values)


def plane(z: float, **more: Any) -> FramePlane:
    values = {"position": [0.0, 0.0, z], "orientation": AXIAL, "spacing": [0.5, 0.75], **more}
    return FramePlane(**values)


def record(*planes: FramePlane, **more: Any) -> Instance:
    values = {"photometric": "MONOCHROME2", "frames": max(1, len(planes)), **more}
    return Instance("1.2", "1.2.3", "1.2.3.1", planes=list(planes), **values)


def told(
    instances: list[IndexedInstance], records: list[Instance], *, has_patient: bool = False
) -> SeriesFacts:
    series = IndexedSeries("1.2", "1.2.3", "CT", 1, instances)
    return facts(series, records, has_patient=has_patient)


class SamplesTests(SynchronousTestCase):
    def test_few(self) -> None:
        """The first two instances and the last are read, and no others; of what has no pixels, the
        first.
        """
        for count, expected in ((1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (9, [1, 2, 9])):
            series = IndexedSeries("1", "2", "CT", 1, [indexed(n + 1) for n in range(count)])
            self.assertEqual([i.number for i in samples(series)], expected)
        without = [indexed(1, frames=0), indexed(2, frames=0)]
        self.assertEqual(len(samples(IndexedSeries("1", "2", "SR", 1, without))), 1)
        mixed = [*without, indexed(3), indexed(4)]
        found = samples(IndexedSeries("1", "2", "CT", 1, mixed))
        self.assertEqual([i.number for i in found], [3, 4])


class GeometryTests(SynchronousTestCase):
    def test_classic(self) -> None:
        """Columns, rows and slices, and their distances, that of the slices along the normal."""
        three = [indexed(n) for n in (1, 2, 3)]
        records = [record(plane(z)) for z in (0.0, 2.5, 5.0)]
        found = told(three, records)
        self.assertEqual(found.shape, (6, 8, 3))
        self.assertEqual(found.voxel_size, (0.75, 0.5, 2.5))
        self.assertEqual(found.why_no_volume, "")

    def test_enhanced(self) -> None:
        """The frames of one file are its slices."""
        found = told([indexed(1, frames=4)], [record(*map(plane, (9.0, 6.0, 3.0, 0.0)))])
        self.assertEqual(found.shape, (6, 8, 4))
        self.assertEqual(found.voxel_size, (0.75, 0.5, 3.0))

    def test_distance_unknown(self) -> None:
        """No distance is told of slices that are uneven, of several volumes, in no order, at one
        place, or turned.
        """
        for planes in (
            (plane(0.0), plane(1.0), plane(5.0)),
            (plane(0.0, time=1), plane(1.0, time=1), plane(2.0, time=2)),
            (plane(0.0), plane(0.0), plane(0.0)),
            (plane(0.0), plane(1.0, orientation=CORONAL), plane(2.0)),
            (plane(0.0), plane(1.0, position=None), plane(2.0)),
            (plane(0.0), plane(1.0, orientation=None), plane(2.0)),
        ):
            found = told([indexed(n) for n in (1, 2, 3)], [record(one) for one in planes])
            self.assertEqual(found.voxel_size, (0.75, 0.5, None), planes)
        self.assertEqual(told([indexed(1)], [record(plane(0.0))]).voxel_size, (0.75, 0.5, None))
        self.assertEqual(told([indexed(1)], [record(plane(0.0, spacing=None))]).voxel_size, None)

    def test_mixed_sizes(self) -> None:
        """Of pictures of several sizes no shape is told."""
        found = told([indexed(1), indexed(2, rows=9)], [record(plane(0.0)), record(plane(1.0))])
        self.assertIsNone(found.shape)
        self.assertIn("one size", found.why_no_volume)


class VolumeTests(SynchronousTestCase):
    def test_reasons(self) -> None:
        """What certainly is no volume says why, in a sentence."""
        position = plane(0.0, position=None)
        for instances, records, words in (
            ([indexed(1, frames=0)], [record(frames=0)], "no pixels"),
            ([indexed(1, syntax="1.2.840.10008.1.2.4.70")], [record(plane(0.0))], "compressed"),
            ([indexed(1, length=0)], [record(plane(0.0))], "compressed"),
            ([indexed(1)], [record(plane(0.0), samples=3, photometric="RGB")], "colour"),
            ([indexed(1)], [record(plane(0.0), photometric="PALETTE COLOR")], "colour"),
            ([indexed(1)], [record()], "no position"),
            ([indexed(1)], [record(position)], "no position"),
            (
                [indexed(1), indexed(2)],
                [record(plane(0.0)), record(plane(0.0, orientation=CORONAL))],
                "parallel",
            ),
        ):
            why = told(instances, records).why_no_volume
            self.assertIn(words, why)
            self.assertTrue(why.endswith("."))


class PatientTests(SynchronousTestCase):
    METADATA = msgspec.Raw(
        b'{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]},'
        b'"00100020":{"vr":"LO","Value":["P-1"]},"00080020":{"vr":"DA"},'
        b'"0008103E":{"vr":"LO","Value":[null]},"00081030":{"vr":"LO","Value":["Head"]}}'
    )

    def test_patient(self) -> None:
        """With patient data, names and descriptions are told; without, they are not looked at."""
        found = record(plane(0.0), metadata=self.METADATA)
        told_of = told([indexed(1)], [found], has_patient=True).patient
        self.assertEqual(told_of, PatientFacts("Doe^Jane", "P-1", "", "Head", ""))
        self.assertEqual(told([indexed(1)], [found]).patient, PatientFacts())
