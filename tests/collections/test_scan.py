"""Which images directories hold, and when they must be read anew."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable

from imgd.collections import scan
from imgd.collections.policy import DirectoryPolicy
from imgd.collections.scan import CollectionIndex
from imgd.core.messages import SkippedFiles
from imgd.errors import NotFound
from imgd.files import disk
from imgd.files.dicom_files import HEAD_SIZE, DicomFiles
from imgd.files.disk import Root
from tests.collections.folder_case import FolderCase
from tests.fakes import write
from tests.files.test_dicom_files import DICOM, later
from tests.host.this_machine import open_descriptors, public_folder, unprivileged

LONG_AGO = (1_600_000_000, 1_600_000_000)  # in seconds


class ReadTests(FolderCase):
    """What is in a directory."""

    def read(self, recursive: bool = False, **options: object) -> list[str]:
        root = DirectoryPolicy(base="/", **options).root(self.top, recursive)  # type: ignore[arg-type]
        names = list(scan.read(root).names)
        for name in names:  # what is listed is served
            disk.open_file(root, tuple(name.split("/"))).close()
        return names

    def test_mixed(self) -> None:
        """Images by their suffix, regular files only, nothing hidden, sorted."""
        self.write("b.png", "a.nii.gz", "Z.DCM", "a b.jpg", "new\nline.png", "notes.txt", "x.gz")
        self.write(".hidden.png", ".git/x.png", "server.key", "png", "folder.png/inside.png")
        os.mkfifo(self.join("fifo.png"))
        with socket_in(self.top):
            self.assertEqual(
                self.read(), ["a b.jpg", "a.nii.gz", "b.png", "new\nline.png", "Z.DCM"]
            )
        self.assertIn("folder.png/inside.png", self.read(recursive=True))

    def test_empty(self) -> None:
        """An empty directory is read, too."""
        self.assertEqual((self.read(), self.read(recursive=True)), ([], []))

    def test_not_utf8(self) -> None:
        """A name that is not UTF-8 is one of the names."""
        try:
            self.write(os.fsdecode(b"caf\xe9.png"))
        except OSError:
            self.skipTest("this file system has UTF-8 names only")
        self.assertEqual(self.read(), ["caf\udce9.png"])

    def test_bad_links(self) -> None:
        """A link that leads nowhere, out, or round and round costs only itself."""
        self.write("a.png", "z.png", "sub/b.png")
        outside = write(os.path.join(self.top + "-outside", "o.png"))
        for name, target in [
            ("loop.png", "loop.png"),
            ("loop", "loop"),
            ("ping", "pong"),
            ("pong", "ping"),
            ("dangling.png", "gone.png"),
            ("dangling", "gone"),
            ("under.png", "a.png/under"),
            ("under", "a.png/under"),
            ("long.png", "x" * 300),
            ("long", "x" * 300),
            ("out.png", outside),
            ("out", os.path.dirname(outside)),
            ("zero.png", "/dev/zero"),
            ("proc", "/proc/self"),
            ("to_hidden.png", ".hidden.png"),
        ]:
            self.link(name, target)
        self.write(".hidden.png")
        self.assertEqual(self.read(), ["a.png", "z.png"])
        self.assertEqual(self.read(recursive=True), ["a.png", "sub/b.png", "z.png"])
        following = self.read(recursive=True, follow_symlinks=True)
        self.assertEqual(following, ["a.png", "out.png", "out/o.png", "sub/b.png", "z.png"])

    def test_links_within(self) -> None:
        """Links to files within are images, too; each folder is read once, by its own name."""
        self.write("a.png", "m/b.png", "m/deep/c.png")
        for name, target in [
            ("in.png", "a.png"),
            ("insub.png", "m/b.png"),
            ("alias", "m"),
            ("zalias", "m/deep"),
            ("here", "."),
            ("m/up", ".."),
            ("m/deep/top", self.top),
        ]:
            self.link(name, target)
        expected = ["a.png", "in.png", "insub.png", "m/b.png", "m/deep/c.png"]
        self.assertEqual(self.read(recursive=True), expected)
        self.assertEqual(self.read(), ["a.png", "in.png"])

    def test_links_up(self) -> None:
        """Where links are followed, one that leads above the directory still makes no loop."""
        self.write("d/a.png", "beside/b.png", ".ssh/k.png")
        self.link("d/up", "..")
        root = DirectoryPolicy(base="/", follow_symlinks=True).root(self.join("d"), True)
        self.assertEqual(list(scan.read(root).names), ["a.png", "up/beside/b.png"])

    def test_unreadable_subfolder(self) -> None:
        """A folder that may not be read costs only what is in it, and is read when it may be."""
        self.top = public_folder(self)
        self.write("a.png", "shut/b.png", "z/c.png")
        os.chmod(self.join("shut"), 0)
        root = Root(self.top, images_only=True)
        settle(self.top)
        with unprivileged():
            index = scan.read(root)
            self.assertEqual(list(index.names), ["a.png", "z/c.png"])
            self.assertTrue(index.is_current())
        os.chmod(self.join("shut"), 0o755)
        with unprivileged():
            self.assertFalse(index.is_current())
            self.assertEqual(len(scan.read(root).names), 3)

    def test_root_is_gone(self) -> None:
        """A directory that is gone, a file, or a link by now is not found."""
        root = Root(self.top, images_only=True)

        def replace_with_link() -> None:
            os.remove(self.top)
            os.symlink("/etc", self.top)

        changes: tuple[Callable[[], object], ...] = (
            lambda: shutil.rmtree(self.top),
            lambda: write(self.top),
            replace_with_link,
        )
        for change in changes:
            change()
            self.assertRaises(NotFound, scan.read, root)
            self.assertEqual([scan.is_available(root)], [False])

    def test_vanishing(self) -> None:
        """Folders that come and go while they are read: what stays is always found."""
        self.write(*(f"stays{i}/a.png" for i in range(5)))
        stop = threading.Event()

        def churn() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                self.write(f"t{number}/x/b.png")
                shutil.rmtree(self.join(f"t{number}"))

        thread = threading.Thread(target=churn)
        thread.start()
        root = Root(self.top, images_only=True)
        before = len(open_descriptors())
        try:
            for _ in range(200):
                names = list(scan.read(root).names)
                self.assertEqual(len([n for n in names if n.startswith("stays")]), 5)
        finally:
            stop.set()
            thread.join()
        self.assertLessEqual(len(open_descriptors()), before + 1)

    def test_available(self) -> None:
        """A folder is available; a file in its place, or nothing, is not."""
        self.write("a/x.png", "b")
        roots = [Root(self.join(name)) for name in ("a", "b", "c")]
        self.assertEqual([scan.is_available(root) for root in roots], [True, False, False])


class DicomTests(FolderCase):
    """DICOM whose name does not say so, and what was passed over."""

    def setUp(self) -> None:
        super().setUp()
        self.reads = 0
        dicom_files = DicomFiles(self.read_head, later)
        self.policy = DirectoryPolicy(base="/", dicom_files=dicom_files)

    def read_head(self, fd: int) -> bytes:
        self.reads += 1
        return os.pread(fd, HEAD_SIZE, 0)

    def read(self, recursive: bool = True, all_files: bool = False) -> CollectionIndex:
        root = self.policy.root(self.top, recursive, all_files)
        index = scan.read(root)
        for name in index.names:  # what is listed is served
            disk.open_file(root, tuple(name.split("/"))).close()
        return index

    def test_export(self) -> None:
        """Of a hospital's export, every DICOM file but its index is an image, whatever its name;
        the rest is counted. What the suffix decides is not opened.
        """
        for name in (
            *("DICOMDIR", "PAT0/ST0/IM0000", "PAT0/ST0/IM0001", "PAT0/1.2.840.113619.2.55"),
            *("PAT0/scan.IMA", "report.pdf", "lies.txt", "lies.png"),
        ):
            write(self.join(name), DICOM)
        for name in ("README", "viewer.exe", "autorun.inf", "PAT0/scan.Zip", "short"):
            write(self.join(name), b"no DICOM" * 30)
        write(self.join("short"), b"")
        index = self.read()
        self.assertEqual(
            list(index.names),
            [
                *("lies.png", "PAT0/1.2.840.113619.2.55", "PAT0/scan.IMA"),
                *("PAT0/ST0/IM0000", "PAT0/ST0/IM0001"),
            ],
        )
        expected = {"": 3, ".pdf": 1, ".txt": 1, ".exe": 1, ".inf": 1, ".zip": 1}
        self.assertEqual(index.skipped, SkippedFiles(count=8, suffixes=expected))
        self.assertEqual(self.reads, 4 + 3)  # neither the empty file nor what a suffix decides
        self.assertEqual(list(self.read().names), list(index.names))
        self.assertEqual(self.reads, 7, "a second load read files again")

    def test_written_later(self) -> None:
        """A file that was too short to be DICOM is noticed when it is one, though no folder
        changed; and so is one that was written a moment before.
        """
        for content in (b"", bytes(200)):
            write(self.join("IM0000"), content)
            if not content:
                os.utime(self.join("IM0000"), LONG_AGO)
            settle(self.top)
            index = self.read()
            self.assertEqual(len(index.names), 0)
            self.assertEqual(index.is_current(), not content)
            with open(self.join("IM0000"), "r+b") as file:
                file.write(DICOM)
            self.assertFalse(index.is_current())
            self.assertEqual(list(self.read().names), ["IM0000"])

    def test_links(self) -> None:
        """A link is judged with what it leads to: both by their suffix, or by the bytes."""
        outside = write(self.top + "-outside", DICOM)
        write(self.join("sub/IM0000"), DICOM)
        write(self.join("sub/README"), bytes(200))
        write(self.join("sub/ct.dcm"))
        write(self.join("sub/notes.txt"), DICOM)
        for name, target in (
            ("a", "sub/IM0000"),
            ("b.dcm", "sub/IM0000"),
            ("c.png", "sub/README"),
            ("d", "sub/ct.dcm"),
            ("e", "sub/notes.txt"),
            ("f", outside),
            ("g", "gone"),
            ("h.txt", outside),
        ):
            self.link(name, target)
        index = self.read()
        self.assertEqual(list(index.names), ["a", "b.dcm", "sub/ct.dcm", "sub/IM0000"])
        self.assertEqual(index.skipped.links, 3)
        self.assertEqual(index.skipped.count, 5)

    def test_strange_files(self) -> None:
        """What is no regular file, or may not be read, is no image and holds up nothing."""
        self.top = public_folder(self)
        os.mkfifo(self.join("IM0000"))
        write(self.join("IM0001"), DICOM)
        os.chmod(self.join("IM0001"), 0)
        write(self.join("IM0002"), DICOM)
        with unprivileged():
            index = self.read()
        self.assertEqual(list(index.names), ["IM0002"])
        self.assertEqual((index.skipped.count, index.skipped.suffixes), (1, {"": 1}))

    def test_folders(self) -> None:
        """Folders that were not read are counted; if nothing was found, it is told whether they
        hold images.
        """
        self.write("a/b/notes.txt", "c/notes.txt", ".git/x.png")
        self.assertEqual(self.read(recursive=False).skipped, SkippedFiles(folders=2))
        write(self.join("a/b/IM0000"), DICOM)
        expected = SkippedFiles(folders=2, images_below=True)
        self.assertEqual(self.read(recursive=False).skipped, expected)
        self.write("a.png")
        self.assertEqual(self.read(recursive=False).skipped, SkippedFiles(folders=2))
        self.assertEqual(self.read().skipped, SkippedFiles(count=2, suffixes={".txt": 2}))

    def test_all_files(self) -> None:
        """With all files it holds what the document root would serve, and reads none for that."""
        self.write("a.png", "notes.txt", "z.zarr/.zgroup", "z.zarr/0/.zarray", "z.zarr/0/0.0")
        self.write(".hidden", "server.key", ".git/x.png", "z.zarr/.other")
        index = scan.read(self.policy.root(self.top, True, True))
        self.assertEqual(
            list(index.names),
            ["a.png", "notes.txt", "z.zarr/.zgroup", "z.zarr/0/.zarray", "z.zarr/0/0.0"],
        )
        self.assertEqual((index.skipped, self.reads), (SkippedFiles(), 0))
        documents = Root(self.top)
        served = [entry.name for entry in disk.scan(documents) if not entry.is_folder]
        self.assertEqual(sorted(served), ["a.png", "notes.txt"])


def socket_in(folder: str) -> socket.socket:
    """A UNIX socket in a folder, where its path is not too long for that."""
    listener = socket.socket(socket.AF_UNIX)
    there = os.open(folder, os.O_RDONLY)
    try:
        listener.bind(f"/proc/self/fd/{there}/socket.png")
    except OSError:
        pass
    finally:
        os.close(there)
    return listener


def settle(top: str) -> None:
    """Let a tree look as if nobody had changed it for long."""
    for folder, _, _ in os.walk(top):
        os.utime(folder, LONG_AGO)


class IndexTests(FolderCase):
    """When a directory must be read anew."""

    def index(self, recursive: bool = True) -> CollectionIndex:
        return scan.read(Root(self.top, images_only=True, recursive=recursive))

    def setUp(self) -> None:
        super().setUp()
        self.write("a.png", "sub/b.png", "sub/deep/c.png")

    def test_unsettled(self) -> None:
        """A folder that changed a moment ago may change again unseen: it is never current."""
        self.assertFalse(self.index().is_current())
        settle(self.top)
        self.assertTrue(self.index().is_current())
        os.utime(self.join("sub", "deep"))
        self.assertFalse(self.index().is_current())
        self.assertTrue(self.index(recursive=False).is_current())

    def test_from_the_future(self) -> None:
        """A folder changed in what the wall clock takes for the future is never current."""
        settle(self.top)
        os.utime(self.top, (4_000_000_000, 4_000_000_000))
        self.assertFalse(self.index().is_current())

    def test_changes(self) -> None:
        """A file added, removed or renamed anywhere is noticed; one that is written to is not."""
        changes: list[tuple[Callable[[], object], bool]] = [
            (lambda: self.write("a.png"), True),
            (lambda: os.chmod(self.join("a.png"), 0o600), True),
            (lambda: self.write("new.png"), False),
            (lambda: os.remove(self.join("new.png")), False),
            (lambda: os.rename(self.join("a.png"), self.join("z.png")), False),
            (lambda: self.write("sub/deep/new.png"), False),
            (lambda: os.mkdir(self.join("sub", "empty")), False),
            (lambda: self.link("link.png", "z.png"), False),
            (lambda: shutil.rmtree(self.join("sub", "deep")), False),
            (lambda: shutil.rmtree(self.top), False),
        ]
        for number, (change, fresh) in enumerate(changes):
            with self.subTest(number=number):
                settle(self.top)
                index = self.index()
                self.assertTrue(index.is_current())
                change()
                self.assertEqual(index.is_current(), fresh)

    def test_time_set_back(self) -> None:
        """A change is noticed also where a tool then gave the folder its old time."""
        settle(self.top)
        index = self.index()
        self.write("new.png")
        os.utime(self.top, LONG_AGO)
        self.assertFalse(index.is_current())

    def test_back_again(self) -> None:
        """A directory that was moved away and back is not the same without a look."""
        settle(self.top)
        index = self.index()
        os.rename(self.top, self.top + "-away")
        self.assertFalse(index.is_current())
        os.rename(self.top + "-away", self.top)
        self.assertEqual(list(self.index().names), list(index.names))
