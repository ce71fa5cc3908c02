"""The access log: lines that cannot be forged, in a file that may be rotated or full."""

from __future__ import annotations

import os
import re
import stat
from typing import Any
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import StartError
from imgd.host.access_log import AccessLog, combined
from tests.fakes import log_lines

LINE = re.compile(
    r'(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}(?::\d\d){3} [+-]\d{4})\] "([^"]*)" (\d{3}) (\d+|-) '
    r'"([^"]*)" "([^"]*)"'
)


def a_line(**fields: Any) -> str:
    usual: dict[str, Any] = {
        "peer": "127.0.0.1",
        "user": None,
        "when": 971_211_336.9,
        "request": b"GET /brain.nii.gz HTTP/1.1",
        "status": 200,
        "size": 2326,
        "referer": b"http://viewer.example/",
        "agent": b"curl/8.5.0",
    }
    return combined(**{**usual, **fields})


def parsed(line: str) -> re.Match[str]:
    match = LINE.fullmatch(line)
    assert match is not None, line
    return match


class CombinedTests(SynchronousTestCase):
    """The line."""

    def test_format(self) -> None:
        """The fields stand where Apache's combined format has them."""
        line = a_line()
        match = parsed(line)
        self.assertEqual(
            match.groups()[:2] + match.groups()[3:],
            (
                "127.0.0.1",
                "-",
                "GET /brain.nii.gz HTTP/1.1",
                "200",
                "2326",
                "http://viewer.example/",
                "curl/8.5.0",
            ),
        )
        self.assertRegex(match[3], r"1[01]/Oct/2000:\d\d:\d5:36 ")

    def test_missing(self) -> None:
        """What is missing or empty is a dash, as is a body of no bytes."""
        line = a_line(user="", request=None, size=0, referer=None, agent=b"")
        match = parsed(line)
        self.assertEqual((match[2], match[4], match[6], match[7], match[8]), ("-",) * 5)

    def test_forgery(self) -> None:
        """No field, text or bytes, ends itself, its line, or sends what a terminal obeys."""
        nasty = '" 200 1 "-" "\\"\r\n\x1b[2J\x00\x85\u202e\ud800'
        escaped = "\\x22 200 1 \\x22-\\x22 \\x22\\x5C\\x22\\x0D\\x0A\\x1B[2J\\x00\\xC2\\x85"
        for field, group in (("request", 4), ("referer", 7), ("agent", 8)):
            for value in (nasty, nasty.encode("utf-8", "surrogatepass")):
                line = a_line(**{field: value})
                self.assertTrue(line.isascii() and line.isprintable())
                self.assertIn(escaped, parsed(line)[group])

    def test_words(self) -> None:
        """A space in the peer or the user does not begin another field."""
        line = a_line(peer="::1 x", user=b"a b\n")
        match = parsed(line)
        self.assertEqual((match[1], match[2]), ("::1\\x20x", "a\\x20b\\x0A"))


class AccessLogTests(SynchronousTestCase):
    """The file."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "access.log")
        self.logged = log_lines(self)

    def open(self, path: str | None = None) -> AccessLog:
        log = AccessLog(path or self.path)
        self.addCleanup(log.close)
        return log

    def read(self, path: str | None = None) -> bytes:
        with open(path or self.path, "rb") as file:
            return file.read()

    def test_append(self) -> None:
        """Lines, text or bytes, are appended at once to what was there."""
        with open(self.path, "wb") as file:
            file.write(b"before\n")
        log = self.open()
        log.write("one")
        log.write(b"two")
        self.assertEqual(self.read(), b"before\none\ntwo\n")

    @skipUnless(os.name == "posix", "POSIX modes")
    def test_mode(self) -> None:
        """A new file can be read by its group, and not by others."""
        before = os.umask(0)
        try:
            self.open()
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)

    def test_cannot_open(self) -> None:
        """A file that cannot be opened is an error at start, and names the file."""
        with self.assertRaises(StartError) as caught:
            AccessLog(self.folder)
        self.assertIn(self.folder, caught.exception.detail)

    def test_rotation(self) -> None:
        """Lines go to the moved file until it is reopened, then to the new one; none is lost."""
        log = self.open()
        log.write("one")
        os.rename(self.path, self.path + ".1")
        log.write("two")
        log.reopen()
        log.write("three")
        self.assertEqual(self.read(self.path + ".1"), b"one\ntwo\n")
        self.assertEqual(self.read(), b"three\n")

    def test_folder_vanished(self) -> None:
        """If it cannot be reopened the old file goes on, and the log has one line."""
        log = self.open()
        moved = self.folder + ".moved"
        os.rename(self.folder, moved)
        log.reopen()
        log.write("one")
        self.assertEqual(self.read(os.path.join(moved, "access.log")), b"one\n")
        self.assertEqual(len(self.logged), 1)
        self.assertIn("cannot be reopened", self.logged[0])

    def test_closed(self) -> None:
        """After a close nothing is written, and nothing raises."""
        log = self.open()
        log.close()
        log.close()
        log.write("one")
        log.reopen()
        self.assertEqual(self.read(), b"")

    @skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_disk_full(self) -> None:
        """Lines that cannot be written are lost, the log has one line, and no caller an error."""
        log = self.open("/dev/full")
        for _ in range(3):
            log.write("one")
        self.assertEqual(len(self.logged), 1)
        self.assertIn("cannot be written", self.logged[0])

    @skipUnless(hasattr(os, "mkfifo"), "no FIFOs here")
    def test_recovery(self) -> None:
        """A full pipe never makes a writer wait; when it is read, lines come again, unmixed."""
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        log = self.open()
        long = b"x" * 9_999
        while not self.logged:
            log.write(long)
        self.assertIn("lines are lost", self.logged[0])
        got = b""
        while len(chunk := os.read(reader, 1 << 20)) > 0 and not got.endswith(b"last\n"):
            got += chunk
            log.write("last")
        got += chunk
        lines = got.split(b"\n")
        self.assertIn(b"last", lines)
        self.assertEqual({line for line in lines if len(line) == 9_999}, {long})
        self.assertEqual([line for line in lines if b"last" in line and line != b"last"], [])
        self.assertEqual(len(self.logged), 2)
        self.assertIn("is written again", self.logged[1])
