"""From the command line to one target for each directory: its name, and where its manifest goes."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from imgd.client.discovery import Server
from imgd.client.errors import ClientError
from imgd.client.manifest import UnfinishedManifest, file_name
from imgd.core.catalog import CURRENT
from imgd.core.messages import valid_name

FOLDER: Final = os.path.join("output", "json")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """``name`` None is the current collection. The manifest goes to ``output``, or if that is a
    folder into a file named after ``title``, with the time if ``is_stamped``. ``done`` holds the
    URLs of the manifest that is resumed.
    """

    directory: str
    name: str | None
    title: str
    output: str
    is_stamped: bool = True
    done: Container[str] | None = None

    def path(self, now: float) -> str | None:
        """Where the manifest goes, None for stdout; ``now`` in seconds since the epoch."""
        if self.output == "-":
            return None
        if is_file(self.output):
            return self.output
        return os.path.join(self.output, file_name(self.title, now if self.is_stamped else None))


def is_file(output: str) -> bool:
    return output.endswith(".json") and not os.path.isdir(output)


def load_targets(
    directories: Sequence[str], server: Server, name: str | None, output: str
) -> list[LoadTarget]:
    directories = [_for_server(directory, server) for directory in directories]
    if len(directories) == 1:
        collection, title = None if name == CURRENT else name, name or _last(directories[0])
        return [LoadTarget(directories[0], collection, title, output, is_stamped=name is None)]
    named = zip(directories, _distinct(map(_last, directories)), strict=True)
    return [LoadTarget(directory, unique, unique, output) for directory, unique in named]


def resumed(manifest: UnfinishedManifest, done: Container[str], output: str) -> LoadTarget:
    name = None if manifest.collection == CURRENT else valid_name(manifest.collection)
    title = name or _last(manifest.directory)
    return LoadTarget(manifest.directory, name, title, output, done=done)


def _for_server(directory: str, server: Server) -> str:
    """The path to send. A directory that is not here may be on the server, as in a container."""
    try:
        directory.encode("utf-8")
    except UnicodeEncodeError:
        raise ClientError("A directory whose name is not UTF-8 cannot be named in JSON.") from None
    here = os.path.abspath(os.path.expanduser(directory))
    return here if server.is_local and os.path.isdir(here) else directory


def _last(directory: str) -> str:
    return os.path.basename(os.path.abspath(directory)) or "root"


def _distinct(titles: Iterable[str]) -> list[str]:
    """Collection names made of these, each allowed, none twice and none the current one's."""
    names: list[str] = []
    for title in titles:
        base = _NOT_IN_NAMES.sub("-", title).lstrip(".")[:_MAX_NAME] or "images"
        name, number = base, 2
        while name == CURRENT or name in names:
            tail = f"-{number}"
            name, number = base[: _MAX_NAME - len(tail)] + tail, number + 1
        names.append(name)
    return names
