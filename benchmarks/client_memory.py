"""The memory of a load and of a resumed load of many images; run by ``benchmarks/client.py``."""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from imgd.client.commands import CliContext
from imgd.client.discovery import Server
from imgd.client.load_command import LoadCommand
from imgd.client.load_targets import LoadTarget, resumed
from imgd.client.manifest import read_manifest
from imgd.client.options import CliOptions
from imgd.client.verification import PAGE
from imgd.core import messages
from imgd.core.messages import CollectionInfo, CollectionList, Image, ImagePage

BASE = "https://localhost:8888"
COLLECTION = CollectionInfo(
    name="current",
    directory="/data/frames",
    recursive=False,
    image_count=0,
    loaded_at="2025-01-01T00:00:00Z",
    expires_at=None,
    url=f"{BASE}/collections/current/images",
    current=False,  # or else its status would be asked for
)


class AnsweringTransport:
    """A Client's transport that makes up a collection of so many images, page by page."""

    def __init__(self, listed: int) -> None:
        self._listed = listed

    async def request(
        self, method: str, path: str, kind: type, body: object, deadline: float
    ) -> Any:
        """An answer, in the reactor's next turn."""
        turn: Deferred[None] = Deferred()
        reactor.callLater(0, turn.callback, None)
        await turn
        if kind is CollectionList:
            return CollectionList(collections=[COLLECTION])
        start = int(path.partition("after=")[2] or 0)
        return msgspec.json.decode(messages.encode(self._page(start)), type=ImagePage)

    def _page(self, start: int) -> ImagePage:
        end = min(start + PAGE, self._listed)
        images = [
            Image(
                name=f"patient-{number % 977:03}/study/frame_{number:08}.png",
                url=f"{BASE}/images/patient-{number % 977:03}/study/frame_{number:08}.png",
                size=20_000,
                modified="2025-01-01T00:00:00Z",
                media_type="image/png",
            )
            for number in range(start, end)
        ]
        following = f"/collections/current/images?after={end}" if end < self._listed else None
        return ImagePage(images=images, count=self._listed, next=following)


async def measure(listed: int, folder: Path) -> None:
    """A load, and then the resumption of its manifest."""
    path = str(folder / "m.json")
    first = LoadTarget("/data/frames", None, "frames", path, is_stamped=False)
    await one("load", listed, first)
    manifest, done = read_manifest(path)
    await one("resumed load", listed, resumed(manifest, done, path))


async def one(what: str, listed: int, target: LoadTarget) -> None:
    """One load, and the highest memory of the process so far."""
    context = CliContext(reactor, {}, io.StringIO(), sys.stdout, reactor)
    command = LoadCommand(context, Server(BASE), CliOptions(verify="none", quiet=True))
    command.client._transport = AnsweringTransport(listed)
    before = time.monotonic()
    status = await command.run([target])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = time.monotonic() - before
    print(f"{what} of {listed:,} images: status {status}, peak {peak:.0f} MB, {took:.2f} s")


def main() -> None:
    """Run by ``client.py``, or alone with a number of images."""
    with tempfile.TemporaryDirectory() as folder:
        work = Deferred.fromCoroutine(measure(int(sys.argv[1]), Path(folder)))
        work.addErrback(lambda failure: print(failure.getTraceback()))
        work.addBoth(lambda _: reactor.stop())
        reactor.run()


if __name__ == "__main__":
    main()
