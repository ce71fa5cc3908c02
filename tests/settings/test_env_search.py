"""``.env`` is searched upwards, and no further than others could have put one."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import find_dotenv

from imgd.settings import find_state_dir, load
from tests.daemons import DaemonCase
from tests.settings.settings_case import FileCase


class SearchTests(FileCase):
    """The folder ``cwd`` holds a ``.env``; below it are the folders ``a/b``."""

    def setUp(self) -> None:
        super().setUp()
        self.below = Path(self.make("a", "b"))
        os.chmod(self.below.parent, 0o755)

    def test_nearest(self) -> None:
        """The nearest one is read, as python-dotenv finds it; a folder of that name is none."""
        (self.below / ".env").mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        for path in (self.file, self.below.parent / ".env", self.file):
            if path != self.file:
                path.write_text("IMAGE_SERVER_PORT=4\n")
                os.chmod(path, 0o644)
            os.chdir(self.below)
            settings = load({}, {}, str(self.below))
            self.assertEqual(settings.settings_file, find_dotenv(usecwd=True))
            self.assertEqual(settings.settings_file, str(path))
            self.assertEqual(
                (settings.port, settings.warnings), (4 if "a" in path.parts else 3, ())
            )
            (self.below.parent / ".env").unlink(missing_ok=True)

    def test_own_before(self) -> None:
        """The working folder's own one comes first, and others are not read at all."""
        (self.below / ".env").write_text("IMAGE_SERVER_HOST=box\n")
        os.chmod(self.below / ".env", 0o644)
        os.chmod(self.below, 0o755)
        settings = load({}, {}, str(self.below))
        self.assertEqual((settings.port, settings.host), (8888, "box"))

    def test_a_folder_of_others(self) -> None:
        """One in a folder above that others can write is passed over with a warning, and ends the
        search: else anybody could stop, or direct, what starts below.
        """
        planted = self.below.parent / ".env"
        planted.write_text("IMAGE_SERVER_PORT=4\n")
        os.chmod(planted, 0o644)
        for mode in (0o777, 0o1777):
            os.chmod(self.below.parent, mode)
            settings = load({}, {}, str(self.below))
            self.assertEqual((settings.port, settings.settings_file), (8888, None))
            self.assertEqual(
                settings.warnings,
                (f"{planted} is not read, as every user can write {self.below.parent}",),
            )

    def test_an_open_file(self) -> None:
        """In a folder of one's own, a file that others can write is refused, as in the working
        folder.
        """
        os.chmod(self.file, 0o666)
        self.cwd = self.below
        self.assert_refused(f"every user can write {self.file}:")

    def test_problems_name_the_file(self) -> None:
        """A problem in a file above names it by its path."""
        self.file.write_text("IMAGE_SERVER_PORT=x\n")
        self.cwd = self.below
        self.assert_problems(self.problems(), f"{self.file}: IMAGE_SERVER_PORT: 'x' is not")

    def test_the_client(self) -> None:
        """The client finds the state folder in the same file."""
        self.file.write_text("IMGD_STATE_DIR=/else/where\n")
        self.assertEqual(find_state_dir({}, str(self.below)), "/else/where")


class LogTests(DaemonCase):
    def test_log(self) -> None:
        """The log names the file that was read, and each key that nothing knows, never a value."""
        file = self.folder / ".env"
        file.write_text("IMGD_PRVATE=hunter2\nIMGD_XYZZY=1\nOTHER_KEY=1\n")
        os.chmod(self.folder, 0o755)
        os.chmod(file, 0o644)
        working = self.folder / "working"
        env = {"IMGD_TOKN": "hunter2", "IMGD_SERVER": "https://localhost:1"}
        daemon = self.daemon("--no-tls", env=env, cwd=working)
        for text in (
            f"Settings were read from {file}",
            f"{file}: IMGD_PRVATE is no setting of imgd and has no effect: "
            "did you mean IMGD_PRIVATE?",
            f"{file}: IMGD_XYZZY is no setting of imgd and has no effect: see --help",
            "IMGD_TOKN is no setting of imgd and has no effect: did you mean IMGD_TOKEN?",
        ):
            self.assertEqual(sum(line.endswith(text) for line in daemon.lines), 1, text)
        log = "\n".join(daemon.lines)
        for text in ("hunter2", "OTHER_KEY", "IMGD_SERVER is"):
            self.assertNotIn(text, log)
