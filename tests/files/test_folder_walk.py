"""Everything below a folder, by the rules of its listings."""

from __future__ import annotations

import os

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.errors import NotFound
from imgd.files import folder_walk
from imgd.files.disk import Root
from tests.fakes import write


class WalkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.root = os.path.join(self.folder, "root")
        os.makedirs(self.root)
        self.left_out: dict[str, str] = {}

    def walk(self, *names: str, **more: object) -> dict[str, int | None]:
        """The size of each file below, None for a folder."""
        root = Root(self.root, **more)  # type: ignore[arg-type]

        def leave_out(path: tuple[str, ...], reason: str) -> None:
            self.left_out["/".join(path)] = reason

        found = folder_walk.walk(root, names, leave_out)
        return {"/".join(path): None if e.is_folder else e.size for path, e in found}

    def test_as_listed(self) -> None:
        """What listings show is found in every folder, and what they hide is not."""
        write(os.path.join(self.root, "a", "b", "c.txt"), b"text")
        write(os.path.join(self.root, "a", "d.png"), b"png")
        os.mkdir(os.path.join(self.root, "a", "empty"))
        for hidden in ("a/.hidden", "a/x.key", "a/.git/config", "images/x.png", "state/token"):
            write(os.path.join(self.root, hidden))
        os.mkfifo(os.path.join(self.root, "a", "fifo"))
        os.symlink("/etc/passwd", os.path.join(self.root, "a", "passwd"))
        hidden_ones = {
            "hidden": frozenset(("images",)),
            "forbidden": (os.path.join(self.root, "state"),),
        }
        expected = {"a": None, "a/b": None, "a/b/c.txt": 4, "a/d.png": 3, "a/empty": None}
        self.assertEqual(self.walk(**hidden_ones), {"": None, **expected})
        self.assertEqual(self.walk("a"), expected)
        images = {path: size for path, size in expected.items() if path != "a/b/c.txt"}
        self.assertEqual(self.walk("a", images_only=True), images)
        self.assertEqual(self.left_out, {})

    def test_before(self) -> None:
        """A folder comes before what it holds."""
        write(os.path.join(self.root, "a", "b", "c"))
        self.assertEqual(list(self.walk()), ["", "a", "a/b", "a/b/c"])

    def test_links(self) -> None:
        """Links are followed as listings follow them; one that leads up is left out and named."""
        write(os.path.join(self.root, "a", "x"), b"1")
        os.symlink("a", os.path.join(self.root, "link"))
        os.symlink("..", os.path.join(self.root, "a", "back"))
        found = self.walk()
        self.assertEqual(sorted(found), ["", "a", "a/x", "link", "link/x"])
        loops = {"a/back": folder_walk.IS_LOOP, "link/back": folder_walk.IS_LOOP}
        self.assertEqual(self.left_out, loops)

    def test_outside(self) -> None:
        """What lies outside of the root is there only if links may leave it."""
        write(os.path.join(self.folder, "other", "x"), b"1")
        os.symlink("../other", os.path.join(self.root, "out"))
        self.assertEqual(self.walk(), {"": None})
        self.assertEqual(self.walk(follow_symlinks=True), {"": None, "out": None, "out/x": 1})

    def test_unreadable(self) -> None:
        """A file or folder that imgd may not read is left out, and named."""
        if os.geteuid() == 0:
            raise SkipTest("this user may read every file")
        os.chmod(write(os.path.join(self.root, "secret.png")), 0)
        os.mkdir(os.path.join(self.root, "closed"), 0)
        self.assertEqual(self.walk(), {"": None, "closed": None})
        self.assertEqual(set(self.left_out), {"secret.png", "closed"})

    def test_gone(self) -> None:
        """A folder that is missing, or a file, is NotFound; one that goes meanwhile is named."""
        write(os.path.join(self.root, "file"))
        for name in ("missing", "file", ".hidden"):
            self.assertRaises(NotFound, self.walk, name)
        os.makedirs(os.path.join(self.root, "a", "b"))
        found = folder_walk.walk(
            Root(self.root), ("a",), lambda path, reason: self.left_out.update({path[-1]: reason})
        )
        self.assertEqual([next(found)[0], next(found)[0]], [("a",), ("a", "b")])
        os.rmdir(os.path.join(self.root, "a", "b"))
        self.assertEqual(list(found), [])
        self.assertEqual(self.left_out, {"b": folder_walk.UNREADABLE})
        found = folder_walk.walk(Root(self.root), ("a",), lambda *_: None)
        next(found)
        os.rmdir(os.path.join(self.root, "a"))
        self.assertRaises(NotFound, next, found)
