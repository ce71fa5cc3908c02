"""From a URL's path to safe names, and back."""

from __future__ import annotations

import ntpath
import os
import posixpath

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import paths
from imgd.core.paths import UrlPath

PROPERTY = settings(deadline=None, database=None, max_examples=300)
NASTY = (b".", b"..", b"/", b"\\", b"%2e", b"%2F", b"%5c", b"%00", b"%25", b"a", b"C:", b"\xff")


class ParseTests(SynchronousTestCase):
    """Which URLs could mean a file at all."""

    def test_taken_apart(self) -> None:
        """Names are split first and decoded once, and a last slash says that a folder is meant."""
        for path, names, is_folder in (
            (b"/", (), True),
            (b"/a", ("a",), False),
            (b"/a/", ("a",), True),
            (b"/a/b.nii.gz", ("a", "b.nii.gz"), False),
            (b"/a%20b+c", ("a b+c",), False),
            (b"/%C3%A9", ("é",), False),
            (b"/\xc3\xa9", ("é",), False),
            (b"/%ff", ("\udcff",), False),
            (b"/%252e%252e", ("%2e%2e",), False),
            (b"/%252fetc", ("%2fetc",), False),
            (b"/a..b/c.", ("a..b", "c."), False),
            (b"/%c0%ae%c0%ae", ("\udcc0\udcae\udcc0\udcae",), False),
            (b"/%c0%af", ("\udcc0\udcaf",), False),
            (b"/a%0Ab", ("a\nb",), False),
            (b"/server.key.txt", ("server.key.txt",), False),
            (b"/keys/pem", ("keys", "pem"), False),
            (b"/a.zarr/.zattrs", ("a.zarr", ".zattrs"), False),
            (b"/%2ezarray", (".zarray",), False),
            (b"/.zgroup", (".zgroup",), False),
            (b"/.zmetadata", (".zmetadata",), False),
        ):
            self.assertEqual(paths.parse(path), UrlPath(names, is_folder), path)

    def test_overlong_forms_are_no_dots(self) -> None:
        """An overlong UTF-8 dot or slash stays the two bytes that it is on disk."""
        parsed = paths.parse(b"/%c0%ae%c0%ae/%c0%af")
        assert parsed is not None
        self.assertEqual([os.fsencode(n) for n in parsed.names], [b"\xc0\xae\xc0\xae", b"\xc0\xaf"])

    def test_dot_before_a_colon(self) -> None:
        """A dot may stand before a name with a colon (RFC 3986 section 4.2), and nowhere else."""
        for path, names in (
            (b"/./a:b", ("a:b",)),
            (b"/x/./a%3ab", ("x", "a:b")),
            (b"/x/./a%3A/b", ("x", "a:", "b")),
        ):
            self.assertEqual(paths.parse(path), UrlPath(names, False))

    def test_refused(self) -> None:
        """Paths that climb, hide, cut short or read differently elsewhere mean no file."""
        for path in (
            b"",
            b"a",
            b"*",
            b"http://x/a",
            b"//",
            b"//a",
            b"/a//b",
            b"/a//",
            b"/.",
            b"/..",
            b"/../a",
            b"/a/../b",
            b"/a/./b",
            b"/a/././b:c",
            b"/a/./b/c:d",
            b"/%2E/a:b",
            b"/a/..",
            b"/...",
            b"/%2e%2e/a",
            b"/%2E%2e%2fa",
            b"/.%2e",
            b"/%2e",
            b"/a%2fb",
            b"/a%2Fb",
            b"/a\\b",
            b"/..\\a",
            b"/a%5Cb",
            b"/a%00.png",
            b"/a\0",
            b"/%zz",
            b"/a%",
            b"/a%2",
            b"/a%%32e",
            b"/.ssh/id",
            b"/a/.git/config",
            b"/a/.hidden",
            b"/%2ehidden",
            b"/.zarray.txt",
            b"/.Zarray",
            b"/.zarr/.zarray",
            b"/a.key",
            b"/a.KEY",
            b"/a.pem",
            b"/a.Pem",
            b"/a%2epem",
            b"/a.pe%6d",
            b"/a.pem/b",
            b"/a.key/",
            "/a.\N{KELVIN SIGN}ey".encode(),
        ):
            self.assertIsNone(paths.parse(path), path)

    @PROPERTY
    @given(st.one_of(st.binary(), st.lists(st.sampled_from(NASTY)).map(b"/".join)))
    @example(b"/a/%2e%2e/%2e%2e/etc/passwd")
    def test_never_escapes(self, tail: bytes) -> None:
        """Whatever is asked for lies below the root, one level a name, beside no sibling."""
        parsed = paths.parse(b"/" + tail)
        if parsed is None:
            return
        place = posixpath.normpath(posixpath.join("/srv/foo", *parsed.names))
        self.assertEqual(place, "/".join(("/srv/foo", *parsed.names)))
        self.assertNotIn("\0", place)
        if all(map(paths.is_plain_on_windows, parsed.names)):
            place = ntpath.normpath(ntpath.join(r"C:\srv\foo", *parsed.names))
            self.assertEqual(place, "\\".join((r"C:\srv\foo", *parsed.names)))


class RoundTripTests(SynchronousTestCase):
    """What a listing links to can be opened."""

    @PROPERTY
    @given(st.lists(st.binary(min_size=1).map(os.fsdecode).filter(paths.is_servable)))
    def test_encoded_names_parse_back(self, names: list[str]) -> None:
        """Every servable name, in UTF-8 or not, survives the way through a URL."""
        url = paths.encode(*names)
        self.assertRegex(url, r"\A[A-Za-z0-9._~%/-]*\Z")
        parsed = paths.parse(b"/" + url.encode("ascii"))
        self.assertEqual(parsed, UrlPath(tuple(names), not names))

    def test_nothing_is_left_to_read_otherwise(self) -> None:
        """A name that looks like a scheme, a query or markup is escaped."""
        self.assertEqual(paths.encode("javascript:x", "a?b#c"), "javascript%3Ax/a%3Fb%23c")
        self.assertEqual(paths.encode("\"'<>&", "\udcff"), "%22%27%3C%3E%26/%FF")

    def test_display(self) -> None:
        """A name is shown as it is, and bytes that are no UTF-8 as U+FFFD."""
        self.assertEqual(paths.display("é\n"), "é\n")
        self.assertEqual(paths.display("a\udcffb"), "a\N{REPLACEMENT CHARACTER}b")


class WindowsTests(SynchronousTestCase):
    """Names that Windows reads as something else."""

    def test_other_files(self) -> None:
        """Devices, streams, and names that lose their end are not opened."""
        for name in (
            *("CON", "con", "nul.txt", "Aux.nii.gz", "COM1", "lpt9.dcm", "com¹", "prn .x"),
            *("CONIN$", "conout$.png", "a:b", "C:", "a.png::$DATA", "a.", "a ", "a.pem. ."),
        ):
            self.assertFalse(paths.is_plain_on_windows(name), name)

    def test_neighbours(self) -> None:
        """Names that only begin like a device are files."""
        for name in ("console", "com10", "com.png", "nullo.txt", "a.con", "lpt", "conin", "a .b"):
            self.assertTrue(paths.is_plain_on_windows(name), name)
