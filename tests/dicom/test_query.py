"""Queries of searches, as viewers and others write them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom import attributes
from imgd.dicom.query import MAX_KEYS, NOT_FUZZY, DicomQuery, parse
from imgd.errors import BadRequest

FOUND: list[list[Any]] = [[], [""], [None], ["1"], [1.5], [{"Alphabetic": "a"}], [{}], [[1]]]
PROPERTY = settings(deadline=None, database=None, max_examples=500)
KEYS = st.sampled_from(
    [
        *(attribute.keyword for attribute in attributes.ALL),
        *("limit", "offset", "includefield", "fuzzymatching", "00101010", "00091001", "x"),
    ]
)
VALUES = st.one_of(
    st.text(max_size=20),
    st.from_regex(r"\A[0-9.*?,\\:+eE-]{0,20}\Z"),
    st.binary(max_size=8).map(lambda data: data.decode("utf-8", "surrogateescape")),
)


def parsed(query: bytes, *, has_patient_data: bool = False) -> DicomQuery:
    return parse(query, has_patient_data=has_patient_data)


class QueryTests(SynchronousTestCase):
    def refuse(self, query: bytes, sentence: str, *, has_patient_data: bool = False) -> None:
        with self.subTest(query=query[:60]):
            error = self.assertRaises(BadRequest, parsed, query, has_patient_data=has_patient_data)
            self.assertEqual(error.detail, sentence)

    def test_names(self) -> None:
        """A keyword and a tag in either case mean the same attribute."""
        for query in (b"StudyInstanceUID=1.2", b"0020000D=1.2", b"0020000d=1.2"):
            found = parsed(query)
            self.assertEqual(found.wanted("0020000D"), ("1.2",))
            self.assertEqual(found.wanted("0020000E"), ())

    def test_pages(self) -> None:
        """limit and offset are numbers."""
        self.assertEqual((parsed(b"").limit, parsed(b"").offset), (None, 0))
        found = parsed(b"limit=101&offset=0")
        self.assertEqual((found.limit, found.offset), (101, 0))
        for key in ("limit", "offset"):
            for value in ("-1", "x", "", "1.5", "1" * 10, "%D9%A3", f"1&{key}=2"):
                sentence = f"'{key}' must be one number from 0 to 999999999."
                self.refuse(f"{key}={value}".encode(), sentence)

    def test_include(self) -> None:
        """Fields come as keywords and tags, repeated or in lists; unknown ones are named."""
        found = parsed(b"includefield=00081030,BodyPartExamined&includefield=00091001")
        self.assertEqual(found.include, {"00081030", "00180015", "00091001"})
        self.assertEqual((found.has_all, found.warnings), (False, ()))
        self.assertTrue(parsed(b"includefield=all").has_all)
        warning = "imgd does not know these attributes of includefield: Colour, Size."
        self.assertEqual(parsed(b"includefield=Colour,Size").warnings, (warning,))
        many = parsed(b"includefield=" + b",".join(b"x%d" % n for n in range(50))).warnings
        self.assertIn("x18, x19 and 30 more.", many[0])
        self.refuse(
            b"includefield=a%22%0d%0ab",
            "'includefield' must be keywords, tags of 8 hexadecimal digits, or all.",
        )

    def test_fuzzy(self) -> None:
        """Fuzzy matching is not done, and that is said."""
        self.assertEqual(parsed(b"fuzzymatching=true").warnings, (NOT_FUZZY,))
        self.assertEqual(parsed(b"fuzzymatching=false").warnings, ())
        self.refuse(b"fuzzymatching=yes", "'fuzzymatching' must be true or false.")

    def test_unknown(self) -> None:
        """A key that imgd does not know is refused, and named; of a long one, the beginning."""
        for query, name in (
            (b"PatientNam=x", "'PatientNam'"),
            (b"00091001=x", "'00091001'"),
            (b"RetrieveURL=x", "'RetrieveURL'"),
            (b"OtherPatientIDsSequence.PatientID=1", "'OtherPatientIDsSequence.PatientID'"),
            (b"Limit=5", "'Limit'"),
            (b"=5", "''"),
            (b"a%00%ff=5", "'a\0\ufffd'"),
            (b"x" * 1000 + b"=5", f"'{'x' * 64}…'"),
        ):
            self.refuse(query, f"imgd cannot search by {name}.")

    def test_withheld(self) -> None:
        """Who searches by what is withheld learns which option tells it."""
        for name in ("StudyDate", "00080020", "PatientName", "PatientSex", "AccessionNumber"):
            known = {"00080020": "StudyDate"}.get(name, name)
            self.refuse(
                f"{name}=20260101".encode(),
                f"imgd was started without --patient-data, so that it cannot search by '{known}'.",
            )
            self.assertEqual(
                len(parsed(f"{name}=20260101".encode(), has_patient_data=True).keys), 1
            )

    def test_universal(self) -> None:
        """An empty value, or an asterisk, is no condition but asks for the attribute."""
        for query in (b"PatientName=", b"PatientName=*", b"00100010="):
            found = parsed(query)
            self.assertEqual((found.keys, found.include), ((), {"00100010"}))

    def test_any_tag(self) -> None:
        """With the patients' data every tag can be searched by."""
        (key,) = parsed(b"00181000=x", has_patient_data=True).keys
        self.assertEqual((key.attribute.tag, key.attribute.vr), ("00181000", ""))
        self.assertTrue(key.matches("LO", ["x"]))
        error = self.assertRaises(BadRequest, key.matches, "SQ", [{}])
        self.assertIn("'00181000' cannot be searched for", error.detail)

    def test_bad_values(self) -> None:
        """A value that the attribute cannot have is refused before anything is read."""
        self.refuse(
            b"StudyInstanceUID=x",
            "'StudyInstanceUID' must be a UID, or some separated by commas.",
        )
        self.refuse(b"SeriesNumber=x", "'SeriesNumber' must be a number.")
        self.refuse(
            b"StudyDate=today",
            "'StudyDate' must be a date (20260131) or a range of dates (20260101-20260131).",
            has_patient_data=True,
        )
        self.refuse(
            b"SeriesNumber=1&SeriesNumber=2",
            "'SeriesNumber' is there 2 times; it must be there once.",
        )

    def test_limits(self) -> None:
        """Many keys are not looked at."""
        self.refuse(b"&".join([b"a=1"] * (MAX_KEYS + 1)), "A search may have 100 keys at most.")

    def test_of_any_request(self) -> None:
        """What every DICOMweb request may have is no key."""
        self.assertEqual(parsed(b"accept=application/dicom%2Bjson&charset=utf-8"), DicomQuery())

    @PROPERTY
    @given(st.lists(st.tuples(KEYS, VALUES), max_size=5), st.booleans(), st.binary(max_size=20))
    def test_anything(
        self, pairs: list[tuple[str, str]], has_patient_data: bool, more: bytes
    ) -> None:
        """Whatever a query is, it is refused with a sentence or can be held against any values."""
        text = urlencode(pairs, errors="surrogateescape").encode() + b"&" + more
        try:
            found = parsed(text, has_patient_data=has_patient_data)
            for key in found.keys:
                for vr in (key.attribute.vr or "LO", "PN", "DA", "IS"):
                    for values in FOUND:
                        key.matches(vr, values)
        except BadRequest as error:
            self.assertRegex(error.detail, r"\.\Z")
        else:
            self.assertTrue("".join(found.warnings).isascii())
