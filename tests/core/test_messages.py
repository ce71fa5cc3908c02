"""The JSON of daemon and client, and the checks of its values."""

from __future__ import annotations

import json
import time

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import json_body, messages
from imgd.errors import BadRequest


class ValidTests(SynchronousTestCase):
    """Names and minutes."""

    def test_names(self) -> None:
        """1 to 64 plain characters without a dot first are a name."""
        for name in ("a", "A.b_c-9", "-", "_", "0", "a" * 64, "a..b"):
            self.assertEqual(messages.valid_name(name), name)
        for name in ("", ".", "..", ".a", "a" * 65, "a/b", "a b", "a\n", "é", "a%20", "a\0"):
            self.assertRaises(BadRequest, messages.valid_name, name)

    def test_minutes(self) -> None:
        """Minutes are from 0 to ten years; the error names the field."""
        for minutes in (0, 1, messages.MAX_MINUTES):
            self.assertEqual(messages.valid_minutes(minutes), minutes)
        for minutes in (-1, messages.MAX_MINUTES + 1, 10**30):
            error = self.assertRaises(BadRequest, messages.valid_minutes, minutes, "minutes")
            self.assertTrue(error.detail.startswith("minutes must"), error.detail)


class BaseUrlTests(SynchronousTestCase):
    """The base of all URLs."""

    def test_bases(self) -> None:
        """An http or https URL with a host is kept, without its last slash."""
        for url, expected in (
            ("https://example.org", "https://example.org"),
            (" http://example.org:8080/imgd/ ", "http://example.org:8080/imgd"),
            ("https://[::1]:8888/", "https://[::1]:8888"),
            ("HTTPS://Example.org/a@b", "HTTPS://Example.org/a@b"),
        ):
            self.assertEqual(messages.valid_base_url(url), expected)

    def test_no_bases(self) -> None:
        """A URL after which no path can be written, or with a secret, is refused by its field."""
        for url in (
            *("", "example.org", "ftp://example.org", "//example.org", "https://", "https:///a"),
            *("https://example.org?", "https://example.org/?a=b", "https://example.org/#"),
            *(
                "https://user:pass@example.org",
                "https://exa\nmple.org",
                "https://example.org/\ta",
                "https://exa mple.org",
                "https://bücher.example",
                "https://example.org:0",
            ),
            *("https://example.org:99999", "https://example.org:x", "https://[::1", "javascript:x"),
        ):
            error = self.assertRaises(BadRequest, messages.valid_base_url, url, "Key")
            self.assertTrue(error.detail.startswith("Key must be"), url)


class EncodeTests(SynchronousTestCase):
    """Messages as JSON."""

    def test_health(self) -> None:
        """A message becomes the JSON object of its fields, those with defaults too."""
        health = messages.Health(version="1", uptime_seconds=0.5)
        self.assertEqual(
            json.loads(messages.encode(health)),
            {
                "status": "healthy",
                "service": "image-server",
                "version": "1",
                "uptime_seconds": 0.5,
            },
        )

    def test_round_trip(self) -> None:
        """A message is decoded as it was encoded: nulls, nesting and characters of every kind."""
        collection = messages.CollectionInfo(
            name="a",
            directory="/é\n\"'<>\u202e",
            recursive=True,
            image_count=2,
            loaded_at=messages.utc(0),
            expires_at=None,
            url="https://localhost/images/",
            current=False,
        )
        collections = messages.CollectionList(collections=[collection])
        self.assertEqual(
            json_body.decode(messages.encode(collections), messages.CollectionList), collections
        )

    def test_every_message_takes_names_only(self) -> None:
        """No message can be built by position, so that no two fields are swapped unseen."""
        kinds = [k for k in vars(messages).values() if isinstance(k, type)]
        for kind in kinds:
            if issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct:
                self.assertRaises(TypeError, kind, "by position")


class TimeTests(SynchronousTestCase):
    """Dates and spans as they are written."""

    def test_utc(self) -> None:
        """RFC 3339, in UTC, cut to the second."""
        self.assertEqual(messages.utc(0), "1970-01-01T00:00:00Z")
        self.assertEqual(messages.utc(784_111_777.9), "1994-11-06T08:49:37Z")

    def test_utc_beyond_calendars(self) -> None:
        """A time that no date can say is the first or the last second that one can."""
        for seconds in (-(10**30), -62_135_596_801, float("-inf")):
            self.assertEqual(messages.utc(seconds), "0001-01-01T00:00:00Z")
        for seconds in (10**30, 253_402_300_800, float("inf")):
            self.assertEqual(messages.utc(seconds), "9999-12-31T23:59:59Z")

    def test_local(self) -> None:
        """A date is in the machine's own time zone."""
        expected = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(784_111_777))
        self.assertEqual(messages.local(784_111_777), expected)

    def test_the_longest_timer_can_be_written(self) -> None:
        """A date that lies ten years ahead of a far future is still a date."""
        self.assertEqual(messages.utc(4_000_000_000 + messages.MAX_MINUTES * 60)[:3], "210")

    def test_remaining(self) -> None:
        """Minutes and seconds, rounded down, and never negative."""
        for seconds, expected in (
            (1_799.99, "29m 59s"),
            (0, "0m 0s"),
            (-5, "0m 0s"),
            (59.9, "0m 59s"),
            (60, "1m 0s"),
            (360_000, "6000m 0s"),
        ):
            self.assertEqual(messages.remaining(seconds), expected)
