"""Long answers of DICOM JSON: no more of the store in memory than a piece, nor cut unseen."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.index_file import StoreLost
from imgd.errors import Unavailable
from imgd.web.dicom.json_answers import MAX_FRAMES, pieces
from imgd.web.dicom.parts import MAX_ANSWERS_PER_CLIENT, TOO_MANY
from tests.dicom.instances import indexed
from tests.dicom_files import ct_slice, save
from tests.fakes import Transport, parse_answer
from tests.web.dicom.dicomweb_case import BASE, DicomwebCase

PATH = f"{BASE}/studies/1.6/metadata"
UIDS = [f"1.6.{n}.1" for n in (1, 2, 3)]


class PiecesTests(SynchronousTestCase):
    def test_pieces(self) -> None:
        """A piece has so many frames at most, or one instance that has more."""
        for frames, expected in (
            ([], []),
            ([1], [1]),
            ([0] * MAX_FRAMES, [MAX_FRAMES]),
            ([1] * (MAX_FRAMES + 1), [MAX_FRAMES, 1]),
            ([MAX_FRAMES * 2, 1, 1], [1, 2]),
            ([1, MAX_FRAMES, 1], [1, 1, 1]),
            ([MAX_FRAMES // 2] * 5, [2, 2, 1]),
        ):
            instances = [indexed("1", "1", str(n), frames=f) for n, f in enumerate(frames)]
            cuts = [instances[cut] for cut in pieces(instances)]
            self.assertEqual([len(cut) for cut in cuts], expected)
            self.assertEqual([i for cut in cuts for i in cut], instances)


class WritingTests(DicomwebCase):
    def setUp(self) -> None:
        """A study of three pieces is known already."""
        super().setUp()
        for number in (1, 2, 3):
            pixels = b"ab" * MAX_FRAMES
            more = {"NumberOfFrames": MAX_FRAMES, "PixelData": pixels, "SeriesNumber": number}
            file = ct_slice(study="1.6", series=f"1.6.{number}", rows=1, columns=1, more=more)
            save(file, f"{self.folder}/frames/IM{number}")
        self.load()
        self.assertEqual(len(self.memory_site.ask(PATH).json), 3)

    def begin_answer(self, path: str = PATH) -> Transport:
        """Ask, until the first piece is written; the client reads no more for now."""
        self.blocking = self.memory_site.blocking
        self.blocking.held = True
        transport = self.memory_site.connect()
        transport.protocol.dataReceived(
            f"GET {path} HTTP/1.1\r\nHost: localhost:8888\r\n\r\n".encode()
        )
        while not transport.value():
            self.blocking.step()
        transport.protocol.pauseProducing()
        return transport

    def test_slow_reader(self) -> None:
        """While the client does not read, nothing more is read from the store."""
        transport = self.begin_answer()
        self.assertIn(UIDS[0].encode(), transport.value())
        self.blocking.step()
        self.assertIn(UIDS[1].encode(), transport.value())
        self.assertEqual(self.blocking.waiting, 0)
        self.blocking.held = False
        transport.protocol.resumeProducing()
        answer = parse_answer(transport.value())
        self.assertEqual([i["00080018"]["Value"][0] for i in answer.json], UIDS)

    def test_gone_reader(self) -> None:
        """A client that goes ends the work for it."""
        transport = self.begin_answer()
        transport.lose()
        self.blocking.release()
        self.assertEqual(self.blocking.waiting, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_too_many(self) -> None:
        """A client has so many long answers at once; the next is told to come again."""
        transports = [self.begin_answer() for _ in range(MAX_ANSWERS_PER_CLIENT)]
        for path in (PATH, f"{BASE}/studies"):
            answer = parse_answer(self.begin_answer(path).value())
            self.assertEqual((answer.status, answer.json["detail"]), (503, TOO_MANY))
            self.assertIn("retry-after", answer.headers)
        self.blocking.held = False
        self.blocking.release()
        for transport in transports:
            transport.protocol.resumeProducing()
            self.assertEqual(len(parse_answer(transport.value()).json), 3)
        self.assertEqual(self.memory_site.ask(PATH).status, 200)

    def test_error(self) -> None:
        """What fails after the beginning cuts the connection: nobody takes a part for all."""
        transport = self.begin_answer()
        self.blocking.fail(Unavailable("The disk does not answer."))
        self.assertTrue(transport.aborted)
        self.assertFalse(transport.value().endswith(b"0\r\n\r\n"))

    def test_lost_store(self) -> None:
        """If the store is lost on the way, the answer is cut; the next has everything again."""
        transport = self.begin_answer()
        self.blocking.fail(StoreLost())
        self.assertTrue(transport.aborted)
        self.blocking.held = False
        self.blocking.release()
        answer = self.memory_site.ask(PATH)
        self.assertEqual([i["00080018"]["Value"][0] for i in answer.json], UIDS)
