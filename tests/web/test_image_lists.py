"""Lists of images: pages and streams."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.core import listing
from imgd.core.listing import Entry
from imgd.errors import ImgdError, NotFound, Unavailable
from imgd.web.folder_listings import MAX_WAITING_PER_FOLDER
from imgd.web.image_lists import MAX_STREAMS_PER_CLIENT, image_message
from tests.collections.manager_case import LONG_AGO
from tests.fakes import write
from tests.web.list_case import ListCase

IMAGES = "/collections/current/images"
STREAM = f"{IMAGES}?format=ndjson"


class BoundTests(ListCase):
    def test_bounds(self) -> None:
        """Pages are bounded together with the listings of folders, and streams by themselves."""
        self.memory_site.load(self.big)
        self.memory_site.blocking.held = True
        for _ in range(MAX_WAITING_PER_FOLDER):
            self.assertFalse(self.is_refused(IMAGES))
        self.assertTrue(self.is_refused(IMAGES))
        for _ in range(MAX_STREAMS_PER_CLIENT):
            self.assertFalse(self.is_refused(STREAM))
        self.assertTrue(self.is_refused(STREAM))


class FailureTests(ListCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(listing.PAGE_SIZE):
            write(os.path.join(self.big, f"{number}.png"))
        os.utime(self.big, LONG_AGO)
        self.memory_site.load(self.big)
        self.memory_site.blocking.held = True

    def test_first_page(self) -> None:
        """A stream whose first page fails is answered with the error; the connection stays open."""
        errors: tuple[ImgdError, ...] = (Unavailable("The disk failed."), NotFound("It is gone."))
        for error in errors:
            transport = self.begin(STREAM)
            self.memory_site.blocking.step()
            self.memory_site.blocking.fail(error)
            answer = self.answer(transport)
            self.assertEqual((answer.status, answer.json), (error.status, {"detail": error.detail}))
            self.assertEqual(answer.headers["content-type"], "application/json")
            self.assertEqual(self.flushLoggedErrors(), [])
            transport.clear()
            transport.protocol.dataReceived(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(self.answer(transport).status, 200)

    def test_later_page(self) -> None:
        """After its first bytes a stream that fails ends short of its last chunk, and the
        connection with it.
        """
        transport = self.begin(STREAM)
        self.memory_site.blocking.step()
        self.memory_site.blocking.step()
        self.memory_site.blocking.fail(Unavailable("The disk failed."))
        self.assertTrue(transport.aborted)
        self.assertEqual(transport.value().count(b'{"name"'), listing.PAGE_SIZE)
        self.assertFalse(transport.value().endswith(b"0\r\n\r\n"))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_unexpected(self) -> None:
        """An unexpected error is answered 500, with one line in the log."""
        transport = self.begin(STREAM)
        self.memory_site.blocking.step()
        self.memory_site.blocking.fail(ZeroDivisionError())
        self.assertEqual(self.answer(transport).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.flushLoggedErrors(), [])


class TimeTests(SynchronousTestCase):
    def test_clamped(self) -> None:
        """A file system may keep times that no date can say: they are the first or the last second
        that one can.
        """
        for seconds, modified in (
            (10**12, "9999-12-31T23:59:59Z"),
            (-(10**12), "0001-01-01T00:00:00Z"),
        ):
            entry = Entry("a.png", False, 4, seconds * 10**9)
            self.assertEqual(image_message("a.png", "", entry).modified, modified)
