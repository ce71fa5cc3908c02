"""The small commands, and what is said when one fails."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from imgd.client.cli import guarded, perform
from imgd.client.options import parse
from tests.client.fake_imgd import TICKET, FakeImgd, TestContext

HOSTILE = "\x1b[2J\x9b31m\u202egpj\u2066\x85\n\u2028"
SPOKEN = ("message", "version", "directory", "detail", "public_url")


def hostile(answer: Any) -> Any:
    """An answer in which every text that a server can choose writes to the terminal."""
    if isinstance(answer, list):
        return [hostile(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        key: value + HOSTILE if key in SPOKEN and isinstance(value, str) else hostile(value)
        for key, value in answer.items()
    }


class CommandCase(TestCase):
    """A desk, and a server of the test's own."""

    timeout = 60

    def setUp(self) -> None:
        self.imgd = FakeImgd(self)
        self.context = TestContext(self)
        self.context.environ = {"IMGD_STATE_DIR": self.mktemp(), "IMGD_SERVER": self.imgd.url}

    def run_command(self, *words: str) -> Deferred[int]:
        self.context.out.truncate(0)
        self.context.out.seek(0)
        return Deferred.fromCoroutine(guarded(self.context, perform(self.context, parse(words))))


class Commands(CommandCase):
    async def test_status(self) -> None:
        """A table of what is loaded, or the server's JSON."""
        self.assertEqual(await self.run_command("status"), 0)
        self.assertIn("Nothing is loaded. To load a directory: imgd load DIR", self.context.printed)
        self.imgd.images("/data/a", 1200)
        self.imgd.loaded = {
            "ct": {"directory": "/data/a", "recursive": True},
            "current": {"directory": "/data/a", "recursive": False, "all_files": True},
        }
        await self.run_command("status")
        self.assertEqual(
            self.context.printed.splitlines()[2:],
            [
                "NAME     IMAGES  UNLOADS AT  DIRECTORY",
                "ct        1,200  never       /data/a (and below)",
                "current   1,200  never       /data/a (all files)",
            ],
        )
        await self.run_command("status", "--json")
        self.assertEqual(json.loads(self.context.printed)["version"], "9.9")

    async def test_pictures(self) -> None:
        """What makes pictures is told, or why none is made."""
        counts = {"workers": 2, "busy": 1, "waiting": 3, "made": 1204, "failed": 2}
        for pictures, line in (
            (counts, "Pictures: 1 of 2 workers busy, 3 waiting, 1,204 made, 2 failed"),
            ({"off": "--picture-workers 0"}, "Pictures: off (--picture-workers 0)"),
        ):
            self.imgd.health = {"pictures": pictures}
            await self.run_command("status")
            self.assertEqual(self.context.printed.splitlines()[1], line)

    async def test_private(self) -> None:
        """Where reading is private the token is shown, and without it the server's reason told."""
        self.imgd.token = "the-token-of-this-test"
        self.assertEqual(await self.run_command("status"), 1)
        self.assertEqual(self.context.remarked, "imgd: Reading is private here\n")
        self.assertEqual(await self.run_command("status", "--token", self.imgd.token), 0)

    async def test_hostile_directories(self) -> None:
        """A directory's name cannot write to the terminal."""
        self.imgd.images("/data/\x1b[2Ja\nb", 1)
        self.imgd.loaded = {"ct": {"directory": "/data/\x1b[2Ja\nb", "recursive": False}}
        await self.run_command("status")
        self.assertNotIn("\x1b", self.context.printed)
        self.assertEqual(len(self.context.printed.splitlines()), 4)

    async def test_unload_and_timeout(self) -> None:
        """Both do it, and print what the server says."""
        self.imgd.images("/data/a", 1)
        self.imgd.loaded = {"ct": {"directory": "/data/a", "recursive": False}}
        self.assertEqual(await self.run_command("unload", "ct"), 0)
        self.assertEqual(self.context.printed, "unloaded\n")
        self.assertEqual(await self.run_command("timeout", "5"), 0)
        self.assertEqual(self.imgd.posts, [("/unload", {"name": "ct"}), ("/timeout/5", None)])

    async def test_link(self) -> None:
        """A link is all that goes to stdout; how long it is good goes to stderr."""
        words = ("link", "/images/a.nii.gz")
        self.assertEqual(await self.run_command(*words), 0, self.context.remarked)
        self.assertEqual(self.context.printed, f"{self.imgd.url}{TICKET}/images/a.nii.gz\n")
        self.assertEqual(self.context.remarked, "good until 2099-01-01 00:00:00 UTC\n")
        await self.run_command("link", "/images/", "--prefix", "--expires", "2d")
        self.assertEqual(await self.run_command("link", "--revoke-all"), 0)
        self.assertEqual(self.context.printed, "none is good\n")
        self.assertEqual(
            self.imgd.posts,
            [
                ("/links", {"path": words[1], "expires": 3600, "prefix": False}),
                ("/links", {"path": "/images/", "expires": 172_800, "prefix": True}),
                ("/links/revoke", None),
            ],
        )

    async def test_tunnel_cleared(self) -> None:
        """``imgd tunnel --clear`` takes the public URL back."""
        self.assertEqual(await self.run_command("tunnel", "--clear"), 0)
        self.assertEqual(self.imgd.posts, [("/public-url", {"url": None})])

    async def test_failures(self) -> None:
        """A failure is status 1 and one line on stderr that says what to do."""
        self.assertEqual(await self.run_command("unload", "ct"), 1)
        self.assertEqual(self.context.remarked, "imgd: no /unload here\n")
        self.context.environ = {"IMGD_STATE_DIR": self.mktemp()}
        self.assertEqual(await self.run_command("status"), 1)
        self.assertIn("no imgd is running", self.context.remarked)
        self.assertEqual(await self.run_command("load", "--resume", "gone.json"), 1)
        self.assertIn("gone.json cannot be read", self.context.remarked)

    async def test_bugs(self) -> None:
        """What nobody thought of is status 1 too, and says what it is."""

        async def broken() -> int:
            raise ZeroDivisionError("this one")

        self.assertEqual(await guarded(self.context, broken()), 1)
        self.assertIn("this is a bug", self.context.remarked)

        async def unread() -> int:
            raise BrokenPipeError

        before = self.context.remarked
        self.assertEqual(await guarded(self.context, unread()), 1)
        self.assertEqual(self.context.remarked, before)

    async def test_load(self) -> None:
        """The options of a load reach it: all of them."""
        self.imgd.images("/data/a", 3)
        words: list[Any] = ["load", "/data/a", "--name", "ct", "--recursive", "--timeout", "7"]
        words += ["--verify", "get", "--unload-first", "--unload", "--output", "-", "--quiet"]
        self.assertEqual(await self.run_command(*words), 0, self.context.remarked)
        self.assertEqual(json.loads(self.context.printed)["count"], 3)
        self.assertEqual(
            [(path, body["name"]) for path, body in self.imgd.posts],
            [("/unload", "ct"), ("/load-directory", "ct"), ("/unload", "ct")],
        )
        self.assertEqual(self.imgd.posts[1][1]["timeout_minutes"], 7)
        self.assertEqual(sum(line.startswith("GET /coll") for line in self.imgd.log), 4)


class HostileText(CommandCase):
    """Nothing that a server says reaches the terminal as it is, whatever it is said with."""

    def setUp(self) -> None:
        super().setUp()
        say = self.imgd._say

        def speak(request: Any, answer: Any) -> bytes:
            if answer is None:
                request.setResponseCode(404)
            return say(request, hostile(answer or {"detail": "No."}))

        self.imgd._say = speak  # type: ignore[method-assign]
        self.imgd.images("/data/a", 3)
        self.imgd.loaded = {"ct": {"directory": "/data/a", "recursive": False}}

    def assert_harmless(self) -> None:
        """All is ASCII here but line ends, and it has been tried."""
        shown = self.context.printed + self.context.remarked
        self.assertEqual([c for c in shown if c != "\n" and not " " <= c <= "~"], [])
        self.assertIn("202e", shown)
        self.assertIn("9b31m", shown)

    async def test_status(self) -> None:
        """A table's cells, and JSON, which has the same value."""
        await self.run_command("status")
        self.assert_harmless()
        await self.run_command("status", "--json")
        self.assert_harmless()
        [line] = self.context.printed.splitlines()
        self.assertIn("\\u009b31m\\u202e", line)
        self.assertEqual(json.loads(line)["version"], "9.9" + HOSTILE)
        self.assertEqual(json.loads(line)["collections"][0]["directory"], "/data/a" + HOSTILE)

    async def test_messages(self) -> None:
        """What every command says."""
        for words in (
            ("unload", "ct"),
            ("timeout", "5"),
            ("link", "--revoke-all"),
            ("tunnel", "--clear"),
        ):
            self.assertEqual(await self.run_command(*words), 0, words)
            self.assert_harmless()
            self.assertEqual(len(self.context.printed.splitlines()), 1)

    async def test_errors(self) -> None:
        """Its errors."""
        for words in (("unload", "none"), ("load", "/none")):
            self.assertEqual(await self.run_command(*words), 1, words)
            self.assert_harmless()

    async def test_load(self) -> None:
        """Names, failures, and a manifest on stdout, which has the same values."""

        def fail(request: Any, _body: bytes) -> bytes:
            request.setResponseCode(404)
            return b""

        self.imgd.directories["/data/a"] |= {HOSTILE + ".png": b"x"}
        self.imgd.hooks = {HOSTILE + ".png": fail}
        words = ("load", "/data/a", "--verbose", "--output", "-")
        self.assertEqual(await self.run_command(*words), 1)
        self.assert_harmless()
        manifest = json.loads(self.context.printed)
        self.assertEqual((manifest["count"], len(manifest["failed"])), (3, 1))
        self.assertEqual(manifest["directory"], "/data/a" + HOSTILE)
