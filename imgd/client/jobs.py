"""From the command line to one job for each directory: its name, and where its manifest goes."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

from imgd.client.discovery import Server
from imgd.client.errors import ClientError
from imgd.client.manifest import file_name
from imgd.core.catalog import CURRENT
from imgd.core.messages import valid_name
from imgd.host.manifest_file import Unfinished

FOLDER: Final = os.path.join("output", "json")
STDOUT: Final = "-"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Job:
    """One directory to load. ``name`` is its collection's, None for the current one.

    ``done`` holds URLs that a manifest before this one found good.
    """

    directory: str
    name: str | None
    title: str
    output: str
    stem: str
    is_stamped: bool
    done: Container[str] = frozenset()
    is_resumed: bool = False

    def path(self, now: float) -> str | None:
        """Where the manifest goes, None for stdout; ``now`` in seconds since the epoch."""
        if self.output == STDOUT:
            return None
        if is_file(self.output):
            return self.output
        return os.path.join(self.output, file_name(self.stem, now if self.is_stamped else None))


def is_file(output: str) -> bool:
    """Whether ``--output`` means a file: it ends in .json and is no folder."""
    return output.endswith(".json") and not os.path.isdir(output)


def jobs(directories: Sequence[str], server: Server, name: str | None, output: str) -> list[Job]:
    """A job for each directory; several are named after their directories, each name once."""
    if name is not None:
        valid_name(name)
    if len(directories) == 1:
        return [_single(_for_server(directories[0], server), name, output)]
    if name is not None:
        raise ClientError("--name goes with one directory: several are named after themselves.")
    if is_file(output):
        raise ClientError("--output names a file, but there are several directories.")
    names = _distinct([_last(directory) for directory in directories])
    return [
        Job(_for_server(directory, server), unique, unique, output, unique, is_stamped=True)
        for directory, unique in zip(directories, names, strict=True)
    ]


def resumed(manifest: Unfinished, done: Container[str], output: str) -> Job:
    """The job that goes on with a manifest."""
    name = None if manifest.collection == CURRENT else valid_name(manifest.collection)
    title = name or _last(manifest.directory)
    return Job(manifest.directory, name, title, output, title, True, done=done, is_resumed=True)


def _single(directory: str, name: str | None, output: str) -> Job:
    last = _last(directory)
    collection = None if name == CURRENT else name
    return Job(directory, collection, name or last, output, name or last, is_stamped=name is None)


def _for_server(directory: str, server: Server) -> str:
    """A directory as the server is told it.

    One that is here is meant from here; what is not here may be there, as in a container.
    """
    try:
        directory.encode("utf-8")
    except UnicodeEncodeError:
        raise ClientError("A directory whose name is not UTF-8 cannot be named in JSON.") from None
    here = os.path.abspath(os.path.expanduser(directory))
    return here if server.is_local and os.path.isdir(here) else directory


def _last(directory: str) -> str:
    return os.path.basename(os.path.abspath(directory)) or "root"


def _distinct(wanted: Sequence[str]) -> list[str]:
    """Collection names made of these, each allowed, none twice and none the current one's."""
    taken = {CURRENT}
    names = []
    for raw in wanted:
        base = _NOT_IN_NAMES.sub("-", raw).lstrip(".")[:_MAX_NAME] or "images"
        name, number = base, 2
        while name in taken:
            tail = f"-{number}"
            name, number = base[: _MAX_NAME - len(tail)] + tail, number + 1
        taken.add(name)
        names.append(name)
    return names
