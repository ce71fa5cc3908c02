"""What heads and trailers have in common."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.http_rules import (
    MAX_FIELDS,
    MAX_LINE,
    MAX_SECTION,
    check_characters,
    check_limits,
    check_trailers,
)


class LimitTests(SynchronousTestCase):
    def test_limits(self) -> None:
        """Each limit may be reached, and not be passed."""
        self.assertIsNone(check_limits(MAX_LINE, MAX_SECTION, MAX_FIELDS))
        for line, section, fields, status in (
            (MAX_LINE + 1, 0, 0, 414),
            (0, MAX_SECTION + 1, 0, 431),
            (0, 0, MAX_FIELDS + 1, 431),
        ):
            error = check_limits(line, section, fields)
            self.assertEqual(error.status if error else 0, status)


class CharacterTests(SynchronousTestCase):
    def test_characters(self) -> None:
        """Line ends are CRLF, and there is no other control character but the tab."""
        for data in (b"", b"a\r\n", b"a\tb", b"a\r", b"\x80\xff"):
            self.assertIsNone(check_characters(data), data)
        for data in (b"a\nb", b"\n", b"a\rb", b"\r\r\n", b"\0", b"\x0b", b"\x7f"):
            self.assertIsNotNone(check_characters(data), data)
        self.assertIsNone(check_characters(b"\0a", 1))


class TrailerTests(SynchronousTestCase):
    def test_trailers(self) -> None:
        """Fields of a trailer section are as strict as a head's."""
        for section in (b"X: y\r\n", b"X:\r\nY: \t\x80\r\n"):
            self.assertIsNone(check_trailers(section), section)
        for section in (
            b"X\r\n",
            b"X : y\r\n",
            b" X: y\r\n",
            b"X: y\r\n z\r\n",
            b"X: y\n",
            b": y\r\n",
        ):
            error = check_trailers(section)
            self.assertEqual(error.status if error else 0, 400, section)
