"""When to try again, and after how long."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.errors import Misbehaved, Refused, TimedOut, Unreachable, Untrusted
from imgd.client.retry import RetryPolicy, retry_after


class Policies(SynchronousTestCase):
    def test_backoff(self) -> None:
        """Pauses double up to a longest one, each between half and whole by chance."""
        policy = RetryPolicy(tries=9)
        error = Unreachable("")
        whole = [policy.pause(n, error, 1.0) for n in range(1, 9)]
        half = [policy.pause(n, error, 0.0) for n in range(1, 9)]
        self.assertEqual(whole, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0])
        self.assertEqual(half, [pause / 2 for pause in whole if pause])
        self.assertIsNone(policy.pause(9, error, 1.0))

    def test_what_is_fleeting(self) -> None:
        """Lost connections, 429, 502, 503 and 504 are tried again, and nothing else."""
        for status in (429, 502, 503, 504):
            self.assertIsNotNone(RetryPolicy().pause(1, Refused(status, ""), 1.0))
        finals = [Refused(status, "") for status in (400, 401, 403, 404, 405, 408, 413, 500, 501)]
        for error in (*finals, Untrusted(""), TimedOut(""), Misbehaved("")):
            self.assertIsNone(RetryPolicy().pause(1, error, 1.0), error)

    def test_asked_to_wait(self) -> None:
        """What a server asks for is added to the jitter; more than a minute is a failure."""
        self.assertEqual(RetryPolicy().pause(1, Refused(503, "", 3.0), 1.0), 3.25)
        self.assertEqual(RetryPolicy().pause(1, Refused(503, "", 0.0), 0.0), 0.125)
        self.assertEqual(RetryPolicy().pause(1, Refused(429, "", 60.0), 1.0), 60.25)
        self.assertIsNone(RetryPolicy().pause(1, Refused(429, "", 60.5), 1.0))


class RetryAfter(SynchronousTestCase):
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
            (None, 0.0, None),
        ):
            self.assertEqual(retry_after(value, now), wait, value)
