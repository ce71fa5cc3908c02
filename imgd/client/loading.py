"""``imgd load``: directories in, manifests of verified URLs out."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from twisted.internet.defer import CancelledError

from imgd.client.api import Client
from imgd.client.desk import Desk
from imgd.client.discovery import Server
from imgd.client.errors import ClientError, Refused
from imgd.client.jobs import Job
from imgd.client.loader import Check, Found, Source, Verification
from imgd.client.manifest import Manifest, Timer
from imgd.client.progress import Progress, View
from imgd.client.signed import SignedUrls, lifetime, shown, sign
from imgd.core import messages
from imgd.core.catalog import CURRENT
from imgd.core.messages import CollectionInfo
from imgd.host.manifest_file import write_chunks

SHOWN_FAILURES: Final = 20


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of ``imgd load`` that hold for every directory; times in seconds."""

    timeout: int | None = None
    workers: int = 10
    batch_size: int = 20
    recursive: bool = False
    force_reload: bool = False
    unload_first: bool = False
    unload: bool = False
    verify: str = "head"
    request_timeout: float = 30.0
    signed: bool = False
    expires: int | None = None
    quiet: bool = False
    verbose: bool = False


@dataclass(slots=True)
class Loading:
    """Loads one directory after the other into one server."""

    desk: Desk
    server: Server
    options: LoadOptions
    client: Client = field(init=False)
    _view: View = field(init=False)

    def __post_init__(self) -> None:
        self._view = self.desk.view(quiet=self.options.quiet)
        self.client = self.desk.client(
            self.server, deadline=self.options.request_timeout, told=self._retried
        )

    async def run(self, jobs: list[Job]) -> int:
        """Load them all; the exit status. One that fails does not stop the others."""
        status = 0
        for job in jobs:
            try:
                is_good = await self._one(job)
            except (ClientError, OSError) as error:
                self.desk.say(f"imgd: {job.directory}: {_told(error)}")
                is_good = False
            except CancelledError:
                self.desk.say(f"imgd: {job.directory}: {self.desk.stopped}; nothing was written")
                return 1
            status |= not is_good
            if self.desk.stopped:
                return 1
        return status

    async def _one(self, job: Job) -> bool:
        collection, minutes = await self._collection(job)
        signed = await self._signed(collection)
        found = Found()
        try:
            problem = await self._verify(job, collection, found, signed)
            now = self.desk.clock.seconds()
            manifest = Manifest(
                success=problem is None and not found.failed,
                directory=collection.directory,
                timestamp=messages.local(now),
                message=_message(found, problem),
                collection=collection.name,
                server=self.server.url,
                timer=Timer.of(collection, minutes, now),
                links_expire_at=signed.expires_at if signed else None,
            )
            self._write(job, manifest, found, now)
        finally:
            found.close()
        if self.options.unload and not self.desk.stopped:
            await self.client.unload(job.name)
        return manifest.success

    async def _collection(self, job: Job) -> tuple[CollectionInfo, int | None]:
        """The collection to list, and the minutes that it was given, where that is known."""
        wanted = self.options
        if wanted.unload_first:
            await self._unload(job)
        elif not wanted.force_reload and wanted.timeout is None:
            standing = await self._standing(job)
            if standing is not None:
                return standing, await self._minutes_of(standing)
        loaded = await self.client.load(
            job.directory,
            name=job.name,
            recursive=wanted.recursive,
            timeout_minutes=wanted.timeout,
        )
        if wanted.timeout is not None:
            return loaded.collection, wanted.timeout
        return loaded.collection, (await self.client.timeout()).timeout_minutes

    async def _signed(self, collection: CollectionInfo) -> SignedUrls | None:
        """The link that URLs are to bear, where they are."""
        if not self.options.signed:
            return None
        seconds = self.options.expires or lifetime(collection, self.desk.clock.seconds())
        return await sign(self.client, collection.name, seconds)

    async def _minutes_of(self, standing: CollectionInfo) -> int | None:
        """What it was given when it was loaded, which the server tells of the current one alone."""
        return (await self.client.status()).timeout_minutes if standing.current else None

    async def _unload(self, job: Job) -> None:
        try:
            await self.client.unload(job.name)
        except Refused as error:
            if error.status != 404:
                raise

    async def _standing(self, job: Job) -> CollectionInfo | None:
        """The collection, where this directory is loaded already under this name."""
        same = {job.directory, os.path.realpath(job.directory)}
        for collection in (await self.client.collections()).collections:
            if collection.name == (job.name or CURRENT) and collection.directory in same:
                fits = job.is_resumed or collection.recursive == self.options.recursive
                return collection if fits and collection.available else None
        return None

    async def _verify(
        self, job: Job, collection: CollectionInfo, found: Found, signed: SignedUrls | None
    ) -> str | None:
        """Check its images; what ended the run before its end, if anything did."""
        wanted = self.options
        progress = Progress(job.title, self._view, self.desk.clock, verbose=wanted.verbose)
        source = Source(self.client, collection.name, wanted.batch_size, signed)
        try:
            checks = self._checks(collection.url)
            await Verification(source, found, progress, job.done).run(checks)
        except CancelledError:
            return self.desk.stopped or "called off"
        except ClientError as error:
            return error.detail
        finally:
            progress.end()
        return None

    def _checks(self, announced: str) -> list[Check]:
        wanted = self.options
        server = self.server.announcing(announced)
        if wanted.signed:  # checked as a model fetches them: with nothing but the URL
            server = replace(server, token=None)
        return self.desk.checks(
            server, wanted.verify, wanted.workers, wanted.request_timeout, self._retried
        )

    def _write(self, job: Job, manifest: Manifest, found: Found, now: float) -> None:
        chunks = manifest.chunks(len(found.urls), found.urls, found.failed)
        path = job.path(now)
        if path is None:
            for chunk in chunks:
                self.desk.out.write(chunk.decode("ascii"))
            self.desk.out.flush()
        else:
            # Who reads signed URLs can read what they lead to.
            write_chunks(path, chunks, mode=0o600 if self.options.signed else 0o644)
            self.desk.give(path)
        if not manifest.success:
            self._lament(path, manifest, found)

    def _lament(self, path: str | None, manifest: Manifest, found: Found) -> None:
        say = self.desk.say
        say(f"imgd: {manifest.directory}: {manifest.message}")
        for line in islice(found.failed, SHOWN_FAILURES):
            url, _, reason = line.partition("\t")
            say(f"  {shown(url)}: {reason}")
        more = len(found.failed) - SHOWN_FAILURES
        if more > 0:
            say(f"  and {more:,} more, which are listed in the manifest")
        resume = f"imgd load --resume {shlex.quote(path or 'MANIFEST')}"
        say(f"to check what is missing: {resume}{' --signed' * self.options.signed}")

    def _retried(self, error: ClientError, pause: float) -> None:
        if self.options.verbose:
            self._view.say(f"trying again in {pause:.1f} s: {error.detail}")


def _message(found: Found, problem: str | None) -> str:
    text = f"Generated URLs for {len(found.urls)} images"
    if found.failed:
        text += f"; {len(found.failed)} failed"
    return text if problem is None else f"{text}; incomplete: {problem}"


def _told(error: ClientError | OSError) -> str:
    return error.detail if isinstance(error, ClientError) else str(error.strerror or error)
