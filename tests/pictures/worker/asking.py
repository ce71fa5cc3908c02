"""Pictures by the decoder itself, of files in a folder."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import nibabel.orientations
import numpy as np
import SimpleITK
from numpy.typing import NDArray
from PIL import Image

from imgd.pictures.messages import Job
from imgd.pictures.views import View, ViewKind, parse
from imgd.pictures.worker import decoding
from imgd.pictures.worker.source import Made, SourceFile, Sources

MAX_PIXELS = 50_000_000
COMPANION = View(ViewKind.COMPANION)


class Reply(NamedTuple):
    """What a query got."""

    status: int
    detail: str
    media_type: str
    body: bytes

    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(self.body))

    def pixels(self) -> NDArray[Any]:
        return np.asarray(self.image())

    def json(self) -> dict[str, Any]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    def values(self) -> NDArray[np.float64]:
        """Of a slice of 16 bits, as the viewer gets them back."""
        image = self.image()
        scale, offset = (float(image.text[f"imgd:{key}"]) for key in ("scale", "offset"))  # type: ignore[attr-defined]
        return np.asarray(image).astype(float) * scale + offset


def view(query: str) -> View:
    asked = parse(query.encode())
    assert asked is not None, query
    return asked


def source(path: Path) -> SourceFile:
    """A file, opened; the caller closes its descriptor."""
    return SourceFile(os.open(path, os.O_RDONLY), path.name, path.stat().st_size)


def made(
    path: Path, *views: View, beside: tuple[Path, ...] = (), max_pixels: int = MAX_PIXELS
) -> Iterator[Made]:
    """All that the decoder makes of a job with these views, asked for or not."""
    with ExitStack() as stack:
        files = [source(each) for each in (path, *beside)]
        for file in files:
            stack.callback(os.close, file.fd)
        job = Job(list(views), [file.name for file in files], max_pixels)
        companions = {file.name: file for file in files[1:]}
        for item in decoding.decode(Sources(files[0], companions, job)):
            if isinstance(item, Made):
                yield item


def ask(path: Path, *queries: str, beside: tuple[Path, ...] = (), **options: Any) -> list[Reply]:
    """What each query gets of one job. Each must get one answer."""
    views = [view(query) for query in queries]
    replies: dict[View, Reply] = {}
    for answer, body in made(path, *views, beside=beside, **options):
        assert answer.view not in replies, answer.view
        assert answer.size == len(body), answer
        replies[answer.view] = Reply(answer.status, answer.detail, answer.media_type, body)
    return [replies[each] for each in views]


def one(path: Path, query: str, **options: Any) -> Reply:
    """What one query gets."""
    [reply] = ask(path, query, **options)
    return reply


def shown(data: NDArray[Any], plane: str, index: int) -> NDArray[Any]:
    """A slice of an array in RAS, as a radiologist sees it."""
    place = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
    upright: NDArray[Any] = np.take(data, index, axis=place).swapaxes(0, 1)[::-1, ::-1]
    return upright


def itk_in_ras(image: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The voxels (x, y, z, ...) of an image of SimpleITK in the nearest RAS, and their affine."""
    affine = np.eye(4)
    sides = np.array(image.GetSpacing()[:3])
    count = image.GetDimension()
    affine[:3, :3] = np.array(image.GetDirection()).reshape(count, count)[:3, :3] * sides
    affine[:3, 3] = image.GetOrigin()[:3]
    affine = np.diag([-1, -1, 1, 1]) @ affine
    channels = image.GetNumberOfComponentsPerPixel() > 1
    array = SimpleITK.GetArrayFromImage(image)
    array = array.transpose(*reversed(range(count)), *((count,) if channels else ()))
    ornt = nibabel.io_orientation(affine)
    display = affine @ nibabel.orientations.inv_ornt_aff(ornt, array.shape[:3])
    return np.asarray(nibabel.apply_orientation(array, ornt)), display
