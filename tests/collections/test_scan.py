"""Which directories may be loaded, what is in them, and when that must be read anew."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from imgd.collections import scan
from imgd.collections.scan import Index, Policy
from imgd.errors import BadRequest, Forbidden, ImgdError, NotFound
from imgd.files import disk
from imgd.files.disk import Root
from tests.fakes import write
from tests.host.this_machine import open_descriptors, public_folder, unprivileged

LONG_AGO = (1_600_000_000, 1_600_000_000)  # in seconds


class FolderCase(SynchronousTestCase):
    """A folder."""

    def setUp(self) -> None:
        self.top = os.path.realpath(self.mktemp())
        os.mkdir(self.top)

    def join(self, *names: str) -> str:
        return os.path.join(self.top, *names)

    def write(self, *names: str) -> None:
        for name in names:
            write(self.join(name))

    def link(self, name: str, target: str) -> None:
        os.symlink(target, self.join(name))

    def refusal(self, kind: type[ImgdError], policy: Policy, given: str) -> str:
        with self.assertRaises(ImgdError) as caught:
            policy.admit(given)
        self.assertIs(type(caught.exception), kind, caught.exception)
        return caught.exception.detail


class PolicyTests(FolderCase):
    """Where loads are accepted."""

    def setUp(self) -> None:
        super().setUp()
        self.write("foo/a.png", "foo/sub/b.png", "foobar/c.png", "state/catalog.png", "file.png")
        self.policy = Policy(
            base=self.top, allowed=(self.join("foo"),), forbidden=(self.join("foo", "state"),)
        )
        self.anywhere = Policy(base=self.top, forbidden=(self.join("state"),))

    def test_allowed_roots(self) -> None:
        """Below an allowed root and nowhere else, as it really lies, there or not."""
        self.link("into", "foo/sub")
        self.link("foo/out", "../foobar")
        self.link("foo/back", "../foo/sub")
        self.link("foo/gone", "../elsewhere")
        for given, real in [
            ("foo", "foo"),
            ("foo/", "foo"),
            ("foo/sub", "foo/sub"),
            ("./foobar/../foo/sub/.", "foo/sub"),
            (self.join("foo", "sub"), "foo/sub"),
            ("into", "foo/sub"),
            ("foo/back", "foo/sub"),
        ]:
            with self.subTest(given=given):
                self.assertEqual(self.policy.admit(given), self.join(real))
        for given in [
            *("foobar", "foo/../foobar", "foo/out", ".", "..", "/", "", "foob", "foo-", "foo/gone"),
            *("not there", self.top, "/not there", "foo/out/../foobar"),
        ]:
            with self.subTest(given=given):
                detail = self.refusal(Forbidden, self.policy, given)
                self.assertIn("outside the allowed roots", detail)

    def test_loop_hides_nothing(self) -> None:
        """What comes after a link that loops is judged by where it really lies, too."""
        self.link("foo/loop", "loop")
        self.link("foo/out", "../foobar")
        self.link("foo/shown", "../state")
        for given in ("foo/loop/../out", "foo/loop/../../foobar", "foo/loop", "foo/loop/../shown"):
            for policy in (self.policy, self.anywhere):
                with self.subTest(given=given):
                    self.assertRaises((NotFound, Forbidden), policy.admit, given)

    def test_relative_and_home(self) -> None:
        """Relative directories are below the base, and ``~`` is the user's home."""
        home = os.environ.get("HOME")

        def restore() -> None:
            if home is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = home

        self.addCleanup(restore)
        os.environ["HOME"] = self.join("foo")
        base = Policy(base=self.join("foo"))
        self.assertEqual(base.admit("sub"), self.join("foo", "sub"))
        self.assertEqual(base.admit("../foobar"), self.join("foobar"))
        for given, real in [("~", "foo"), ("~/sub", "foo/sub"), ("~/../foobar", "foobar")]:
            self.assertEqual(self.anywhere.admit(given), self.join(real))
        self.refusal(NotFound, self.anywhere, "~nobody-of-this-name/x")
        self.refusal(NotFound, self.anywhere, "foo/~")

    def test_system(self) -> None:
        """Nothing of the system's own folders is loaded, by whatever way."""
        self.link("processes", "/proc")
        self.link("devices", "/dev")
        for given in [
            *("/proc", "/proc/self", "/sys", "/dev", "/dev/", "/dev/../dev", "/dev/shm", "/sys/x"),
            *("processes", "processes/self", "devices"),
        ]:
            with self.subTest(given=given):
                self.assertIn("cannot be served", self.refusal(Forbidden, self.anywhere, given))
        self.write("devices-of-ours/a.png")
        self.assertTrue(self.anywhere.admit("devices-of-ours"))

    def test_too_wide(self) -> None:
        """What holds the document root's parent folder, and the whole disk, is not loaded
        recursively unless a root that is allowed names it; what lies beside or below is.
        """
        self.write("a/b/images/x.png", "a/bc/y.png", "ab/z.png")
        self.link("a/up", "..")
        policy = Policy(base=self.top, documents=self.join("a", "b", "images"))
        for given in ("/", "//", ".", "a", "a/b/..", "a/up", "a/up/a", ".."):
            with self.subTest(given=given):
                with self.assertRaises(Forbidden) as caught:
                    policy.admit(given, True)
                self.assertIn("without --allow-root", caught.exception.detail)
                self.assertTrue(policy.admit(given))
                named = Policy(base=self.top, allowed=("/",), documents=policy.documents)
                self.assertEqual(named.admit(given, True), policy.admit(given))
        for given in ("a/b", "a/b/images", "a/bc", "ab"):
            self.assertEqual(policy.admit(given, True), self.join(given))
        with self.assertRaises(Forbidden):  # a document root at the top of the disk
            Policy(base=self.top, documents="/images").admit("/", True)

    def test_state_folder(self) -> None:
        """The state folder is refused; what holds it is not, and yet never shows it."""
        self.link("link", "state")
        self.write("state/sub/x.png", "state-of-ours/y.png")
        for given in ("state", "state/", "state/sub", "link", "link/sub", "state/not there"):
            self.assertIn("cannot be served", self.refusal(Forbidden, self.anywhere, given))
        self.assertTrue(self.anywhere.admit("state-of-ours"))
        root = self.anywhere.root(self.anywhere.admit("."), True)
        names = list(scan.read(root).names)
        self.assertIn("state-of-ours/y.png", names)
        self.assertFalse([name for name in names if name.startswith(("state/", "link/"))])
        for path in (("state", "catalog.png"), ("link", "catalog.png"), ("state", "sub", "x.png")):
            self.assertRaises(NotFound, disk.open_file, root, path)

    def test_no_directory(self) -> None:
        """Missing, no directory, and unreadable are told apart, by the name that was given."""
        self.link("dangling", "gone")
        self.link("loop", "loop")
        missing = ["not there", "file.png/x", "dangling", "loop", "x" * 300, "a\0b", "\ud800"]
        for given in missing:
            with self.subTest(given=given[:20]):
                detail = self.refusal(NotFound, self.anywhere, given)
                self.assertEqual(detail, f"Directory not found: {given}")
        detail = self.refusal(BadRequest, self.anywhere, "file.png")
        self.assertEqual(detail, "Not a directory: file.png")

    def test_no_permission(self) -> None:
        """A directory that this user may not read or enter is told so."""
        top = public_folder(self)
        for name in ("shut", "blind", "stuck"):
            write(os.path.join(top, name, "sub", "a.png"))
        os.chmod(os.path.join(top, "shut"), 0)
        os.chmod(os.path.join(top, "blind"), 0o311)
        os.chmod(os.path.join(top, "stuck"), 0o644)
        with unprivileged():
            for given in ("shut", "blind", "stuck", "shut/sub", "stuck/sub"):
                with self.subTest(given=given):
                    detail = self.refusal(BadRequest, Policy(base=top), given)
                    self.assertIn("Check its permissions", detail)
            self.assertTrue(Policy(base=top).admit("blind/sub"))


class ReadTests(FolderCase):
    """What is in a directory."""

    def read(self, recursive: bool = False, **options: object) -> list[str]:
        root = Policy(base="/", **options).root(self.top, recursive)  # type: ignore[arg-type]
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
                self.read(), ["Z.DCM", "a b.jpg", "a.nii.gz", "b.png", "new\nline.png"]
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
        wanted = ["a.png", "in.png", "insub.png", "m/b.png", "m/deep/c.png"]
        self.assertEqual(self.read(recursive=True), wanted)
        self.assertEqual(self.read(), ["a.png", "in.png"])

    def test_links_up(self) -> None:
        """Where links are followed, one that leads above the directory still makes no loop."""
        self.write("d/a.png", "beside/b.png", ".ssh/k.png")
        self.link("d/up", "..")
        root = Policy(base="/", follow_symlinks=True).root(self.join("d"), True)
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
            self.assertTrue(index.is_fresh())
        os.chmod(self.join("shut"), 0o755)
        with unprivileged():
            self.assertFalse(index.is_fresh())
            self.assertEqual(len(scan.read(root).names), 3)

    def test_root_is_gone(self) -> None:
        """A directory that is gone, a file, or a link by now is not found."""
        root = Root(self.top, images_only=True)
        for change in (
            lambda: shutil.rmtree(self.top),
            lambda: write(self.top),
            lambda: (os.remove(self.top), os.symlink("/etc", self.top)),
        ):
            change()
            self.assertRaises(NotFound, scan.read, root)
            self.assertEqual(scan.available([root]), [False])

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
        """Each directory is asked for by itself."""
        self.write("a/x.png", "b")
        roots = [Root(self.join(name)) for name in ("a", "b", "c")]
        self.assertEqual(scan.available(roots), [True, False, False])
        self.assertEqual(scan.available([]), [])


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

    def index(self, recursive: bool = True) -> Index:
        return scan.read(Root(self.top, images_only=True, recursive=recursive))

    def setUp(self) -> None:
        super().setUp()
        self.write("a.png", "sub/b.png", "sub/deep/c.png")

    def test_unsettled(self) -> None:
        """A folder that changed a moment ago may change again unseen: it is never fresh."""
        self.assertFalse(self.index().is_fresh())
        settle(self.top)
        self.assertTrue(self.index().is_fresh())
        os.utime(self.join("sub", "deep"))
        self.assertFalse(self.index().is_fresh())
        self.assertTrue(self.index(recursive=False).is_fresh())

    def test_from_the_future(self) -> None:
        """A folder changed in what the wall clock takes for the future is never fresh."""
        settle(self.top)
        os.utime(self.top, (4_000_000_000, 4_000_000_000))
        self.assertFalse(self.index().is_fresh())

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
                self.assertTrue(index.is_fresh())
                change()
                self.assertEqual(index.is_fresh(), fresh)

    def test_time_set_back(self) -> None:
        """A change is noticed also where a tool then gave the folder its old time."""
        settle(self.top)
        index = self.index()
        self.write("new.png")
        os.utime(self.top, LONG_AGO)
        self.assertFalse(index.is_fresh())

    def test_back_again(self) -> None:
        """A directory that was moved away and back is not the same without a look."""
        settle(self.top)
        index = self.index()
        os.rename(self.top, self.top + "-away")
        self.assertFalse(index.is_fresh())
        os.rename(self.top + "-away", self.top)
        self.assertEqual(list(self.index().names), list(index.names))
