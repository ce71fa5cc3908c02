"""What the index is told of files, by the decoder itself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from imgd.pictures.instances import Indexed, Instance, parse
from imgd.pictures.messages import Job
from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker.decoding import decode
from imgd.pictures.worker.source import Made, SourceFile, Sources


def body(contents: Sequence[bytes], kind: ViewKind = ViewKind.INDEX) -> bytes:
    """The answer about files that hold this."""
    with ExitStack() as stack:
        files = []
        for content in contents:
            fd = os.memfd_create("dicom")
            stack.callback(os.close, fd)
            os.write(fd, content)
            files.append(SourceFile(fd, "x.dcm", len(content)))
        job = Job([View(kind)], ["x.dcm"] * len(files), 1)
        [made] = decode(Sources(files[0], {}, job, files))
    assert isinstance(made, Made), made
    assert (made.answer.status, made.answer.size) == (200, len(made.body)), made.answer
    return made.body


def told(*contents: bytes, kind: ViewKind = ViewKind.INDEX) -> list[Indexed]:
    return parse(body(contents, kind))


def instance(content: bytes, kind: ViewKind = ViewKind.INDEX) -> Instance:
    """Of a file that is one."""
    [found] = told(content, kind=kind)
    assert isinstance(found, Instance), found
    return found


def attributes(content: bytes, kind: ViewKind = ViewKind.INDEX) -> dict[str, Any]:
    """The metadata of a file."""
    document: dict[str, Any] = json.loads(bytes(instance(content, kind).metadata))
    return document
