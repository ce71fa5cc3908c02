"""The file of settings is read only if nobody else can have written it."""

from __future__ import annotations

import os
import pwd
import struct
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.daemons import Daemon, DaemonCase, run
from tests.settings.settings_case import FileCase

OTHER = 54321  # a user of no name
# Tags of an ACL's entries, in the order that the kernel wants (acl(5)).
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, EVERYBODY = 1, 2, 4, 8, 0x10, 0x20
NOBODY = 0xFFFFFFFF


def chown(path: Path | str, user: int = -1, group: int = -1) -> None:
    try:
        os.chown(path, user, group, follow_symlinks=False)
    except PermissionError:
        raise SkipTest("only root can give files to other users") from None


def set_acl(path: Path | str, *entries: tuple[int, int, int]) -> None:
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", data)
    except (OSError, AttributeError):
        raise SkipTest("there are no POSIX ACLs here") from None


def lonely_group() -> int:
    """A group that nobody but root is in."""
    return pwd.getpwuid(0).pw_gid


class FoundFileTests(FileCase):
    def test_own(self) -> None:
        """One's own file in one's own folder is read, and known by its path."""
        self.assert_read()
        self.assertEqual(self.load().settings_file, str(self.file))

    def test_none(self) -> None:
        """Without a file nothing is refused, whoever can write the folder."""
        self.file.unlink()
        os.chmod(self.cwd, 0o777)
        self.assertIsNone(self.load().settings_file)

    def test_written_by_all(self) -> None:
        """A file, or a folder, that everybody can write is refused; a sticky bit is no help."""
        os.chmod(self.file, 0o666)
        self.assert_refused(f"every user can write {self.file}:")
        os.chmod(self.file, 0o644)
        for mode in (0o777, 0o1777, 0o757):
            os.chmod(self.cwd, mode)
            self.assert_refused(f"every user can write {self.cwd}:")

    def test_another_user(self) -> None:
        """A file, or a folder, of another user is refused, whatever its mode."""
        for path in (self.file, self.cwd):
            chown(path, OTHER)
            self.assert_refused(f"{path} belongs to user {OTHER}")
            chown(path, os.geteuid())
        self.assert_read()

    def test_groups(self) -> None:
        """A group that may write counts if it has another member, by its list or as a user's own
        group. An unknown group counts, and a group without others does not.
        """
        others = [user for user in pwd.getpwall() if user.pw_uid not in (0, os.geteuid())]
        own = [user for user in others if user.pw_gid != lonely_group()]
        if not own:
            raise SkipTest("there is no other user here")
        for path, mode in ((self.file, 0o664), (self.cwd, 0o775)):
            chown(path, group=own[0].pw_gid)
            os.chmod(path, mode)
            self.assert_refused(f"group {own[0].pw_gid} can write {path}")
            chown(path, group=OTHER)
            self.assert_refused(f"group {OTHER} can write {path}")
            if any(user.pw_gid == lonely_group() for user in others):
                raise SkipTest("root's group has other members here")
            chown(path, group=lonely_group())
            self.assert_read()

    def test_access_control_lists(self) -> None:
        """A user or group that an ACL lets write counts like one that the mode lets; its mask
        limits them.
        """
        for path, own, rest in ((self.file, 6, 4), (self.cwd, 7, 5)):
            for entry, mask, refused in (
                ((USER, 6, OTHER), 7, f"user {OTHER} can write {path}"),
                ((GROUP, 6, OTHER), 7, f"group {OTHER} can write {path}"),
                ((USER, 6, OTHER), 5, ""),
                ((USER, 5, OTHER), 7, ""),
                ((USER, 7, os.geteuid()), 7, ""),
            ):
                start = [(USER_OBJ, own, NOBODY), (GROUP_OBJ, rest, NOBODY)]
                end = [(MASK, mask, NOBODY), (EVERYBODY, rest, NOBODY)]
                set_acl(path, *sorted([*start, entry]), *end)
                if refused:
                    self.assert_refused(refused)
                else:
                    self.assert_read()

    def test_links(self) -> None:
        """A link is followed, and each step and its folder is judged."""
        folder = Path(self.make("config"))
        target = self.file.rename(folder / "settings")
        middle = folder / "middle"
        middle.symlink_to("settings")
        self.file.symlink_to("config/middle")
        self.assert_read()
        os.chmod(folder, 0o777)
        self.assert_refused(f"every user can write {folder}:")
        os.chmod(folder, 0o755)
        os.chmod(target, 0o666)
        self.assert_refused(f"every user can write {target}:")
        os.chmod(target, 0o644)
        for path in (target, middle, self.file, folder):
            chown(path, OTHER)
            self.assert_refused(f"{path} belongs to user {OTHER}")
            chown(path, os.geteuid())
        self.assert_read()

    def test_dangling_link(self) -> None:
        """A link to nothing is no file."""
        self.file.unlink()
        self.file.symlink_to("gone")
        self.assertEqual(self.load().port, 8888)


class NamedFileTests(FileCase):
    def test_chosen(self) -> None:
        """A named file is the operator's choice: its folder and its owner are not judged."""
        os.chmod(self.cwd, 0o777)
        self.assert_read(env_file=".env")
        chown(self.file, OTHER)
        self.assert_read(env_file=".env")
        self.assertEqual(self.load({"env-file": ".env"}).settings_file, str(self.file))

    def test_written_by_others(self) -> None:
        """One that others can write is refused, through a link as well."""
        (self.cwd / "link").symlink_to(".env")
        os.chmod(self.file, 0o666)
        for name in (".env", "link"):
            self.assert_refused(f"every user can write {self.file}:", env_file=name)


class StartTests(DaemonCase):
    def test_log(self) -> None:
        """The log names the file that settings were read from, and none if there is no file."""
        daemon = self.daemon("--no-tls")
        daemon.stop()
        self.assertFalse([line for line in daemon.lines if "Settings were read" in line])
        file = self.folder / ".env"
        file.write_text("IMAGE_SERVER_TIMEOUT=5\n")
        os.chmod(self.folder, 0o755)
        os.chmod(file, 0o600)
        daemon = Daemon(self.folder, "--no-tls")
        self.addCleanup(daemon.stop)
        lines = [line for line in daemon.lines if line.endswith(f"Settings were read from {file}")]
        self.assertEqual(len(lines), 1)

    def test_refused(self) -> None:
        """A start in a folder where everybody can put a .env ends with status 1 and a line."""
        (self.folder / ".env").write_text("IMAGE_SERVER_TIMEOUT=5\n")
        os.chmod(self.folder, 0o777)
        done = run(self.folder, "-n", "--pidfile=", "imgd", "--port", "0", "--no-tls",
                   "--state-dir", str(self.folder / "state"))  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"every user can write {self.folder}: ", done.stderr)
        self.assertNotIn("Traceback", done.stdout + done.stderr)
