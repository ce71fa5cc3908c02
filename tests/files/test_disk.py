"""From names to an open file: what is served, what is listed, and all that is neither."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from imgd.core import paths
from imgd.core.listing import Entry
from imgd.errors import NotFound
from imgd.files import disk, real_path
from imgd.files.dicom_files import DicomFiles
from imgd.files.disk import Root, is_below
from tests.fakes import write
from tests.files.disk_case import (
    ALWAYS,
    FOLLOWED,
    HOSTILE,
    NEVER,
    RAW,
    SERVED,
    DiskCase,
    names_of,
)
from tests.files.test_dicom_files import DICOM
from tests.host.this_machine import open_descriptors, public_folder, unprivileged


class OpenTests(DiskCase):
    """Asking for a file."""

    ways = tuple({real_path.choose(), real_path.by_name})

    def test_table(self) -> None:
        """Each file and link gives what it should, or the same NotFound; by each way to judge."""
        plain = {**SERVED, **ALWAYS, **dict.fromkeys([*NEVER, *FOLLOWED])}
        before = open_descriptors()
        for way in self.ways:
            for root, expected in ((self.root, plain), (self.following, {**plain, **FOLLOWED})):
                for path, data in expected.items():
                    with self.subTest(path=path, follow=root.follow_symlinks, way=way.__name__):
                        self.assertEqual(self.data(root, path, way), data)
        self.assertEqual(open_descriptors(), before)

    def test_hostile_urls(self) -> None:
        """However it is escaped, no URL leads out of the root or to what is hidden."""
        for url in HOSTILE:
            for root in (self.root, self.following):
                with self.subTest(url=url[:40], follow=root.follow_symlinks):
                    parsed = paths.parse(url)
                    if parsed is not None:
                        self.assertIsNone(self.data(root, "/".join(parsed.names)))
                        self.assertFalse(disk.is_folder(root, parsed.names))

    def test_names_are_not_paths(self) -> None:
        """A name with a slash in it is no way into a folder, nor is an absolute path a name."""
        for name in ("sub/b.png", "/etc/passwd", self.join("a.png"), "..", ".", "", "sub\\b.png"):
            with self.assertRaises(NotFound):
                disk.open_file(self.root, (name,))

    def test_decoded_once(self) -> None:
        """A file whose name holds an escape is had by escaping that."""
        parsed = paths.parse(b"/%252e%252e.png")
        assert parsed is not None
        self.assertEqual(self.data(self.root, parsed.names[0]), b"percent")

    def test_not_utf8(self) -> None:
        """A name that is not UTF-8 is served and listed."""
        try:
            write(self.join(RAW), b"raw")
        except OSError:
            self.skipTest("this file system has UTF-8 names only")
        parsed = paths.parse(b"/caf%E9.png")
        assert parsed is not None
        self.assertEqual(self.data(self.root, parsed.names[0]), b"raw")
        self.assertIn(RAW, {entry.name for entry in disk.scan(self.root)})

    def test_case(self) -> None:
        """If the file system distinguishes cases, so does imgd."""
        if os.path.exists(self.join("A.PNG")):
            self.skipTest("this file system does not tell cases apart")
        self.assertIsNone(self.data(self.root, "A.PNG"))
        write(self.join("A.PNG"), b"A")
        self.assertEqual(self.data(self.root, "A.PNG"), b"A")
        self.assertEqual(self.data(self.root, "a.png"), b"a")

    def test_no_permission(self) -> None:
        """A file or folder that may not be read is not found."""
        root = Root(public_folder(self))
        for name in ("open.png", "shut.png", "sub/b.png"):
            write(os.path.join(root.path, name), b"data")
        os.chmod(os.path.join(root.path, "shut.png"), 0)
        os.chmod(os.path.join(root.path, "sub"), 0)
        before = open_descriptors()
        with unprivileged():
            self.assertEqual(self.data(root, "open.png"), b"data")
            for path in ("shut.png", "sub/b.png"):
                self.assertIsNone(self.data(root, path))
            self.assertRaises(NotFound, list, disk.scan(root, ("sub",)))
            self.assertEqual(len(list(disk.scan(root))), 3)
        self.assertEqual(open_descriptors(), before)

    def test_images_only(self) -> None:
        """A collection serves what is an image by the name asked for and by its real name."""
        images = replace(self.root, images_only=True)
        for path, data in [
            ("a.png", b"a"),
            ("in.png", b"a"),
            ("sub/b.png", b"b"),
            ("notes.txt", None),
            ("plain.txt", None),
            ("text.png", None),
        ]:
            with self.subTest(path=path):
                self.assertEqual(self.data(images, path), data)

    def test_not_recursive(self) -> None:
        """A collection that is not recursive has its own folder, and no way around that."""
        flat = replace(self.root, images_only=True, recursive=False)
        for path, data in [("a.png", b"a"), ("chain.png", b"a"), ("insub.png", None)]:
            self.assertEqual(self.data(flat, path), data)
        for path in ("sub/b.png", "sublink/b.png", "self/a.png"):
            self.assertIsNone(self.data(flat, path))
        following = replace(flat, follow_symlinks=True)
        for path, data in [("out.png", b"outside"), ("insub.png", b"b"), ("sub/b.png", None)]:
            self.assertEqual(self.data(following, path), data)

    def test_roots(self) -> None:
        """A root that is the whole file system, hidden itself, or gone."""
        whole = Root("/", forbidden=(os.path.join(self.top, "state"),))
        folder = self.top[1:]
        if not any(name.startswith(".") for name in names_of(folder)):
            self.assertEqual(self.data(whole, f"{folder}/root/a.png"), b"a")
            self.assertIsNone(self.data(whole, f"{folder}/state/t.png"))
        self.assertEqual(self.data(Root(self.join(".git")), "x.png"), b"git")
        self.assertIsNone(self.data(Root(self.join("gone")), "x.png"))
        self.assertIsNone(self.data(Root(self.join("a.png")), "x.png"))

    def test_root_became_a_link(self) -> None:
        """A root that was moved away, with a link in its place, serves nothing from there."""
        os.rename(self.path, self.path + "-moved")
        os.symlink(self.path + "-moved", self.path)
        self.assertIsNone(self.data(self.root, "a.png"))
        self.assertFalse(disk.is_folder(self.root, ()))
        self.assertRaises(NotFound, list, disk.scan(self.root))

    def test_beside_a_hidden_root(self) -> None:
        """A root in a hidden folder may have links to what lies beside it."""
        write(os.path.join(self.top, ".cache/blobs/1.png"), b"blob")
        write(os.path.join(self.top, ".cache/.lock/2.png"), b"lock")
        snapshot = os.path.join(self.top, ".cache/snapshot")
        os.mkdir(snapshot)
        os.symlink("../blobs/1.png", os.path.join(snapshot, "1.png"))
        os.symlink("../.lock/2.png", os.path.join(snapshot, "2.png"))
        self.assertEqual(self.data(Root(snapshot, follow_symlinks=True), "1.png"), b"blob")
        self.assertIsNone(self.data(Root(snapshot, follow_symlinks=True), "2.png"))
        self.assertIsNone(self.data(Root(snapshot), "1.png"))


class ListingTests(DiskCase):
    """What a folder shows."""

    def variants(self) -> Iterator[Root]:
        for root in (self.root, self.following):
            yield root
            yield replace(root, images_only=True)
            yield replace(root, images_only=True, recursive=False)
            yield replace(root, images_only=True, dicom_files=DicomFiles())
            yield replace(root, dicom_files=DicomFiles())

    def test_listed_is_served(self) -> None:
        """In every folder, a name is listed if and only if asking for it gives just that, also if
        the bytes decide.
        """
        write(os.path.join(self.top, "outside", "IM0009"), DICOM)
        for name, data in (("IM0000", DICOM), ("sub/scan.IMA", DICOM), ("README", bytes(200))):
            write(self.join(name), data)
        for name, target in (
            *(("to_dicom", "IM0000"), ("dicom.png", "IM0000"), ("dicom.txt", "IM0000")),
            *(("to_readme", "README"), ("readme.png", "README"), ("image", "a.png")),
            *(("dicom_out", "../outside/IM0009"), ("text", "notes.txt")),
        ):
            os.symlink(target, self.join(name))
        for root in self.variants():
            for folder in ((), ("sub",), ("sublink",), ("outdir",), ("self",), ("outdir", "deep")):
                if not disk.is_folder(root, folder):
                    self.assertRaises(NotFound, list, disk.scan(root, folder))
                    continue
                listed = {entry.name: entry for entry in disk.scan(root, folder)}
                for name in os.listdir(root.join(folder)):
                    with self.subTest(root=root, folder=folder, name=name):
                        self.check(root, (*folder, name), listed.pop(name, None))
                self.assertEqual(listed, {})

    def check(self, root: Root, names: tuple[str, ...], entry: Entry | None) -> None:
        self.assertEqual(disk.is_folder(root, names), entry is not None and entry.is_folder)
        data = self.data(root, "/".join(names))
        if entry is None or entry.is_folder:
            self.assertIsNone(data)
            return
        assert data is not None
        facts = disk.stat_file(root, names)
        self.assertEqual((entry.size, entry.mtime_ns), (facts.size, facts.mtime_ns))
        self.assertEqual(entry.size, len(data))

    def test_by_their_bytes(self) -> None:
        """A link and its target are judged together: by suffix, or by the bytes of the target."""
        self.test_listed_is_served()
        images = replace(self.root, images_only=True, dicom_files=DicomFiles())
        listed = {entry.name: entry.is_dicom for entry in disk.scan(images)}
        named = {name: listed.get(name) for name in ("IM0000", "to_dicom", "dicom.png", "a.png")}
        self.assertEqual(
            named, {"IM0000": True, "to_dicom": True, "dicom.png": False, "a.png": False}
        )
        self.assertLessEqual({"IM0000", "to_dicom", "dicom.png"}, listed.keys())
        refused = {"dicom.txt", "README", "to_readme", "readme.png", "image", "dicom_out", "text"}
        self.assertEqual(refused & listed.keys(), set())
        for may_look, error in ((False, disk.Undecided), (True, disk.NotAnImage)):
            with self.assertRaises(error):
                disk.open_file(images, ("README",), may_look=may_look)

    def test_zarr(self) -> None:
        """Zarr's metadata is listed and served; a folder of such a name is as hidden as any other
        that begins with a dot.
        """
        for name in ("z.zarr/.zattrs", "z.zarr/.other", "z.zarr/.zgroup/a.png"):
            write(self.join(name), b"{}")
        os.symlink("z.zarr/.zgroup", self.join("to_zgroup"))
        self.assertEqual([e.name for e in disk.scan(self.root, ("z.zarr",))], [".zattrs"])
        self.assertEqual(self.data(self.root, "z.zarr/.zattrs"), b"{}")
        for path in ("z.zarr/.other", "z.zarr/.zgroup/a.png", "to_zgroup/a.png"):
            self.assertIsNone(self.data(self.root, path), path)
        self.assertFalse(disk.is_folder(self.root, ("z.zarr", ".zgroup")))

    def test_names(self) -> None:
        """The top of a document root, name by name."""
        listed = {entry.name for entry in disk.scan(self.root)}
        files = {name.split("/")[0] for name in SERVED}
        self.assertEqual(listed, files | {"folder.png", "sub", "sublink", "self"})
        followed = {entry.name for entry in disk.scan(self.following)}
        self.assertEqual(followed - listed, {name.split("/")[0] for name in FOLLOWED})

    def test_state_folder_below(self) -> None:
        """A folder that is never served is not even shown by the folder it lies in."""
        root = replace(self.root, path=self.top)
        names = {entry.name for entry in disk.scan(root)}
        self.assertEqual(names, {"root", "root-secret", "outside"})
        self.assertFalse(disk.is_folder(root, ("state",)))
        self.assertIsNone(self.data(root, "state/t.png"))
        self.assertIsNone(self.data(root, "root/to_state.png"))
        self.assertRaises(NotFound, list, disk.scan(root, ("root", "statedir")))

    def test_no_folder(self) -> None:
        """What is no folder, or not to be had, lists as not found, and says no more."""
        for names in [
            *(("a.png",), ("missing",), (".git",), ("gitdir",), ("sshdir",), ("statedir",)),
            *(("reserved",), ("loop.png",), ("sub", ".."), ("x" * 300,), ("\0",), ("procdir",)),
        ]:
            for root in (self.root, self.following):
                with self.subTest(names=names):
                    self.assertFalse(disk.is_folder(root, names))
                    with self.assertRaises(NotFound) as caught:
                        next(disk.scan(root, names))
                    self.assertEqual(str(caught.exception), "Not found")

    def test_stat_file(self) -> None:
        """The facts of what is no file to be served are not found."""
        for name in ("sub", "loop.png", "out.png", "to_key.png", "fifo.png", "missing", "\0"):
            with self.subTest(name=name):
                self.assertRaises(NotFound, disk.stat_file, self.root, (name,))

    def test_left_early(self) -> None:
        """A listing that nobody reads to its end leaves nothing open."""
        before = open_descriptors()
        listing = disk.scan(self.root)
        next(listing)
        listing.close()  # type: ignore[attr-defined]  # a generator
        self.assertEqual(open_descriptors(), before)

    def test_hidden_by(self) -> None:
        """Names that the URL map takes are listed if they exist, dangling links too."""
        root = replace(self.root, hidden=frozenset({"reserved", "dangling.png", "not there"}))
        self.assertEqual(disk.hidden_by(root), ["dangling.png", "reserved"])


class BelowTests(SynchronousTestCase):
    """One path below another."""

    @skipUnless(os.sep == "/", "POSIX paths")
    def test_neighbours(self) -> None:
        """A path is below itself and what holds it, and not below what only begins alike."""
        for path, folder, below in [
            ("/foo", "/foo", True),
            ("/foo/bar", "/foo", True),
            ("/foobar", "/foo", False),
            ("/foo-bar/x", "/foo", False),
            ("/fo", "/foo", False),
            ("/", "/foo", False),
            ("/foo", "/", True),
            ("/", "/", True),
        ]:
            with self.subTest(path=path, folder=folder):
                self.assertEqual(is_below(path, folder), below)
