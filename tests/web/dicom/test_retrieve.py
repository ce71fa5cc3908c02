"""WADO-RS: files and frames as they are on the disk."""

from __future__ import annotations

import email
import email.policy
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from imgd.web.dicom.retrieve import MANY
from tests.dicom.site_case import DicomCase
from tests.dicom_files import SERIES, STUDY, ct_slice, save, write_series
from tests.fakes import Answer

BASE = f"/collections/scans/dicomweb/studies/{STUDY}"
OF_SERIES = f"{BASE}/series/{SERIES}"
OF_OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"


def parts(answer: Answer) -> list[tuple[str, bytes]]:
    """The parts of a multipart answer as Python's own parser of mail has them."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.compat32)
    assert not message.defects, message.defects
    leaves: list[Any] = [part for part in message.walk() if not part.is_multipart()]
    return [(part["Content-Type"], part.get_payload(decode=True)) for part in leaves]


def split(answer: Answer) -> list[tuple[str, bytes]]:
    """The parts by the grammar of RFC 2046 alone: Content-Type and bytes."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    start, *found, end = (b"\r\n" + answer.body).split(b"\r\n--" + boundary)
    assert (start, end) == (b"", b"--\r\n"), (start, end)
    heads = [part.partition(b"\r\n\r\n") for part in found]
    return [(head.decode().strip().partition(": ")[2], body) for head, _, body in heads]


class RetrieveCase(DicomCase):
    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.memory_site.ask(path, method, named)

    def check_refused(self, path: str, status: int, *words: str, **headers: str) -> None:
        answer = self.ask(path, **headers)
        self.assertEqual(answer.status, status, answer.body)
        for word in words:
            self.assertIn(word, answer.json["detail"])


class InstanceTests(RetrieveCase):
    def setUp(self) -> None:
        super().setUp()
        self.paths = write_series(self.folder, 3)
        self.load()

    def contents(self) -> list[bytes]:
        found = []
        for path in self.paths:
            with open(path, "rb") as file:
                found.append(file.read())
        return found

    def test_series_and_study(self) -> None:
        """All files in the order of the series, each with its transfer syntax."""
        for path in (BASE, OF_SERIES, f"{OF_SERIES}/"):
            answer = self.ask(path)
            kind = answer.headers["content-type"]
            self.assertTrue(
                kind.startswith('multipart/related; type="application/dicom"; boundary=')
            )
            self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
            expected = f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
            self.assertEqual(split(answer), [(expected, file) for file in self.contents()])
            self.assertEqual(parts(answer), split(answer))
            self.assertIn("Accept", answer.headers["vary"])

    def test_instance(self) -> None:
        """One instance is one part, or the file itself if that is what the client asks for."""
        path = f"{OF_SERIES}/instances/{SERIES}.2"
        file = self.contents()[1]
        for accepted in (None, "*/*", 'multipart/related; type="application/dicom"'):
            answer = self.ask(path, **({"Accept": accepted} if accepted else {}))
            self.assertEqual([body for _, body in split(answer)], [file])
        for accepted in ("application/dicom", "application/dicom; transfer-syntax=*"):
            answer = self.ask(path, Accept=accepted)
            self.assertEqual(answer.body, file)
            self.assertEqual(
                answer.headers["content-type"],
                f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}",
            )

    def test_query(self) -> None:
        """``accept`` in the query counts for more than the header."""
        path = f"{OF_SERIES}/instances/{SERIES}.2"
        for query in ("accept=application/dicom", "a=1&accept=application%2Fdicom"):
            answer = self.ask(f"{path}?{query}", Accept="text/html")
            self.assertEqual(answer.body, self.contents()[1])
        query = f'accept=multipart/related;type="application/dicom";transfer-syntax={"*"}'
        self.assertEqual(len(split(self.ask(f"{path}?{query.replace(chr(34), '%22')}"))), 1)

    def test_not_acceptable(self) -> None:
        """What is not there is refused by a sentence that says what is: nothing is converted."""
        path = f"{OF_SERIES}/instances/{SERIES}.2"
        self.check_refused(
            *(path, 406, "Nothing is converted", "application/dicom", ExplicitVRLittleEndian),
            Accept=f"application/dicom; transfer-syntax={JPEG2000Lossless}",
        )
        self.check_refused(path, 406, "Nothing is converted", Accept="application/dicom+xml")
        self.check_refused(BASE, 406, Accept="application/dicom")

    def test_syntaxes(self) -> None:
        """A series in two syntaxes is each as it is; no one syntax can be had of all."""
        save(ct_slice(number=7), os.path.join(self.folder, "7"), ImplicitVRLittleEndian)
        self.wait()
        syntaxes = [kind.partition("=")[2] for kind, _ in split(self.ask(OF_SERIES))]
        self.assertEqual(syntaxes, [ExplicitVRLittleEndian] * 3 + [ImplicitVRLittleEndian])
        named = f'multipart/related; type="application/dicom"; transfer-syntax={syntaxes[0]}'
        self.check_refused(OF_SERIES, 406, Accept=named)

    def test_hostile_syntax(self) -> None:
        """A transfer syntax that is no UID is in no header, neither of the answer nor of a part."""
        for text in (b"1.2.840.1000\r\nX: yyyy", b"1.2.840.1000\xe9\xff", b'1.2";a="xxxxx'):
            with open(self.paths[0], "rb") as file:
                data = file.read()
            stored = data.index(b"\x02\0\x10\0UI") + 8
            with open(os.path.join(self.folder, "hostile"), "wb") as file:
                file.write(data[:stored] + text[:20].ljust(20, b"\0") + data[stored + 20 :])
            os.remove(self.paths[0])
            os.rename(os.path.join(self.folder, "hostile"), self.paths[0])
            self.wait()
            answer = self.ask(f"{OF_SERIES}/instances/{SERIES}.1")
            [(kind, _)] = split(answer)
            self.assertEqual((kind, answer.headers.get("x")), ("application/dicom", None))
            self.check_refused(f"{OF_SERIES}/instances/{SERIES}.1/frames/1", 406, "not known")

    def test_unknown(self) -> None:
        """What is not there is a 404 that says what was looked for."""
        self.check_refused(f"{BASE}.9", 404, "study")
        self.check_refused(f"{OF_SERIES}.9", 404, "series")
        self.check_refused(f"{OF_SERIES}/instances/{SERIES}.9", 404, "instance")
        self.check_refused(f"{BASE}.9/series/{SERIES}/instances/{SERIES}.1", 404, "instance")

    def test_validators(self) -> None:
        """An ETag, 304 and HEAD; another ETag for another representation and other files."""
        path = f"{OF_SERIES}/instances/{SERIES}.1"
        tags = set()
        for asked in (OF_SERIES, BASE, path):
            answer = self.ask(asked)
            tags.add(answer.headers["etag"])
            again = self.ask(asked, If_None_Match=answer.headers["etag"])
            self.assertEqual((again.status, again.body), (304, b""))
            self.assertIn("Accept", again.headers["vary"])
            head = self.ask(asked, "HEAD")
            self.assertEqual(head.headers["content-length"], str(len(answer.body)))
            part = self.ask(asked, Range="bytes=10-99")
            self.assertEqual((part.status, part.body), (206, answer.body[10:100]))
        tags.add(self.ask(path, Accept="application/dicom").headers["etag"])
        os.utime(self.paths[0], ns=(1, 1))
        self.wait()
        tags.add(self.ask(path).headers["etag"])
        self.assertEqual(len(tags), 5)

    def test_changed(self) -> None:
        """A file that is not the one that was indexed is a 503, and found again after it."""
        path = f"{OF_SERIES}/instances/{SERIES}.1"
        os.utime(self.folder, ns=(1, 1))  # it rests: its files alone change
        before = self.ask(path)
        save(ct_slice(number=1, rows=9), self.paths[0])
        answer = self.ask(path)
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        after = self.ask(path)
        self.assertEqual([body for _, body in split(after)], self.contents()[:1])
        self.assertNotEqual(after.headers["etag"], before.headers["etag"])
        os.remove(self.paths[0])
        self.assertEqual(self.ask(path).status, 503)
        self.assertEqual(self.ask(path).status, 404)

    def test_many(self) -> None:
        """A long series is answered as a short one."""
        paths = write_series(self.folder, MANY + 5, name="many/{:04}", series=f"{SERIES}.7")
        self.wait()
        answer = self.ask(f"{BASE}/series/{SERIES}.7")
        bodies = [body for _, body in split(answer)]
        self.assertEqual(len(bodies), len(paths))
        self.assertEqual(bodies[-1], self.read(paths[-1]))

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()


class FrameTests(RetrieveCase):
    def add(self, name: str) -> Any:
        """Put one of pydicom's own files into the folder; returns it as pydicom reads it."""
        path = str(get_testdata_file(name, download=False))
        dataset = dcmread(path, force=True)
        with open(path, "rb") as file, open(os.path.join(self.folder, name), "wb") as copy:
            copy.write(file.read())
        return dataset

    def path(self, dataset: Any, frames: str) -> str:
        return (
            f"/collections/scans/dicomweb/studies/{dataset.StudyInstanceUID}/series/"
            f"{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}/frames/{frames}"
        )

    def write(self, syntax: str = ExplicitVRLittleEndian, **more: Any) -> Any:
        dataset = ct_slice(more=more)
        save(dataset, os.path.join(self.folder, f"{len(os.listdir(self.folder))}"), syntax)
        return dataset

    def test_native(self) -> None:
        """A frame is the bytes of its values, little endian, whatever way the client asks."""
        dataset = self.write()
        self.load()
        path = self.path(dataset, "1")
        kind = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
        asked: list[Mapping[str, str]] = [
            {},
            {"Accept": "*/*"},
            {"Accept": OF_OHIF},
            {"Accept": 'Multipart/Related; TYPE="application/octet-stream"'},
            {"Accept": f"{OF_OHIF.replace('*', ExplicitVRLittleEndian)}, */*;q=0.1"},
            {"Accept": "text/html, */*; q=0.1"},
        ]
        for headers in asked:
            answer = self.ask(path, **headers)
            self.assertEqual(split(answer), [(kind, dataset.PixelData)], headers)
            self.assertTrue(
                answer.headers["content-type"].startswith(
                    'multipart/related; type="application/octet-stream"; boundary='
                )
            )
        single = self.ask(path, Accept="application/octet-stream")
        self.assertEqual((single.headers["content-type"], single.body), (kind, dataset.PixelData))
        self.check_refused(path, 406, "octet-stream", Accept="multipart/related; type=image/jp2")

    def test_implicit(self) -> None:
        """Pixels of a file with implicit VR are the same bytes as those of explicit VR."""
        dataset = self.write(ImplicitVRLittleEndian)
        self.load()
        [(kind, body)] = split(self.ask(self.path(dataset, "1")))
        self.assertEqual(body, dataset.PixelData)
        self.assertIn(f"transfer-syntax={ExplicitVRLittleEndian}", kind)

    def test_several(self) -> None:
        """Frames come in the order asked, one part each; one that is not there is a 404."""
        values = np.arange(4 * 8 * 6, dtype="<i2").reshape(4, 48)
        dataset = self.write(NumberOfFrames=4, PixelData=values.tobytes())
        self.load()
        bodies = [body for _, body in split(self.ask(self.path(dataset, "3,1,4")))]
        self.assertEqual(bodies, [values[n].tobytes() for n in (2, 0, 3)])
        self.check_refused(self.path(dataset, "5"), 404, "no frame 5", "4 frames")
        self.check_refused(self.path(dataset, "1,9"), 404, "no frame 9")
        self.check_refused(self.path(dataset, "1,2"), 406, Accept="application/octet-stream")

    def test_odd(self) -> None:
        """A byte that makes the length even is no pixel."""
        more: dict[str, Any] = {
            "Rows": 3,
            "Columns": 5,
            "BitsAllocated": 8,
            "BitsStored": 8,
            "HighBit": 7,
        }
        dataset = self.write(**more, PixelData=bytes(range(15)) + b"\0")
        self.load()
        [(_, body)] = split(self.ask(self.path(dataset, "1")))
        self.assertEqual(body, bytes(range(15)))

    def test_compressed(self) -> None:
        """A compressed frame is what its fragments hold, as the media type that it is."""
        cases = {
            "JPEG2000.dcm": "image/jp2",
            "JPEG-lossy.dcm": "image/jpeg",
            "SC_rgb_jpeg_gdcm.dcm": "image/jpeg",
            "MR_small_jpeg_ls_lossless.dcm": "image/jls",
            "SC_rgb_rle_16bit_2frame.dcm": "image/dicom-rle",
            "rtdose_rle.dcm": "image/dicom-rle",
            "examples_ybr_color.dcm": "image/jpeg",
        }
        for name, media_type in cases.items():
            for other in os.listdir(self.folder):  # some have the same UIDs
                os.remove(os.path.join(self.folder, other))
            dataset = self.add(name)
            self.load()
            count = int(getattr(dataset, "NumberOfFrames", 1))
            frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
            syntax = dataset.file_meta.TransferSyntaxUID
            asked = {
                "": media_type,
                "*/*": media_type,
                OF_OHIF: "application/octet-stream",
                f'multipart/related; type="{media_type}"': media_type,
                f'multipart/related; type="image/*"; transfer-syntax={syntax}': media_type,
            }
            for accepted, expected in asked.items():
                for number in sorted({1, count}):
                    headers = {"Accept": accepted} if accepted else {}
                    answer = self.ask(self.path(dataset, str(number)), **headers)
                    self.assertEqual(answer.status, 200, (name, accepted, answer.body[:300]))
                    found = [(f"{expected}; transfer-syntax={syntax}", frames[number - 1])]
                    self.assertEqual(split(answer), found, (name, accepted))
            single = self.ask(self.path(dataset, "1"), Accept=media_type)
            self.assertEqual(single.body, frames[0])
            self.check_refused(
                *(self.path(dataset, "1"), 406, media_type, syntax),
                Accept=f"{OF_OHIF.replace('*', ExplicitVRLittleEndian)}",
            )

    def test_fragments(self) -> None:
        """A frame in several fragments is their bytes, joined."""
        frames = [os.urandom(1000), os.urandom(600)]
        data = encapsulate(frames, fragments_per_frame=3)
        dataset = ct_slice(more={"NumberOfFrames": 2, "PixelData": data})
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        save(dataset, os.path.join(self.folder, "a"), JPEG2000Lossless)
        self.load()
        bodies = [body for _, body in split(self.ask(self.path(dataset, "1,2")))]
        for body, frame in zip(bodies, frames, strict=True):
            self.assertEqual(body, next(generate_frames(encapsulate([frame], 3))))

    def test_big_endian(self) -> None:
        """Pixels of 8 bits that are not in words are given as they are; others are refused."""
        eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": bytes(range(48))}
        for number, (more, vr, status) in enumerate(
            (({}, "OW", 406), (eight, "OW", 406), (eight, "OB", 200)), 1
        ):
            dataset = ct_slice(number=number, more=more)
            dataset["PixelData"].VR = vr
            save(dataset, os.path.join(self.folder, str(number)), ExplicitVRBigEndian)
            self.load()
            answer = self.ask(self.path(dataset, "1"))
            self.assertEqual(answer.status, status, answer.body)
            if status == 200:
                [(kind, body)] = split(answer)
                self.assertEqual(body, dataset.PixelData)
                self.assertIn(ExplicitVRLittleEndian, kind)
            else:
                self.assertIn("big endian", answer.json["detail"])

    def test_deflated(self) -> None:
        """In a deflated file lies no frame: a sentence says what can be had."""
        dataset = self.write(DeflatedExplicitVRLittleEndian)
        self.load()
        self.check_refused(self.path(dataset, "1"), 406, "deflated", "rendered")

    def test_bits(self) -> None:
        """Frames of single bits are given where they begin at whole bytes."""
        bits: dict[str, Any] = {
            "BitsAllocated": 1,
            "BitsStored": 1,
            "HighBit": 0,
            "PixelRepresentation": 0,
        }
        whole = self.write(**bits, NumberOfFrames=2, PixelData=bytes(range(12)))
        self.load()
        bodies = [body for _, body in split(self.ask(self.path(whole, "1,2")))]
        self.assertEqual(bodies, [bytes(range(6)), bytes(range(6, 12))])
        more = {**bits, "Rows": 5, "Columns": 5, "NumberOfFrames": 2, "PixelData": bytes(8)}
        save(ct_slice(number=2, more=more), os.path.join(self.folder, "odd"))
        self.wait()
        odd = ct_slice(number=2)
        self.check_refused(self.path(odd, "2"), 406, "whole bytes", "rendered")

    def test_no_pixels(self) -> None:
        """An instance without pixels has no frames."""
        dataset = self.write(PixelData=None)
        self.load()
        self.check_refused(self.path(dataset, "1"), 404, "no frames")

    def test_cut_short(self) -> None:
        """A file whose pixels are cut short gives no frame."""
        dataset = self.write(PixelData=bytes(20))
        self.load()
        self.check_refused(self.path(dataset, "1"), 406, "cut short")

    def test_changed(self) -> None:
        """A file that was replaced gives no frame of the one that was indexed."""
        dataset = self.write()
        os.utime(self.folder, ns=(1, 1))  # it rests: its file alone changes
        self.load()
        path = self.path(dataset, "1")
        tag = self.ask(path).headers["etag"]
        self.assertEqual(self.ask(path, If_None_Match=tag).status, 304)
        other = ct_slice(more={"PixelData": os.urandom(96)})
        save(other, os.path.join(self.folder, "0"))
        self.assertEqual(self.ask(path).status, 503)
        [(_, body)] = split(self.ask(path, If_None_Match=tag))
        self.assertEqual(body, other.PixelData)

    def test_preflight(self) -> None:
        """A page of another origin may send the Accept that viewers send, and read the answer."""
        dataset = self.write()
        self.load()
        origin = {"Origin": "https://viewer.example"}
        asked = {**origin, "Access-Control-Request-Headers": "accept"}
        answer = self.memory_site.ask(self.path(dataset, "1"), "OPTIONS", asked)
        self.assertEqual(answer.status, 204)
        self.assertIn("Accept", answer.headers["access-control-allow-headers"])
        answer = self.memory_site.ask(self.path(dataset, "1"), "GET", origin)
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_hostile(self) -> None:
        """Whatever Accept and query hold, the answer is one, and no error of imgd's."""
        dataset = self.write()
        self.load()
        path = self.path(dataset, "1")
        for accepted in ('"\\"' * 20_000, ";" * 60_000, 'a/b;type="' + "x" * 60_000, ",/," * 9000):
            self.assertIn(self.ask(path, Accept=accepted).status, (200, 406, 431))
        for query in ("accept", "accept=", "accept=%00%ff", "accept=a/b;q=", "accept=%22"):
            self.assertIn(self.ask(f"{path}?{query}").status, (200, 400, 406), query)
        for frames in ("0", "-1", "1,,2", "99999999", "1,", "a", "1%2C1", "1,1"):
            self.assertIn(self.ask(path[:-1] + frames).status, (200, 404), frames)
