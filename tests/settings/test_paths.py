"""Settings that are paths."""

import os

from twisted.trial.unittest import SkipTest

from imgd.settings import load
from tests.settings.settings_case import SettingsCase


class PathTests(SettingsCase):
    def test_relative_and_home(self) -> None:
        """Paths are made absolute from the working folder, and ~ is the user's own."""
        settings = self.load(
            {"state-dir": "~/state", "frame-base-dir": ".", "access-log": "a/../access.log"}
        )
        self.assertEqual(settings.state_dir, os.path.expanduser("~/state"))
        self.assertEqual(settings.frame_base_dir, str(self.cwd))
        self.assertEqual(settings.access_log, str(self.cwd / "access.log"))

    def test_document_root(self) -> None:
        """A named document root must be a folder that can be read; the default may be missing."""
        self.write("file")
        for text, why in (
            ("gone", "does not exist"),
            ("file", "is not a folder"),
            ("-", "does not"),
        ):
            for option in ("images-dir", "output-dir", "outputs-dir"):
                self.assert_problems(self.problems({option: text}), f"--{option}: {text!r} {why}")
        self.make("output")
        settings = self.load({"images-dir": "output"})
        self.assertFalse(settings.images_dir_is_default)

    def test_default_document_root_is_a_file(self) -> None:
        """A default that is there and no folder is a problem too."""
        name = self.write("output")
        self.assert_problems(self.problems(), f"--images-dir: its default {name!r} is not a folder")

    def test_niivue(self) -> None:
        """A folder of NiiVue's is one in which npm unpacked it, or its dist folder."""
        bundle = os.path.join("package", "dist", "niivue.umd.js")
        self.make("npm", "package", "dist")
        path = self.write(os.path.join("npm", bundle))
        for folder in ("npm", "npm/package", "npm/package/dist"):
            self.assertEqual(self.load({"niivue": folder}).niivue, path)
        self.assertEqual(self.load({}).niivue, None)
        self.make("empty")
        for text, why in (("gone", "does not exist"), ("empty", "holds no dist/niivue.umd.js")):
            self.assert_problems(self.problems({"niivue": text}), f"--niivue: {text!r} {why}")

    def test_unreadable_document_root(self) -> None:
        """A document root without permission is a problem."""
        folder = self.make("closed")
        os.chmod(folder, 0)
        self.addCleanup(os.chmod, folder, 0o700)
        if os.access(folder, os.R_OK):
            raise SkipTest("this user may read every folder")
        self.assert_problems(
            self.problems({"images-dir": folder}), f"--images-dir: {folder!r} cannot"
        )

    def test_roots(self) -> None:
        """Allowed roots are the real paths of folders that are there."""
        real = self.make("real")
        os.symlink(real, self.cwd / "link")
        environ = {"IMGD_ALLOW_ROOTS": os.pathsep.join(["link", real, str(self.cwd)])}
        self.assertEqual(self.load({}, environ).allow_roots, (real, str(self.cwd)))
        self.assertEqual(self.load({"allow-root": ["link"]}, environ).allow_roots, (real,))
        self.assert_problems(
            self.problems({}, {"IMGD_ALLOW_ROOTS": os.pathsep.join(["gone", "link", "lost"])}),
            "IMGD_ALLOW_ROOTS: 'gone' does not exist",
            "IMGD_ALLOW_ROOTS: 'lost' does not exist",
        )

    def test_frame_base_dir(self) -> None:
        """The base of relative directories must be there."""
        self.assert_problems(
            self.problems({}, {"FRAME_BASE_DIR": "gone"}), "FRAME_BASE_DIR: 'gone' does not exist"
        )

    def test_state_directory_of_systemd(self) -> None:
        """The first of systemd's folders is taken, after imgd's own key."""
        environ = {"STATE_DIRECTORY": f"{self.state}:/elsewhere"}
        self.assertEqual(load({}, environ, str(self.cwd)).state_dir, str(self.state))
        both = {**environ, "IMGD_STATE_DIR": str(self.state / "own")}
        self.assertEqual(load({}, both, str(self.cwd)).state_dir, str(self.state / "own"))

    def test_state_folder_is_a_file(self) -> None:
        """A state folder may be missing, and may be nothing but a folder."""
        name = self.write("file")
        self.assert_problems(
            self.problems({"state-dir": name}), f"--state-dir: {name!r} is not a folder"
        )

    def test_access_log(self) -> None:
        """The access log is - or a file in a folder that is there."""
        self.assertEqual(self.load({"access-log": "-"}).access_log, "-")
        folder = self.make("logs")
        self.assert_problems(self.problems({"access-log": folder}), "--access-log: ")
        self.assert_problems(
            self.problems({"access-log": "gone/a.log"}), "--access-log: 'gone/a.log' "
        )

    def test_nul(self) -> None:
        """A NUL in a path is a problem like others."""
        self.assert_problems(self.problems({"images-dir": "a\0b"}), "--images-dir: 'a\\x00b' holds")
