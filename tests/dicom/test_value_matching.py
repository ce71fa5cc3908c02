"""Which values match: DICOM PS3.4 section C.2.2.2."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.value_matching import MAX_PATTERN, BadValue
from imgd.dicom.value_matching import test_of as value_test

NAME = {"Alphabetic": "Doe^Jane", "Ideographic": "山田^太郎"}


class MatchingTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Lists of UIDs and codes, numbers, ranges, wildcards, and every form of a name."""
        for vr, wanted, values, matches in (
            ("UI", "1.2", ["1.2"], True),
            ("UI", "1.2", ["1.2.3"], False),
            ("UI", "1.2,3.4", ["3.4"], True),
            ("UI", r"1.2\3.4", ["3.4"], True),
            ("UI", "1.2", [], False),
            ("CS", "CT", ["CT"], True),
            ("CS", "ct", ["CT"], False),
            ("CS", r"MR\CT", ["PT", "CT"], True),
            ("CS", "MR, CT", ["CT"], True),
            ("CS", "C?", ["CT"], True),
            ("CS", "C?", ["C"], False),
            ("CS", "C*", ["C"], True),
            ("IS", "1", [1], True),
            ("IS", "01", [1], True),
            ("DS", "1.50", [1.5], True),
            ("DS", "1.5", ["1.5 "], True),
            ("IS", "1", [None], False),
            ("IS", "1", [10], False),
            ("US", "1,2", [2], True),
            ("DA", "20260102", ["20260102"], True),
            ("DA", "20260102", ["2026.01.02"], True),
            ("DA", "20260101-20260131", ["20260102"], True),
            ("DA", "20260103-20260131", ["20260102"], False),
            ("DA", "20260102-", ["20260102"], True),
            ("DA", "-20260102", ["20260102"], True),
            ("DA", "-20260101", ["20260102"], False),
            ("TM", "10", ["101112"], True),
            ("TM", "1011", ["10:11:12"], True),
            ("TM", "1000-1011", ["101112.5"], True),
            ("TM", "1012-", ["101112"], False),
            ("DT", "2026", ["20260102101112"], True),
            ("PN", "doe^jane", [NAME], True),
            ("PN", "*JANE", [NAME], True),
            ("PN", "山*", [NAME], True),
            ("PN", "doe", [NAME], False),
            ("LO", "a.c", ["abc"], False),
            ("LO", "a*c*e", ["abcde"], True),
            ("LO", "a*c*e", ["abcdef"], False),
            ("LO", "*b**d*", ["abcde"], True),
            ("LO", "[a]", ["a"], False),
            ("LO", "(a", ["(a"], True),
            ("LT", "a*", ["a\nb"], True),
            ("SH", "a\0", ["a"], False),
        ):
            with self.subTest(vr=vr, wanted=wanted, values=values):
                self.assertIs(value_test(vr, (wanted,))(values), matches)

    def test_repeated(self) -> None:
        """What is named twice may be either."""
        test = value_test("UI", ("1.2", "3.4"))
        self.assertEqual([test([uid]) for uid in ("1.2", "3.4", "5.6")], [True, True, False])
        self.assertTrue(value_test("DA", ("20250101", "20260101-"))(["20260102"]))

    def test_bad_values(self) -> None:
        """What no such attribute can be is refused, and so is what cannot be searched for."""
        for vr, wanted in (
            *(("UI", text) for text in ("x", "1.2,", "1.2*", "1" * 65, "1.2\0", "1.2;3")),
            *(("IS", text) for text in ("x", "1-2", "٣", "nan", "inf", "1" * 30, "0x1")),
            *(("DA", text) for text in ("2026", "-", "2026-01-02", "2026010*", "20260102-x")),
            *(("TM", text) for text in ("1", "10:11", "-", "101")),
            *(("DT", text) for text in ("", "20")),
            *(("SQ", "x"), ("OB", "x"), ("", "x"), ("PN", "*" + "x" * MAX_PATTERN)),
        ):
            with self.subTest(vr=vr, wanted=wanted):
                self.assertRaises(BadValue, value_test, vr, (wanted,))

    def test_costly_pattern(self) -> None:
        """A pattern of many asterisks takes no time that grows with their number's power."""
        test = value_test("LO", ("*a" * (MAX_PATTERN // 2 - 1) + "b",))
        self.assertFalse(test(["a" * 10_000]))
