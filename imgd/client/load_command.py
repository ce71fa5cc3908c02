"""``imgd load``: directories in, manifests of verified URLs out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from tempfile import gettempdir
from typing import Final

from twisted.internet.defer import CancelledError

from imgd.client.base_urls import BaseUrls
from imgd.client.commands import CliContext
from imgd.client.dicom_report import lines, wait_for_index
from imgd.client.discovery import Server
from imgd.client.errors import ClientError, ErrorResponse, Retrier
from imgd.client.load_targets import LoadTarget
from imgd.client.manifest import Manifest, UrlTable, refuse_unwritable, write_manifest
from imgd.client.options import CliOptions
from imgd.client.progress import LineProgress, LoadProgress, log_verbose
from imgd.client.session import HttpSession
from imgd.client.signed_urls import lifetime, sign
from imgd.client.skipped import NOTHING, passed_over, why_nothing
from imgd.client.verification import BatchQueue, ImageChecker, Verification
from imgd.core.catalog import CURRENT
from imgd.core.messages import CollectionInfo
from imgd.core.routes import redact_text
from imgd.host.descriptors import RESERVE, raise_limit

SHOWN_FAILURES: Final = 20


class LoadCommand:
    """``base`` is what the URLs are to begin with; None for what the server hands out."""

    def __init__(
        self, context: CliContext, server: Server, options: CliOptions, base: str | None = None
    ) -> None:
        self._context = context
        self._server = server
        self._options = options
        self._base = base
        self._retrier = Retrier(context.clock, on_retry=self._on_retry)
        self.client = context.client(server, self._retrier, options.request_timeout)

    async def run(self, targets: Sequence[LoadTarget]) -> int:
        """Load one after the other, whichever fails, and return the exit status."""
        status = 0
        for target in targets:
            try:
                status |= not await self._load(target)
            except ClientError as error:
                status = self._fail(target, error.detail)
            except BrokenPipeError:
                raise
            except OSError as error:  # the manifest's own are ClientErrors: these are of UrlTables
                reason = f"{gettempdir()} has no room for its URLs: {error.strerror or error}"
                status = self._fail(target, reason)
            except CancelledError:
                return self._fail(target, f"{self._context.stopped}; nothing was written")
            if self._context.stopped:
                return 1
        return status

    def _fail(self, target: LoadTarget, reason: str) -> int:
        self._context.log(f"imgd: {target.directory}: {reason}")
        return 1

    async def _load(self, target: LoadTarget) -> bool:
        options, context = self._options, self._context
        if path := target.path(context.clock.seconds()):
            refuse_unwritable(path)
        collection, minutes = await self._collection(target)
        signed = None
        if options.signed:
            expires = options.expires or lifetime(collection, context.clock.seconds())
            signed = await sign(self.client, collection.name, expires)
        progress = LoadProgress(target.title, context, options)
        bases = self._bases(collection)
        queue = BatchQueue(self.client, collection.name, options.batch_size, signed, bases)
        verification = Verification(queue, progress, target.done or frozenset())
        try:
            problem = await self._verify(verification, collection)
            nothing = await self._tell_skipped(collection, verification, problem)
            manifest = Manifest(
                success=not (problem or nothing or verification.failed),
                message=nothing or _message(verification, problem),
                collection=collection,
                server=self._server.url,
                now=context.clock.seconds(),
                minutes=minutes,
                links_expire_at=signed.expires_at if signed else None,
                verify=options.verify,
                base_url=self._base,
            )
            self._write(target, manifest, verification)
        finally:
            verification.urls.close()
            verification.failed.close()
        is_indexed = not options.dicom or (problem is None and await self._report(collection))
        if options.unload and not context.stopped:
            await self.client.unload(target.name)
        return manifest.success and is_indexed

    async def _report(self, collection: CollectionInfo) -> bool:
        """Wait for the index of its DICOM, and say what is in it. Whether that is everything."""
        shown, context = self._options, self._context
        progress = LineProgress(collection.name, context, shown)
        try:
            report = await wait_for_index(
                self.client, collection.name, context.clock, progress.show
            )
        except CancelledError:
            problem = context.stopped or "called off"
            context.log(f"imgd: {collection.directory}: its DICOM is still indexed: {problem}")
            return False
        if report.unindexed_count or not shown.quiet:
            for line in lines(report, SHOWN_FAILURES):
                context.log(f"{collection.name}: {line}" if line[0] != " " else line)
        return not report.unindexed_count

    def _bases(self, collection: CollectionInfo) -> BaseUrls | None:
        if self._base is None:
            return None
        bases = BaseUrls.of(collection, checked=self._server.url, written=self._base)
        if bases.listed != bases.written and not self._options.quiet:
            self._context.log(
                f"URLs are written on {bases.written} and checked on {bases.checked}; "
                f"the server hands out {bases.listed}"
            )
        return bases

    async def _collection(self, target: LoadTarget) -> tuple[CollectionInfo, int | None]:
        minutes = self._options.timeout
        if self._options.unload_first:
            try:
                await self.client.unload(target.name)
            except ErrorResponse as error:
                if error.status != 404:
                    raise
        elif not self._options.force_reload and minutes is None:
            existing = await self._existing(target)
            if existing is not None:
                # The server tells the minutes of the current collection alone.
                status = await self.client.status() if existing.current else None
                return existing, status.timeout_minutes if status else None
        loaded = await self.client.load(
            target.directory,
            name=target.name,
            recursive=self._options.recursive,
            timeout_minutes=minutes,
            all_files=self._options.all_files,
            dicom=self._options.dicom,
        )
        if minutes is None:
            minutes = (await self.client.timeout()).timeout_minutes
        return loaded.collection, minutes

    async def _existing(self, target: LoadTarget) -> CollectionInfo | None:
        same = {target.directory, os.path.realpath(target.directory)}
        for collection in (await self.client.collections()).collections:
            if collection.name == (target.name or CURRENT) and collection.directory in same:
                fits = target.done is not None or self._is_as_asked(collection)
                return collection if fits and collection.available else None
        return None

    def _is_as_asked(self, collection: CollectionInfo) -> bool:
        asked = self._options.recursive, self._options.all_files
        return (collection.recursive, collection.all_files) == asked

    async def _verify(self, verification: Verification, collection: CollectionInfo) -> str | None:
        try:
            await verification.run(self._checkers(self._server.announcing(collection.url)))
        except CancelledError:
            return self._context.stopped or "called off"
        except ClientError as error:
            return error.detail
        finally:
            verification.progress.end()
        return None

    async def _tell_skipped(
        self, collection: CollectionInfo, verification: Verification, problem: str | None
    ) -> str:
        """Say what was passed over. Returns why nothing at all was loaded, else ""."""
        if collection.skipped is None and problem is None:  # read since, to list its images
            with suppress(ClientError):
                collection = await self.client.collection(collection.name)
        if problem is None and not verification.urls and not verification.failed:
            return why_nothing(collection)
        if (line := passed_over(collection)) and not self._options.quiet:
            self._context.log(f"imgd: {collection.directory}: {line}")
        return ""

    def _checkers(self, server: Server) -> list[ImageChecker]:
        # The token goes to the server's own origins alone; signed URLs are checked without one.
        options = self._options
        tokens = {} if options.signed else dict.fromkeys(server.origins, server.token or "")
        method = b"" if options.verify == "none" else options.verify.upper().encode()
        most = max(1, raise_limit() - RESERVE)  # each worker has a connection
        workers = min(options.workers, most) if method else 1
        sessions = (HttpSession(self._context.reactor, server, tokens) for _ in range(workers))
        seconds = options.request_timeout
        return [ImageChecker(session, self._retrier, method, seconds) for session in sessions]

    def _write(self, target: LoadTarget, manifest: Manifest, verification: Verification) -> None:
        chunks = manifest.chunks(verification.urls, verification.failed)
        path = target.path(manifest.now)
        if path is None:
            self._context.write(chunk.decode("ascii") for chunk in chunks)
        else:
            # Who reads signed URLs can read what they lead to.
            write_manifest(path, chunks, mode=0o600 if self._options.signed else 0o644)
            self._context.print_raw(path)
        if not manifest.success:
            self._log_failures(path or "MANIFEST", manifest, verification.failed)

    def _log_failures(self, path: str, manifest: Manifest, failed: UrlTable) -> None:
        log = self._context.log
        log(f"imgd: {manifest.collection.directory}: {manifest.message}")
        for url, reason in islice(failed, SHOWN_FAILURES):
            log(f"  {redact_text(url)}: {reason}")
        more = len(failed) - SHOWN_FAILURES
        if more > 0:
            log(f"  and {more:,} more, which are listed in the manifest")
        if manifest.message.startswith(NOTHING):
            return  # nothing that another run would find
        signed = " --signed" if self._options.signed else ""
        log(f"to check what is missing: imgd load --resume {shlex.quote(path)}{signed}")

    def _on_retry(self, error: ClientError, pause: float) -> None:
        log_verbose(self._context, self._options, f"trying again in {pause:.1f} s: {error.detail}")


def _message(verification: Verification, problem: str | None) -> str:
    text = f"Generated URLs for {len(verification.urls)} images"
    if verification.failed:
        text += f"; {len(verification.failed)} failed"
    return text if problem is None else f"{text}; incomplete: {problem}"
