"""Facts of the acquisition: numbers and codes, by BIDS's names and in its units."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.acquisition import MAX_VALUES, SharedFacts, facts


def metadata(**values: Any) -> bytes:
    """DICOM JSON of elements by tag."""
    elements = {
        tag.lstrip("t"): {"vr": "DS", "Value": value if isinstance(value, list) else [value]}
        for tag, value in values.items()
    }
    return json.dumps(elements).encode("utf-8")


class FactsTests(SynchronousTestCase):
    def test_units(self) -> None:
        """Times are in seconds, without digits that nobody measured."""
        found = facts(metadata(t00180080=2.2, t00180081=30, t00180082=1100.0, t00181314=90))
        self.assertEqual(
            found,
            {"RepetitionTime": 0.0022, "EchoTime": 0.03, "InversionTime": 1.1, "FlipAngle": 90},
        )

    def test_codes(self) -> None:
        """Codes are there, one or several; what is no code is not."""
        found = facts(
            metadata(
                **{"t00080060": "MR", "t00080008": ["ORIGINAL", "PRIMARY", "M"]},
                **{"t00180015": "Doe^Jane", "t00185100": "Jane Doe", "t00180020": ["EP", "<b>"]},
            )
        )
        codes = {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M"]}
        self.assertEqual(found, {**codes, "ScanningSequence": "EP"})

    def test_not_listed(self) -> None:
        """Names, dates and comments are left out even if the index has them."""
        patient = metadata(t00100010="DOE", t00080020="20260101", t00204000="DOE", t00180060=120)
        self.assertEqual(facts(patient), {"KVP": 120})

    def test_enhanced(self) -> None:
        """The groups that all frames share are looked into."""
        group = [{"00180080": {"vr": "DS", "Value": [500]}, "00181314": {"vr": "DS"}}]
        shared = [{"00189112": {"vr": "SQ", "Value": group}}]
        found = facts(metadata(t52009229=shared, t00180087=3))
        self.assertEqual(found, {"RepetitionTime": 0.5, "MagneticFieldStrength": 3})

    def test_nonsense(self) -> None:
        """What is no data set has no facts."""
        for value in (
            *(
                b"",
                b"[]",
                b"3",
                b"{",
                b'{"\xff":1}',
                b'{"00180060":1}',
                b'{"00180060":{"Value":5}}',
            ),
            *(b'{"00180060":{"Value":[true,null,{},[]]}}', b'{"52009229":{"Value":[1]}}'),
            *(b'{"52009229":{"Value":[{"00189112":{"Value":[2]}}]}}', b"[" * 100_000),
        ):
            self.assertEqual(facts(value), {})
        many = facts(metadata(t00180060=list(range(1, 100))))
        self.assertEqual(many, {"KVP": list(range(1, MAX_VALUES + 1))})


class SharedTests(SynchronousTestCase):
    def shared(self, *of_files: bytes) -> SharedFacts:
        shared = SharedFacts()
        for of_file in of_files:
            shared.add(facts(of_file))
        return shared

    def test_shared(self) -> None:
        """What files tell differently, or one does not tell, is left out."""
        first = metadata(t00180060=120, t00181151=200, t00180050=2)
        second = metadata(t00180060=120, t00181151=210)
        self.assertEqual(self.shared(first, second).found, {"KVP": 120})
        self.assertEqual(self.shared(first).found, facts(first))

    def test_volume_time(self) -> None:
        """The temporal resolution, or the repetition time of echo-planar imaging."""
        for values, seconds in (
            ({"t00200110": 1500}, 1.5),
            ({"t00180080": 2000, "t00180020": "EP"}, 2.0),
            ({"t00180080": 2000, "t00180020": ["SE", "EP"]}, 2.0),
            ({"t00180080": 2000, "t00180020": "GR"}, 0.0),
            ({"t00200110": -5}, 0.0),
            ({}, 0.0),
        ):
            self.assertEqual(self.shared(metadata(**values)).volume_time(), seconds)
        self.assertEqual(self.shared().volume_time(), 0)
