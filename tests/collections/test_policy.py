"""Which directories may be loaded."""

from __future__ import annotations

import os

from imgd.collections import scan
from imgd.collections.policy import DirectoryPolicy
from imgd.errors import BadRequest, Forbidden, ImgdError, NotFound
from imgd.files import disk
from tests.collections.folder_case import FolderCase
from tests.fakes import write
from tests.host.this_machine import public_folder, unprivileged


class PolicyTests(FolderCase):
    """Where loads are accepted."""

    def setUp(self) -> None:
        super().setUp()
        self.write("foo/a.png", "foo/sub/b.png", "foobar/c.png", "state/catalog.png", "file.png")
        self.policy = DirectoryPolicy(
            base=self.top, allowed=(self.join("foo"),), forbidden=(self.join("foo", "state"),)
        )
        self.anywhere = DirectoryPolicy(base=self.top, forbidden=(self.join("state"),))

    def refusal(self, kind: type[ImgdError], policy: DirectoryPolicy, given: str) -> str:
        error = self.assertRaises(ImgdError, policy.check, given)
        assert isinstance(error, ImgdError)
        self.assertIs(type(error), kind, error)
        return error.detail

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
                self.assertEqual(self.policy.check(given), self.join(real))
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
                    self.assertRaises((NotFound, Forbidden), policy.check, given)

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
        base = DirectoryPolicy(base=self.join("foo"))
        self.assertEqual(base.check("sub"), self.join("foo", "sub"))
        self.assertEqual(base.check("../foobar"), self.join("foobar"))
        for given, real in [("~", "foo"), ("~/sub", "foo/sub"), ("~/../foobar", "foobar")]:
            self.assertEqual(self.anywhere.check(given), self.join(real))
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
        self.assertTrue(self.anywhere.check("devices-of-ours"))

    def test_too_wide(self) -> None:
        """What holds the document root's parent folder, and the whole disk, is not loaded
        recursively unless a root that is allowed names it; what lies beside or below is.
        """
        self.write("a/b/images/x.png", "a/bc/y.png", "ab/z.png")
        self.link("a/up", "..")
        policy = DirectoryPolicy(base=self.top, documents=self.join("a", "b", "images"))
        for given in ("/", "//", ".", "a", "a/b/..", "a/up", "a/up/a", ".."):
            with self.subTest(given=given):
                with self.assertRaises(Forbidden) as caught:
                    policy.check(given, True)
                self.assertIn("without --allow-root", caught.exception.detail)
                self.assertTrue(policy.check(given))
                named = DirectoryPolicy(base=self.top, allowed=("/",), documents=policy.documents)
                self.assertEqual(named.check(given, True), policy.check(given))
        for given in ("a/b", "a/b/images", "a/bc", "ab"):
            self.assertEqual(policy.check(given, True), self.join(given))
        with self.assertRaises(Forbidden):  # a document root at the top of the disk
            DirectoryPolicy(base=self.top, documents="/images").check("/", True)

    def test_state_folder(self) -> None:
        """The state folder is refused; what holds it is not, and yet never shows it."""
        self.link("link", "state")
        self.write("state/sub/x.png", "state-of-ours/y.png")
        for given in ("state", "state/", "state/sub", "link", "link/sub", "state/not there"):
            self.assertIn("cannot be served", self.refusal(Forbidden, self.anywhere, given))
        self.assertTrue(self.anywhere.check("state-of-ours"))
        root = self.anywhere.root(self.anywhere.check("."), True)
        names = list(scan.read(root).names)
        self.assertIn("state-of-ours/y.png", names)
        self.assertFalse([name for name in names if name.startswith(("state/", "link/"))])
        for path in (("state", "catalog.png"), ("link", "catalog.png"), ("state", "sub", "x.png")):
            self.assertRaises(NotFound, disk.open_file, root, path)

    def test_no_directory(self) -> None:
        """Missing, no directory and unreadable are different errors, with the given name."""
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
        """A directory that this user may not read or enter is an error that says so."""
        top = public_folder(self)
        for name in ("shut", "blind", "stuck"):
            write(os.path.join(top, name, "sub", "a.png"))
        os.chmod(os.path.join(top, "shut"), 0)
        os.chmod(os.path.join(top, "blind"), 0o311)
        os.chmod(os.path.join(top, "stuck"), 0o644)
        with unprivileged():
            for given in ("shut", "blind", "stuck", "shut/sub", "stuck/sub"):
                with self.subTest(given=given):
                    detail = self.refusal(BadRequest, DirectoryPolicy(base=top), given)
                    self.assertIn("Check its permissions", detail)
            self.assertTrue(DirectoryPolicy(base=top).check("blind/sub"))
