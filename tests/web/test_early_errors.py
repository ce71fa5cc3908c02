"""Answers to bytes that never become a request."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.http_rules import HeadError
from imgd.web import early_errors
from tests.fakes import parse_answer


class EarlyErrorTests(SynchronousTestCase):
    def test_answer(self) -> None:
        """The answer is whole: the sentence as JSON, the headers, the end of the connection."""
        raw = early_errors.answer(HeadError(400, "Not a request."), [(b"X-A", b"1")])
        answer = parse_answer(raw)
        self.assertEqual((answer.status, answer.json), (400, {"detail": "Not a request."}))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["x-a"], "1")
        self.assertIn("date", answer.headers)

    def test_phrases(self) -> None:
        """The status line has the names of RFC 9110, on every version of Python."""
        for status, phrase in (
            (408, b"Request Timeout"),
            (413, b"Content Too Large"),
            (414, b"URI Too Long"),
            (421, b"Misdirected Request"),
            (431, b"Request Header Fields Too Large"),
        ):
            line = early_errors.answer(HeadError(status, ""), ()).partition(b"\r\n")[0]
            self.assertEqual(line, b"HTTP/1.1 %d %b" % (status, phrase))
