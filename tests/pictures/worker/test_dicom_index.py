"""What the index is told of DICOM files, against pydicom's own reader."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.instances import Broken, Ignored, Indexed, Instance, parse
from imgd.pictures.messages import Job
from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker.decoding import decode
from imgd.pictures.worker.source import Made, SourceFile, Sources
from tests.samples import dicom


def index(paths: Sequence[Path], kind: ViewKind = ViewKind.INDEX) -> list[Indexed]:
    """What a worker answers about these files."""
    with ExitStack() as stack:
        files = []
        for path in paths:
            fd = os.open(path, os.O_RDONLY)
            stack.callback(os.close, fd)
            files.append(SourceFile(fd, path.name, path.stat().st_size))
        job = Job([View(kind)], [path.name for path in paths], 1)
        [made] = decode(Sources(files[0], {}, job, files))
    assert isinstance(made, Made), made
    assert made.answer.status == 200, made.answer
    return parse(made.body)


class BatchTests(SynchronousTestCase):
    def test_batch(self) -> None:
        """Files of one job are answered in order, each for itself, of one name or not."""
        broken = Path(self.mktemp())
        broken.write_bytes(bytes(128) + b"DICM" + b"\2\0\1\0OB" + bytes(20))
        paths = [dicom("CT_small.dcm"), broken, dicom("DICOMDIR"), dicom("CT_small.dcm")]
        first, second, third, fourth = index(paths)
        assert isinstance(first, Instance)
        self.assertEqual((first.modality, first.rows, first), ("CT", 128, fourth))
        self.assertEqual(second, Broken("It has no Study Instance UID."))
        self.assertEqual(third, Ignored())
