"""Zip archives as Python's zipfile reads them; real programs in ``tests.web.test_archives``."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.tar_format import Member
from imgd.core.zip_format import ZipFormat
from tests.core.test_tar_format import PROPERTY, members

OFFSETS = st.sampled_from([0, 1, 2**32 - 2, 2**32 - 1, 2**40])


@dataclass
class SparseFile(io.RawIOBase):
    """A file of many bytes, of which only those in ``parts`` are not zero."""

    parts: list[tuple[int, bytes]] = field(default_factory=list)
    length: int = 0
    position: int = 0

    def append(self, data: bytes) -> None:
        self.parts.append((self.length, data))
        self.length += len(data)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = (0, self.position, self.length)[whence] + offset
        return self.position

    def read(self, size: int = -1) -> bytes:
        start = self.position
        end = self.length if size < 0 else min(self.length, start + size)
        data = bytearray(max(0, end - start))
        for at, part in self.parts:
            low, high = max(at, start), min(at + len(part), end)
            if low < high:
                data[low - start : high - start] = part[low - at : high - at]
        self.position = max(start, end)
        return bytes(data)


def archive(contents: list[tuple[Member, bytes]]) -> SparseFile:
    """A zip archive; what a content lacks of its size is zeros, of which no checksum is right."""
    file, entries = SparseFile(), []
    for member, content in contents:
        offset, crc = file.length, zlib.crc32(content)
        file.append(ZipFormat.head(member))
        file.append(content)
        file.length += member.size - len(content)
        file.append(ZipFormat.tail(member, crc))
        entries.append(ZipFormat.directory_entry(member, crc, offset))
    start = file.length
    for entry in entries:
        file.append(entry)
    file.append(ZipFormat.end(len(contents), file.length - start, start))
    return file


class ZipFormatTests(SynchronousTestCase):
    @PROPERTY
    @given(members, OFFSETS)
    def test_sizes(self, member: Member, offset: int) -> None:
        """What is promised of each part is what it takes."""
        self.assertEqual(ZipFormat.head_size(member), len(ZipFormat.head(member)))
        self.assertEqual(ZipFormat.tail_size(member), len(ZipFormat.tail(member, 7)))
        entry = ZipFormat.directory_entry(member, 7, offset)
        self.assertEqual(ZipFormat.entry_size(member, offset), len(entry))

    def test_read_back(self) -> None:
        """Names, times and bytes come back; bytes that are not UTF-8 are percent-encoded."""
        contents = [
            (Member("top", True, 0, 1_700_000_001), b""),
            (Member("top/ü\n.png", False, 3, 1_700_000_003), b"png"),
            (Member("top/\udcff.dcm", False, 0, 0), b""),
            (Member("top/late", False, 1, 2**31), b"x"),
            (Member("top/later", False, 1, 2**60), b"x"),
        ]
        with zipfile.ZipFile(archive(contents)) as read:
            self.assertIsNone(read.testzip())
            infos = read.infolist()
            self.assertEqual(
                [info.filename for info in infos],
                ["top/", "top/ü\n.png", "top/%FF.dcm", "top/late", "top/later"],
            )
            self.assertEqual(read.read("top/ü\n.png"), b"png")
        self.assertEqual(infos[1].date_time, (2023, 11, 14, 22, 13, 22))
        self.assertEqual(infos[1].extra[-4:], (1_700_000_003).to_bytes(4, "little"))
        self.assertEqual(infos[2].date_time, (1980, 1, 1, 0, 0, 0))
        self.assertEqual((infos[3].date_time[0], infos[3].extra), (2038, b""))
        self.assertEqual(infos[4].date_time, (2107, 12, 31, 23, 59, 58))

    def test_zip64(self) -> None:
        """A file of 5 GB, and what comes after it, are found by 64-bit sizes and offsets."""
        large = 5 * 10**9
        contents = [
            (Member("large", False, large, 0), b"begin"),
            (Member("after", False, 3, 0), b"end"),
        ]
        with zipfile.ZipFile(archive(contents)) as read:
            self.assertEqual(read.getinfo("large").file_size, large)
            self.assertGreater(read.getinfo("after").header_offset, large)
            self.assertEqual(read.read("after"), b"end")
            with read.open("large") as file:
                self.assertEqual(file.read(6), b"begin\0")

    def test_many(self) -> None:
        """More than 65,535 members are counted in 64 bits."""
        contents = [(Member(str(number), False, 0, 0), b"") for number in range(65_536)]
        file = archive(contents)
        data = b"".join(part for _, part in file.parts)
        with zipfile.ZipFile(io.BytesIO(data)) as read:
            self.assertEqual(len(read.infolist()), 65_536)
