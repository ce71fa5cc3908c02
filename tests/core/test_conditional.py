"""Validators, dates and preconditions."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import conditional
from imgd.core.conditional import FileFacts, parse_retry_after

PROPERTY = settings(deadline=None, database=None, max_examples=300)
TAG = b'"tag"'
MODIFIED = 784_111_777
AT = b"Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"
NO_DATES = (
    *(b"", b"yesterday", b"0", b"\xff", b"Sun, 06 Nov 1994", AT + b", " + AT, AT + b" x"),
    *(b"Sun, 31 Feb 1999 00:00:00 GMT", b"Sun, 06 Nov 1994 25:00:00 GMT"),
    *(b"Sun, 06 Nov 0000 08:49:37 GMT", b"Sun, 06 Nov 99999 08:49:37 GMT"),
    *(b"Sun, 06 Nov 1994 08:49:37 EST", b"Sun, 06 Nov 1994 08:49:37 +0100"),
    *(b"Sun, 99999999999999999999 Nov 1994 08:49:37 GMT", b"9" * 5_000, b"1994-11-06T08:49:37Z"),
)


class EtagTests(SynchronousTestCase):
    """The strong validator."""

    def test_changes_with_what_identifies_a_version(self) -> None:
        """Another size, nanosecond or inode is another tag, and each tag is quoted and strong."""
        facts = FileFacts(size=10, mtime_ns=123_456_789_012, ctime_ns=1, inode=7)
        others = [
            facts._replace(size=11),
            facts._replace(mtime_ns=facts.mtime_ns + 1),
            facts._replace(inode=8),
            facts._replace(mtime_ns=-1),
        ]
        tags = {conditional.etag(f) for f in (facts, *others)}
        self.assertEqual(len(tags), 5)
        for tag in tags:
            self.assertRegex(tag, rb'\A"[0-9a-f-]+"\Z')


class DateTests(SynchronousTestCase):
    """The dates of HTTP."""

    def test_three_formats(self) -> None:
        """IMF-fixdate, RFC 850 and asctime all say the same second, in any case and padding."""
        for date in (
            AT,
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            AT.lower(),
            b" \t" + AT + b" ",
        ):
            self.assertEqual(conditional.parse_date(date), MODIFIED, date)

    def test_no_dates(self) -> None:
        """Impossible dates and times, other zones and lists of dates are None."""
        for date in NO_DATES:
            self.assertIsNone(conditional.parse_date(date), date)

    @PROPERTY
    @given(st.integers(conditional._YEAR_1, 253_402_300_799))
    def test_round_trip(self, seconds: int) -> None:
        """Every second from the year 1 to the year 9999 is written and read back."""
        self.assertEqual(conditional.parse_date(conditional.http_date(seconds)), seconds)

    @PROPERTY
    @given(st.binary())
    def test_noise(self, value: bytes) -> None:
        """No value raises."""
        conditional.parse_date(value)

    def test_last_modified(self) -> None:
        """The date is the file's, in whole seconds rounded down, and never in the future."""
        now = 1_000.9
        for mtime_ns, expected in (
            (999_999_999_999, 999),
            (1_000_999_999_999, 1_000),
            (1_001_000_000_000, 1_000),
            (10**26, 1_000),
            (-1, -1),
            (-(10**26), conditional._YEAR_1),
        ):
            facts = FileFacts(0, mtime_ns, 0, 0)
            self.assertEqual(conditional.last_modified(facts, now), expected, mtime_ns)
            conditional.http_date(expected)


class EvaluateTests(SynchronousTestCase):
    """Preconditions, and their order."""

    def check(self, table: tuple[tuple[dict[bytes, bytes], int], ...]) -> None:
        for headers, expected in table:
            self.assertEqual(conditional.evaluate(headers, TAG, MODIFIED), expected, headers)

    def test_none(self) -> None:
        """Without a precondition the answer is 200."""
        self.check((({}, 200), ({b"range": b"bytes=0-0", b"if-range": b'"x"'}, 200)))

    def test_if_match(self) -> None:
        """A strong tag of the list, or a star, must match; a weak one never does."""
        for value, expected in (
            (TAG, 200),
            (b"*", 200),
            (b" * ", 200),
            (b'"a", "tag"', 200),
            (b'"a","tag","b"', 200),
            (b',, "tag" ,', 200),
            (b'W/"tag"', 412),
            (b'W/"tag", "tag"', 200),
            (b'"TAG"', 412),
            (b'"a"', 412),
            (b'"a", "b"', 412),
            (b"tag", 412),
            (b'"tag', 412),
            (b"", 412),
        ):
            self.check((({b"if-match": value}, expected),))

    def test_if_none_match(self) -> None:
        """A tag of the list, weak or strong, or a star, is what the client has already."""
        for value, expected in (
            (TAG, 304),
            (b'W/"tag"', 304),
            (b"*", 304),
            (b'"a", W/"tag"', 304),
            (b'"a"', 200),
            (b'"a, tag"', 200),
            (b'"tag, "', 200),
            (b"tag", 200),
            (b"", 200),
        ):
            self.check((({b"if-none-match": value}, expected),))

    def test_dates(self) -> None:
        """A file is unmodified since its own second; a value that is no date is ignored."""
        self.check(
            (
                ({b"if-modified-since": BEFORE}, 200),
                ({b"if-modified-since": AT}, 304),
                ({b"if-modified-since": AFTER}, 304),
                ({b"if-unmodified-since": BEFORE}, 412),
                ({b"if-unmodified-since": AT}, 200),
                ({b"if-unmodified-since": AFTER}, 200),
            )
        )
        for value in NO_DATES:
            self.check(
                (({b"if-modified-since": value}, 200), ({b"if-unmodified-since": value}, 200))
            )

    def test_order(self) -> None:
        """If-Match goes before its date, both before If-None-Match, and that before its date."""
        match, unmodified = b"if-match", b"if-unmodified-since"
        none_match, since = b"if-none-match", b"if-modified-since"
        self.check(
            (
                ({match: TAG, unmodified: BEFORE}, 200),
                ({match: b'"a"', unmodified: AFTER}, 412),
                ({match: b'"a"', none_match: TAG}, 412),
                ({match: TAG, none_match: TAG}, 304),
                ({unmodified: BEFORE, none_match: TAG}, 412),
                ({unmodified: AT, none_match: TAG}, 304),
                ({none_match: b'"a"', since: AFTER}, 200),
                ({none_match: TAG, since: BEFORE}, 304),
                ({match: TAG, since: AT}, 304),
            )
        )


class IfRangeTests(SynchronousTestCase):
    """Whether a Range counts."""

    def holds(self, value: bytes | None, now: float = MODIFIED + 60.0) -> bool:
        headers = {} if value is None else {b"if-range": value}
        return conditional.range_holds(headers, TAG, MODIFIED, now)

    def test_tags(self) -> None:
        """One strong tag that is equal counts; a weak one, another one or a list does not."""
        self.assertTrue(self.holds(None))
        self.assertTrue(self.holds(TAG))
        self.assertTrue(self.holds(b" " + TAG + b"\t"))
        for value in (b'W/"tag"', b'"a"', b'"tag", "a"', b"*", b"tag", b""):
            self.assertFalse(self.holds(value), value)

    def test_dates(self) -> None:
        """The very second of Last-Modified counts, earlier and later ones do not."""
        self.assertTrue(self.holds(AT))
        self.assertTrue(self.holds(b"Sun Nov  6 08:49:37 1994"))
        for value in (BEFORE, AFTER, *NO_DATES):
            self.assertFalse(self.holds(value), value)

    def test_too_young(self) -> None:
        """A date counts from one second on, for a file can change twice within its second."""
        self.assertFalse(self.holds(AT, MODIFIED + 0.999))
        self.assertTrue(self.holds(AT, MODIFIED + 1.0))
        self.assertTrue(self.holds(TAG, MODIFIED + 0.0))


class RetryAfterTests(SynchronousTestCase):
    def test_seconds_and_dates(self) -> None:
        """Both forms of RFC 9110 section 10.2.3, and nonsense."""
        date = "Sun, 06 Nov 1994 08:49:37 GMT"
        for value, now, wait in (
            ("120", 0.0, 120.0),
            (" 0 ", 0.0, 0.0),
            (date, 784111777.0 - 5, 5.0),
            (date, 784111777.0 + 5, 0.0),
            ("soon", 0.0, None),
            ("-5", 0.0, None),
            ("١٢", 0.0, None),
            ("", 0.0, None),
        ):
            self.assertEqual(parse_retry_after(value, now), wait, value)
