"""Tar archives as Python's tarfile reads them; real programs in ``tests.web.test_archives``."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.tar_format import Member, TarFormat, full_head

PROPERTY = settings(deadline=None, database=None, max_examples=200)
names = st.one_of(
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1),
    st.binary(min_size=1, max_size=300).map(
        lambda raw: raw.replace(b"\0", b"_").replace(b"/", b"_").decode("utf-8", "surrogateescape")
    ),
)
members = st.builds(
    lambda name, is_folder, size, mtime: Member(name, is_folder, 0 if is_folder else size, mtime),
    names,
    st.booleans(),
    st.one_of(st.integers(0, 2**35), st.sampled_from([8**11 - 1, 8**11])),
    st.one_of(st.integers(-(2**40), 2**40), st.just(0)),
)


class TarFormatTests(SynchronousTestCase):
    @PROPERTY
    @given(members)
    def test_sizes(self, member: Member) -> None:
        """What is promised of a head, and of a tail, is what it takes."""
        self.assertEqual(TarFormat.head_size(member), len(TarFormat.head(member)))
        self.assertEqual(TarFormat.tail_size(member), len(TarFormat.tail(member, 7)))
        self.assertEqual((member.size + TarFormat.tail_size(member)) % 512, 0)
        self.assertEqual(TarFormat.entry_size(member, 5), 0)
        self.assertEqual(TarFormat.directory_entry(member, 1, 5), b"")

    @PROPERTY
    @given(members, st.text(st.characters(codec="ascii", exclude_characters="\0/"), min_size=1))
    def test_same_as_tarfile(self, member: Member, plain: str) -> None:
        """Heads are those of Python's tarfile, bit by bit."""
        for one in (member, member._replace(name=plain), Member(plain, False, 7, 1_700_000_000)):
            self.assertEqual(TarFormat.head(one), full_head(one))

    @PROPERTY
    @given(members)
    def test_read_back(self, member: Member) -> None:
        """Names of any bytes, sizes and times come back as they were."""
        head = TarFormat.head(member)
        archive = head + TarFormat.end(1, 0, len(head))
        with tarfile.open(fileobj=io.BytesIO(archive), errorlevel=2) as tar:
            read = tar.next()
        assert read is not None
        self.assertEqual(read.name, member.name.rstrip("/"))
        self.assertEqual((read.size, read.mtime), (member.size, member.mtime))
        self.assertEqual(read.isdir(), member.is_folder)

    def test_records(self) -> None:
        """An archive is whole records of 20 blocks, two empty ones at least at its end."""
        for offset in (0, 512, 10240 - 1024, 10240 - 512, 10240):
            end = TarFormat.end(1, 0, offset)
            self.assertEqual((offset + len(end)) % 10240, 0)
            self.assertGreaterEqual(len(end), 1024)
            self.assertFalse(any(end))
