"""DICOM."""

from __future__ import annotations

from collections.abc import Iterator

from imgd.pictures.worker.source import Made, NotAPicture, Sources


def detect(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def make(sources: Sources) -> Iterator[Made]:
    raise NotAPicture("x")


def warm() -> None: ...
