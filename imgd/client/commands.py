"""What a command works with, and the small commands. Each returns an exit status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from imgd.client.api import LINK_SECONDS, REQUEST_SECONDS, Client, client_of
from imgd.client.base_urls import base_url, link_on
from imgd.client.discovery import Server
from imgd.client.errors import ClientError, Retrier
from imgd.client.options import CliOptions
from imgd.core import messages
from imgd.core.messages import CollectionInfo, PicturesReport
from imgd.logs import escape, escape_json


@dataclass(slots=True)
class CliContext:
    """``reactor`` is for sockets and processes; ``stopped`` is why the command was stopped."""

    reactor: Any
    environ: Mapping[str, str]
    out: TextIO
    err: TextIO
    clock: IReactorTime
    stopped: str | None = None

    def log(self, text: str) -> None:
        with suppress(OSError):  # nobody reads it: no reason to stop
            print(escape(text), file=self.err, flush=True)

    def print(self, text: str) -> None:
        self.print_raw(escape(text))

    def print_raw(self, text: str) -> None:
        """Write a result for programs; a server's words in it must have been escaped."""
        self.write((text, "\n"))

    def write(self, parts: Iterable[str]) -> None:
        """Write a result piece by piece; BrokenPipeError if whoever read it has gone."""
        try:
            self.out.writelines(parts)
            self.out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ClientError(f"standard output: {error.strerror or error}") from None
        except UnicodeEncodeError as error:
            detail = f"standard output takes {error.encoding} alone: set PYTHONIOENCODING=utf-8"
            raise ClientError(detail) from None

    def client(
        self, server: Server, retrier: Retrier | None = None, deadline: float = REQUEST_SECONDS
    ) -> Client:
        return client_of(server, self.reactor, retrier or Retrier(self.clock), deadline)

    def stop(self, working: Deferred[int], reason: str) -> None:
        if not working.called and self.stopped is None:
            self.stopped = reason
            working.cancel()


async def status(context: CliContext, server: Server, options: CliOptions) -> int:
    loaded = await context.client(server).status()
    if options.json:
        context.print_raw(escape_json(messages.encode(loaded).decode("utf-8")))
    else:
        context.print(f"imgd {loaded.version} at {server.url}")
        pictures = (await context.client(server).health()).pictures
        if pictures is not UNSET:
            context.print(_pictures(pictures))
        for line in _table(loaded.collections):
            context.print(line)
    return 0


async def unload(context: CliContext, server: Server, options: CliOptions) -> int:
    context.print((await context.client(server).unload(options.collection)).message)
    return 0


async def timeout(context: CliContext, server: Server, options: CliOptions) -> int:
    context.print((await context.client(server).set_timeout(options.minutes)).message)
    return 0


async def link(context: CliContext, server: Server, options: CliOptions) -> int:
    client = context.client(server)
    if options.url_or_path is None:
        context.print((await client.revoke_links()).message)
        return 0
    expires, base = options.expires or LINK_SECONDS, base_url(context.environ, options)
    target = options.url_or_path
    if base is not None and target.startswith(f"{base}/"):
        target = target.removeprefix(base)
    made = await client.link(target, expires=expires, prefix=options.prefix)
    context.print(made.url if base is None else link_on(base, made.url))
    context.log(f"good until {_readable(made.expires_at)}")
    return 0


def _pictures(report: PicturesReport) -> str:
    if report.off is not UNSET:
        return f"Pictures: off ({report.off})"
    return (
        f"Pictures: {report.busy} of {report.workers} workers busy, {report.waiting:,} waiting, "
        f"{report.made:,} made, {report.failed:,} failed"
    )


def _table(collections: Sequence[CollectionInfo]) -> Iterable[str]:
    if not collections:
        yield "Nothing is loaded. To load a directory: imgd load DIR"
        return
    yield ""
    rows = [("NAME", "IMAGES", "UNLOADS AT", "DIRECTORY"), *map(_row, collections)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, images, expiry, directory in rows:
        yield f"{name:{widths[0]}}  {images:>{widths[1]}}  {expiry:{widths[2]}}  {directory}"


def _row(collection: CollectionInfo) -> tuple[str, str, str, str]:
    directory = collection.directory + (" (and below)" if collection.recursive else "")
    if collection.all_files:
        directory += " (all files)"
    if not collection.available:
        directory += " (missing)"
    expiry = _readable(collection.expires_at or "never")
    return collection.name, f"{collection.image_count:,}", expiry, directory


def _readable(utc: str) -> str:
    return utc.replace("T", " ").replace("Z", " UTC")
