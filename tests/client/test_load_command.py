"""``imgd load`` against a small server of its own: what it asks, writes and says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from tempfile import gettempdir
from typing import Any
from unittest import skipUnless

from twisted.web.server import NOT_DONE_YET, Request

from imgd.client import manifest as manifest_module
from imgd.client.cli import guarded, perform
from imgd.client.load_command import LoadCommand
from imgd.client.load_targets import resumed
from imgd.client.manifest import IN_MEMORY, read_manifest
from imgd.client.options import CliOptions, parse
from tests.client.fake_imgd import FakeImgd, TestContext, turn
from tests.client.load_case import TOKEN, LoadCase

LATER_FIELDS = ["collection", "server", "verify", "recursive", "failed"]
FIELDS = ["success", "directory", "timestamp", "message", "count", "image_urls"]


class Elsewhere(LoadCase):
    """What a server lists of other servers."""

    def setUp(self) -> None:
        super().setUp()
        self.other = FakeImgd(self)
        self.imgd.images("/data/frames", 30)
        self.other.directories, self.other.loaded = self.imgd.directories, self.imgd.loaded

    def list_others(self, which: Callable[[int], bool], url: str | None = None) -> None:
        """The pages of the server have these images' URLs on another one."""
        page = self.imgd._page

        def elsewhere(name: str, query: dict[str, str]) -> Any:
            made = page(name, query)
            for number, image in enumerate(made["images"]):
                if which(number):
                    image["url"] = image["url"].replace(self.imgd.url, url or self.other.url)
            return made

        self.imgd._page = elsewhere  # type: ignore[method-assign]

    async def test_not_asked(self) -> None:
        """An image that lies neither on the server nor at its public URL is not asked for, and is
        told as a failure in one sentence; the others are checked.
        """
        self.list_others(lambda number: number % 3 == 1)
        for how in ("head", "get"):
            self.options = CliOptions(verify=how, workers=3, batch_size=4)
            self.assertEqual(await self.load("/data/frames", name=how), 1)
            manifest = self.manifests()[-1]
            self.assertEqual((manifest["count"], len(manifest["failed"])), (20, 10))
            [reason] = {failed["reason"] for failed in manifest["failed"]}
            self.assertEqual(
                reason,
                f"Not asked: {self.other.url} is neither the server nor its public URL, "
                "which --public-url names.",
            )
        self.assertEqual(self.other.log, [])

    async def test_nowhere(self) -> None:
        """Whatever is listed, nothing but a server is connected to, and no name is looked up."""
        for url in ("http://169.254.169.254", "https://no-such-name.invalid", "ftp://a", "//a"):
            self.list_others(lambda _: True, url)
            self.assertEqual(await self.load("/data/frames", name="ct"), 1)
            self.assertEqual(self.manifests()[-1]["count"], 0)
            self.assertNotIn("name is unknown", self.context.remarked)

    async def test_public_url(self) -> None:
        """The public URL that the user names is asked."""
        self.list_others(lambda _: True)
        self.server = self.server.with_public(self.other.url)
        self.assertEqual((await self.loaded("/data/frames"))["count"], 30)
        self.assertEqual(len(self.other.checked), 30)

    async def test_announced(self) -> None:
        """So is the one that the daemon announces which was found to run here, and no other's."""
        self.list_others(lambda _: True)
        collection = self.imgd._collection
        self.imgd._collection = lambda name: {  # type: ignore[method-assign]
            **collection(name),
            "url": f"{self.other.url}/collections/{name}/images",
        }
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertEqual(self.other.log, [])
        self.server = replace(self.server, also=(self.imgd.url,))
        self.assertEqual((await self.loaded("/data/frames"))["count"], 30)

    async def test_options(self) -> None:
        """``--public-url``, or the environment of ``imgd tunnel``, names it on the command line."""
        self.list_others(lambda _: True)
        words = ["load", "/data/frames", "--server", self.imgd.url, "--output", self.folder]
        for more, environ, status in (
            ([], {}, 1),
            (["--public-url", self.other.url], {}, 0),
            ([], {"NGROK_URL": self.other.url}, 0),
        ):
            self.context.environ = {"IMGD_STATE_DIR": self.folder, **environ}
            done = await guarded(self.context, perform(self.context, parse([*words, *more])))
            self.assertEqual(done, status, (more, environ, self.context.remarked))


class Manifests(LoadCase):
    async def test_fields(self) -> None:
        """B's fields come first, in B's order; then the collection, the server, what failed."""
        self.imgd.images("/data/frames", 3)
        manifest = await self.loaded("/data/frames")
        self.assertEqual(list(manifest), [*FIELDS, *LATER_FIELDS])
        self.assertEqual(manifest["success"], True)
        self.assertEqual(manifest["directory"], "/data/frames")
        self.assertRegex(manifest["timestamp"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertEqual(manifest["message"], "Generated URLs for 3 images")
        self.assertEqual(manifest["count"], 3)
        self.assertEqual(manifest["collection"], "current")
        self.assertEqual(manifest["server"], self.imgd.url)
        self.assertEqual(manifest["failed"], [])
        self.assertEqual(
            manifest["image_urls"], [f"{self.imgd.url}/images/i%20000{n}.png" for n in range(3)]
        )

    async def test_timer(self) -> None:
        """A collection that unloads itself has B's three fields for it, after the URLs."""
        self.imgd.images("/data/frames", 1)
        self.imgd.expires_at = "2099-01-01T00:00:00Z"
        manifest = await self.loaded("/data/frames")
        timer = ["timeout_minutes", "auto_unload_at", "time_remaining"]
        self.assertEqual(list(manifest)[:9], FIELDS + timer)
        self.assertEqual(manifest["timeout_minutes"], 30)
        self.assertRegex(manifest["auto_unload_at"], r"^20(98|99)-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertRegex(manifest["time_remaining"], r"^\d+m \d+s$")

    async def test_sorted(self) -> None:
        """URLs are sorted as URLs, which is not how their names are sorted."""
        names = ["a0.png", "a=.png", "aA.png", "a b.png", "a!.png", "a-.png", "ü.png"]
        self.imgd.directories["/data"] = dict.fromkeys(names, b"x")
        urls = (await self.loaded("/data"))["image_urls"]
        self.assertEqual(urls, sorted(urls))
        self.assertNotEqual([url.rpartition("/")[2] for url in urls[:2]], sorted(names)[:2])
        self.assertEqual(len(urls), len(names))

    async def test_where(self) -> None:
        """The name and the output decide where it goes; stdout holds its path alone."""
        self.imgd.images("/data/frames", 1)
        await self.load("/data/frames")
        await self.load("/data/frames", name="ct")
        await self.load("/data/frames", output=os.path.join(self.folder, "new", "x.json"))
        stamped, named, chosen = self.context.printed.splitlines()
        self.assertRegex(os.path.basename(stamped), r"^frames_\d{8}_\d{6}\.json$")
        self.assertEqual(named, os.path.join(self.folder, "ct.json"))
        self.assertEqual(chosen, os.path.join(self.folder, "new", "x.json"))
        self.assertEqual([m["collection"] for m in self.manifests()], ["current", "ct", "current"])
        self.assertEqual(sorted(os.listdir(os.path.join(self.folder, "new"))), ["x.json"])

    async def test_stdout(self) -> None:
        """``--output -`` prints the manifest and nothing else."""
        self.imgd.images("/data/frames", 2)
        self.assertEqual(await self.load("/data/frames", output="-"), 0)
        self.assertEqual(json.loads(self.context.printed)["count"], 2)

    async def test_many_directories(self) -> None:
        """Several directories become collections named after them, each with a manifest."""
        for directory in ("/data/day 1", "/data/b/frames", "/data/a/frames"):
            self.imgd.images(directory, 2)
        await self.loaded("/data/day 1", "/data/b/frames", "/data/a/frames")
        found = self.manifests()
        self.assertEqual([m["collection"] for m in found], ["day-1", "frames", "frames-2"])
        self.assertEqual([m["success"] for m in found], [True] * 3)
        self.assertIn("/collections/day-1/files/i%200000.png", found[0]["image_urls"][0])
        names = [os.path.basename(path) for path in self.context.printed.splitlines()]
        self.assertEqual(len(set(names)), 3)
        self.assertTrue(names[0].startswith("day-1_"), names)

    async def test_empty(self) -> None:
        """A directory without images is a failure, and a manifest without URLs says why."""
        self.imgd.images("/data/frames", 0)
        self.assertEqual(await self.load("/data/frames"), 1)
        [manifest] = self.manifests()
        self.assertEqual((manifest["count"], manifest["success"]), (0, False))
        self.assertEqual(
            manifest["message"],
            "Nothing was loaded: the directory is empty, or all in it is hidden",
        )
        self.assertIn("/data/frames: Nothing was loaded", self.context.remarked)
        self.assertNotIn("--resume", self.context.remarked)

    async def test_nothing_but_others(self) -> None:
        """If a directory holds other things, it is said which, and which option serves them."""
        self.imgd.images("/data/frames", 0)
        self.imgd.skipped = {"count": 9, "suffixes": {".txt": 9}}
        self.options = CliOptions(quiet=True)
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertIn("there is no image, but 9 files (9 .txt): --all", self.context.remarked)

    async def test_passed_over(self) -> None:
        """What a load passed over is said in a line, if --quiet does not forbid it, and is no
        failure.
        """
        self.imgd.images("/data/frames", 2)
        self.imgd.skipped = {"count": 2, "suffixes": {".txt": 1, "": 1}}
        line = "imgd: /data/frames: passed over 2 files (1 .txt, 1 without a suffix): --all"
        for options, is_said in ((CliOptions(), True), (CliOptions(quiet=True), False)):
            self.options = options
            before = len(self.context.remarked)
            await self.loaded("/data/frames")
            self.assertEqual(line in self.context.remarked[before:], is_said)

    async def test_passed_over_before(self) -> None:
        """Of what was loaded before, and not read since a restart, it is asked for."""
        self.imgd.images("/data/frames", 2)
        self.options = CliOptions(quiet=True)
        await self.loaded("/data/frames", name="ct")
        self.imgd.skipped = None
        self.imgd.skipped_later = {"count": 1, "suffixes": {".txt": 1}}
        self.options = CliOptions()
        await self.loaded("/data/frames", name="ct")
        self.assertIn("passed over 1 file (1 .txt)", self.context.remarked)

    async def test_unwritable(self) -> None:
        """A manifest that cannot be written is named, before anything is loaded."""
        self.imgd.images("/data/frames", 1)
        with open(self.folder, "w", encoding="ascii"):
            pass
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertRegex(
            self.context.remarked,
            rf"^imgd: /data/frames: the manifest {self.folder}/frames_\d+_\d+\.json cannot be "
            r"written: \S+ is not a folder; --output names another\n$",
        )
        self.assertEqual((self.context.printed, self.imgd.posts), ("", []))

    async def test_folder_that_vanishes(self) -> None:
        """The manifest's folder may go during the load: the manifest is named, not the source."""
        self.imgd.images("/data/frames", 1)
        os.mkdir(self.folder)

        def vanish(_request: Request, body: bytes) -> bytes:
            os.rmdir(self.folder)
            with open(self.folder, "w", encoding="ascii"):
                pass
            return body

        self.imgd.hooks["i 0000.png"] = vanish
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertRegex(self.context.remarked, r"the manifest \S+ cannot be written: File exists;")

    @skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    async def test_full_temporary_folder(self) -> None:
        """If there is no room for the list of URLs, the temporary folder is named."""
        self.imgd.images("/data/frames", IN_MEMORY)
        full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115 - the table's
        self.patch(manifest_module, "TemporaryFile", lambda *_args, **_options: full)
        self.options = CliOptions(verify="none")
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertIn(
            f"imgd: /data/frames: {gettempdir()} has no room for its URLs: No space left on device",
            self.context.remarked,
        )


def lie(request: Request, body: bytes) -> bytes:
    return body + b"more"


def deny(request: Request, body: bytes) -> bytes:
    request.setResponseCode(403)
    return b""


class Failures(LoadCase):
    async def test_listed(self) -> None:
        """What fails stands in the manifest with its reason, on stderr, and in the status."""
        self.imgd.images("/data/frames", 5)
        self.imgd.hooks = {"i 0001.png": lie, "i 0003.png": deny}
        self.assertEqual(await self.load("/data/frames"), 1)
        [manifest] = self.manifests()
        self.assertEqual((manifest["success"], manifest["count"]), (False, 3))
        self.assertEqual(
            manifest["failed"],
            [
                {
                    "url": f"{self.imgd.url}/images/i%200001.png",
                    "reason": "Content-Length is 14, but 10 bytes were announced.",
                },
                {
                    "url": f"{self.imgd.url}/images/i%200003.png",
                    "reason": "The server answers with status 403.",
                },
            ],
        )
        self.assertFalse({one["url"] for one in manifest["failed"]} & set(manifest["image_urls"]))
        self.assertIn("i%200003.png: The server answers with status 403.", self.context.remarked)
        self.assertIn("Generated URLs for 3 images; 2 failed", self.context.remarked)
        self.assertIn("imgd load --resume", self.context.remarked)

    async def test_hostile_urls(self) -> None:
        """A URL that is none is a failure of its own, wherever in a batch it stands."""
        self.imgd.images("/data/frames", 9)
        page = self.imgd._page

        def hostile(name: str, query: dict[str, str]) -> Any:
            made = page(name, query)
            for number, url in ((3, "file:///etc/passwd"), (5, f"{self.imgd.url}/\r\nX: y")):
                made["images"][number]["url"] = url
            return made

        self.imgd._page = hostile  # type: ignore[method-assign]
        for how in ("head", "get", "none"):
            self.options = CliOptions(workers=1, verify=how)
            self.assertEqual(await self.load("/data/frames"), 1)
            manifest = self.manifests()[-1]
            self.assertEqual((manifest["count"], len(manifest["failed"])), (7, 2), how)
            self.assertIn("not one", manifest["failed"][0]["reason"])

    async def test_many_failures(self) -> None:
        """Of many failures stderr shows the first, and their number; the manifest has them all."""
        self.imgd.images("/data/frames", 50)
        self.imgd.hooks = dict.fromkeys(self.imgd.directories["/data/frames"], deny)
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertEqual(len(self.manifests()[0]["failed"]), 50)
        self.assertEqual(self.context.remarked.count("status 403"), 20)
        self.assertIn("and 30 more", self.context.remarked)

    async def test_one_directory_of_several(self) -> None:
        """A directory that cannot be loaded does not keep the others from it."""
        self.imgd.images("/data/a", 1)
        self.imgd.images("/data/c", 1)
        self.assertEqual(await self.load("/data/a", "/data/b", "/data/c"), 1)
        self.assertEqual([m["collection"] for m in self.manifests()], ["a", "c"])
        self.assertIn("imgd: /data/b: no /load-directory here", self.context.remarked)

    async def test_list_that_breaks_off(self) -> None:
        """Where the list of images breaks off, the manifest has what was checked, and says so."""
        self.imgd.images("/data/frames", 2500)
        pages = iter([self.imgd._page, None])

        def page(name: str, query: dict[str, str]) -> Any:
            make = next(pages, None)
            return make(name, query) if make else None

        self.imgd._page = page  # type: ignore[method-assign]
        self.options = CliOptions(verify="none")
        self.assertEqual(await self.load("/data/frames"), 1)
        [manifest] = self.manifests()
        self.assertEqual((manifest["success"], manifest["count"]), (False, 2000))
        self.assertIn("incomplete: no /collections/current/images here", manifest["message"])

    async def test_a_server_that_is_gone(self) -> None:
        """Where nothing can be reached any more, the load ends and can be resumed."""
        self.imgd.images("/data/frames", 300)

        def vanish(request: Request, body: bytes) -> int:
            transport: Any = request.transport
            transport.abortConnection()
            return NOT_DONE_YET

        self.imgd.hooks = {f"i {n:04}.png": vanish for n in range(100, 300)}
        self.options = CliOptions(workers=60, batch_size=2)
        self.assertEqual(await self.load("/data/frames"), 1)
        [manifest] = self.manifests()
        self.assertIn("incomplete: The server closed the connection", manifest["message"])
        self.assertLess(len(manifest["failed"]), 100)
        self.assertIn("imgd load --resume", self.context.remarked)

    async def test_list_without_end(self) -> None:
        """A list of images that never ends is left at some point."""
        self.imgd.images("/data/frames", 1)
        self.imgd.pages_end = False
        self.options = CliOptions(verify="none")
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertIn("does not end", self.manifests()[0]["message"])

    async def test_token(self) -> None:
        """The token is in nothing that is printed or written."""
        self.imgd.images("/data/frames", 2)
        self.imgd.hooks = {"i 0001.png": deny}
        self.options = CliOptions(verbose=True)
        self.assertEqual(await self.load("/data/frames"), 1)
        said = self.context.printed + self.context.remarked + json.dumps(self.manifests())
        self.assertNotIn(TOKEN, said + repr(self.server))

    async def test_progress_and_quiet(self) -> None:
        """One line is left of the progress; with quiet there is none."""
        self.imgd.images("/data/frames", 2)
        await self.loaded("/data/frames")
        self.assertRegex(self.context.remarked, r"^frames: 2 images good, 0 failed, 20 B, .*\n$")
        self.context = TestContext(self)
        self.options = CliOptions(quiet=True)
        await self.loaded("/data/frames")
        self.assertEqual(self.context.remarked, "")


class Choices(LoadCase):
    def setUp(self) -> None:
        super().setUp()
        self.imgd.images("/data/frames", 2)

    def done(self) -> list[str]:
        """What was posted since it was asked last."""
        posts = [f"{path} {(body or {}).get('name')}" for path, body in self.imgd.posts]
        self.imgd.posts.clear()
        return posts

    async def test_loaded_already(self) -> None:
        """A directory that is loaded already is checked, and not loaded again unless forced."""
        load = "/load-directory None"
        await self.loaded("/data/frames")
        self.assertEqual(self.done(), [load])
        await self.loaded("/data/frames")
        self.assertEqual(self.done(), [])
        self.assertEqual(len(self.imgd.checked), 4)
        for forced in (
            CliOptions(force_reload=True),
            CliOptions(recursive=True),
            CliOptions(recursive=True, all_files=True),
            CliOptions(timeout=5),
        ):
            self.options = forced
            await self.loaded("/data/frames")
            self.assertEqual(self.done(), [load])
        self.options = CliOptions()
        await self.loaded("/data/frames", name="ct")
        self.assertEqual(self.done(), ["/load-directory ct"])

    async def test_what_is_sent(self) -> None:
        """Recursion, minutes, and which files are meant go with the load."""
        for all_files in (False, True):
            self.options = CliOptions(recursive=True, timeout=0, all_files=all_files)
            await self.loaded("/data/frames", name="ct")
            sent = {"directory": "/data/frames", "timeout_minutes": 0, "name": "ct"}
            sent |= {"recursive": True, "all_files": all_files}
            self.assertEqual(self.imgd.posts[-1], ("/load-directory", sent))

    async def test_unload_first(self) -> None:
        """``--unload-first`` unloads what has the name, if anything has."""
        self.options = CliOptions(unload_first=True)
        for _ in range(2):
            await self.loaded("/data/frames", name="ct")
            self.assertEqual(self.done(), ["/unload ct", "/load-directory ct"])

    async def test_unload(self) -> None:
        """``--unload`` unloads each collection when its manifest is written."""
        self.imgd.images("/data/b", 1)
        self.options = CliOptions(unload=True)
        await self.loaded("/data/frames", "/data/b")
        self.assertEqual(
            self.done(),
            ["/load-directory frames", "/unload frames", "/load-directory b", "/unload b"],
        )
        self.assertEqual(len(self.manifests()), 2)

    async def test_verify(self) -> None:
        """Each URL is asked for its headers, its bytes, or not at all."""
        for how, methods in (("head", {"HEAD"}), ("get", {"GET"}), ("none", set())):
            self.imgd.log.clear()
            self.options = CliOptions(verify=how)
            await self.loaded("/data/frames")
            self.assertEqual({line.split()[0] for line in self.imgd.log if ".png" in line}, methods)

    async def test_get_reads_the_body(self) -> None:
        """GET finds a body that is not as long as its headers say."""

        def short(request: Request, body: bytes) -> int:
            request.write(b"xxx")  # chunked: no length to see
            request.finish()
            return NOT_DONE_YET

        self.imgd.hooks = {"i 0001.png": short}
        self.options = CliOptions(verify="get")
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertIn("announced", self.manifests()[0]["failed"][0]["reason"])


class Concurrency(LoadCase):
    async def held(self, count: int) -> None:
        while len(self.imgd.held or ()) < count:
            await turn()

    async def test_workers(self) -> None:
        """So many requests are in flight as there are workers, and never more."""
        self.imgd.images("/data/frames", 32)  # four batches for each
        self.imgd.held = []
        self.options = CliOptions(workers=4, batch_size=2)
        loading = self.load("/data/frames")
        for left in range(32, 0, -1):
            await self.held(min(4, left))
            for _ in range(3):
                await turn()
            self.assertLessEqual(len(self.imgd.held), 4)
            self.imgd.release()
        self.assertEqual(await loading, 0)
        self.assertEqual(self.imgd.most_held, 4)

    async def test_batches(self) -> None:
        """A worker takes so many images at a time, in order."""
        self.imgd.images("/data/frames", 30)
        self.imgd.held = []
        self.options = CliOptions(workers=3, batch_size=10)
        loading = self.load("/data/frames")
        await self.held(3)
        self.assertEqual(sorted(self.imgd.checked), ["i 0000.png", "i 0010.png", "i 0020.png"])
        for left in range(30, 0, -1):
            await self.held(min(3, left))
            self.imgd.release()
        self.assertEqual(await loading, 0)

    async def test_pages(self) -> None:
        """A collection longer than a page is checked whole, each image once."""
        self.imgd.images("/data/frames", 4500)
        self.options = CliOptions(verify="none")
        self.assertEqual((await self.loaded("/data/frames"))["count"], 4500)
        self.assertEqual(sum("/images" in line for line in self.imgd.log), 3)


class Interruptions(LoadCase):
    async def interrupt(self, after: int, total: int) -> int:
        """Load, and stop it after so many images; the exit status."""
        self.imgd.images("/data/frames", total)
        self.imgd.held = []
        work = self.load("/data/frames")
        for _ in range(after):
            while not self.imgd.held:
                await turn()
            self.imgd.release()
        while not self.imgd.held:
            await turn()
        self.context.stop(work, "interrupted")
        status = await work
        self.imgd.held.clear()
        self.imgd.held = None
        return status

    async def test_whole_and_unsuccessful(self) -> None:
        """What is interrupted leaves a whole manifest, marked so, and says how to go on."""
        self.options = CliOptions(workers=1)
        self.assertEqual(await self.interrupt(after=7, total=20), 1)
        [manifest] = self.manifests()
        self.assertEqual((manifest["success"], manifest["count"]), (False, 7))
        self.assertIn("incomplete: interrupted", manifest["message"])
        path = self.context.printed.strip()
        self.assertIn(f"imgd load --resume {path}", self.context.remarked)
        self.assertEqual(os.listdir(self.folder), [os.path.basename(path)])

    async def test_resumed(self) -> None:
        """A resumed load checks only what is missing, and writes the whole manifest."""
        self.options = CliOptions(workers=1)
        await self.interrupt(after=7, total=20)
        path = self.context.printed.strip()
        manifest, done = read_manifest(path)
        self.imgd.log.clear()
        self.imgd.posts.clear()
        self.context = TestContext(self)
        loading = LoadCommand(self.context, self.server, self.options)
        self.assertEqual(await loading.run([resumed(manifest, done, path)]), 0)
        self.assertEqual(self.imgd.checked, [f"i {n:04}.png" for n in range(7, 20)])
        self.assertEqual(self.imgd.posts, [])
        [whole] = self.manifests()
        self.assertEqual((whole["success"], whole["count"]), (True, 20))
        self.assertEqual(self.context.printed.strip(), path)

    async def test_resumed_after_an_unload(self) -> None:
        """A resumed load loads the directory again where it is loaded no more."""
        self.options = CliOptions(workers=1)
        await self.interrupt(after=3, total=5)
        path = self.context.printed.strip()
        self.imgd.loaded.clear()
        manifest, done = read_manifest(path)
        self.context = TestContext(self)
        loading = LoadCommand(self.context, self.server, self.options)
        self.assertEqual(await loading.run([resumed(manifest, done, path)]), 0)
        self.assertEqual(self.imgd.posts[-1][0], "/load-directory")

    async def test_before_anything(self) -> None:
        """What is interrupted before it is listed writes nothing; the rest is not begun."""
        for directory in ("/data/a", "/data/b"):
            self.imgd.images(directory, 1)
        work = self.load("/data/a", "/data/b")
        self.context.stop(work, "interrupted")
        self.assertEqual(await work, 1)
        self.assertIn("interrupted; nothing was written", self.context.remarked)
        self.assertEqual((self.context.printed, self.imgd.posts), ("", []))

    async def test_already_done(self) -> None:
        """Stopping what is done changes nothing."""
        self.imgd.images("/data/a", 1)
        work = self.load("/data/a")
        self.assertEqual(await work, 0)
        self.context.stop(work, "too late")
        self.assertIsNone(self.context.stopped)


class Remote(LoadCase):
    async def test_a_directory_of_the_server(self) -> None:
        """A relative directory that is not here is left to the server, which may have it."""
        self.imgd.images("frames", 1)
        self.assertEqual((await self.loaded("frames"))["directory"], "frames")

    async def test_a_directory_from_here(self) -> None:
        """A relative directory that is here is meant from here."""
        os.makedirs("here-it-is", exist_ok=True)
        self.imgd.images(os.path.abspath("here-it-is"), 1)
        await self.loaded("here-it-is")
