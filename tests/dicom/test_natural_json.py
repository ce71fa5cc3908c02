"""DICOM JSON with keywords for tags."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.natural_json import natural


def made(attributes: dict[str, Any]) -> dict[str, Any]:
    return natural(msgspec.Raw(json.dumps(attributes).encode("ascii")))


class NaturalTests(SynchronousTestCase):
    def test_values(self) -> None:
        """One value is itself, several are a list, a sequence is always a list; names are text."""
        self.assertEqual(
            made(
                {
                    "00280010": {"vr": "US", "Value": [512]},
                    "00280030": {"vr": "DS", "Value": [0.5, 0.75]},
                    "00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY"]},
                    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
                    "52009229": {
                        "vr": "SQ",
                        "Value": [
                            {
                                "00289110": {
                                    "vr": "SQ",
                                    "Value": [{"00180050": {"vr": "DS", "Value": [2]}}],
                                }
                            }
                        ],
                    },
                }
            ),
            {
                "Rows": 512,
                "PixelSpacing": [0.5, 0.75],
                "ImageType": ["ORIGINAL", "PRIMARY"],
                "PatientName": "Doe^Jane",
                "SharedFunctionalGroupsSequence": [
                    {"PixelMeasuresSequence": [{"SliceThickness": 2}]}
                ],
            },
        )

    def test_left_out(self) -> None:
        """What has no value, only bytes, or no keyword here, is not there."""
        left = {
            "00100020": {"vr": "LO"},
            "00080050": {"vr": "SH", "Value": []},
            "00281201": {"vr": "OW", "InlineBinary": "AAEC"},
            "00091001": {"vr": "LO", "Value": ["private"]},
        }
        self.assertEqual(made(left), {})
