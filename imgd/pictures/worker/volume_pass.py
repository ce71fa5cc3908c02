"""Every view of a volume in one pass over its file, and what passes by anyway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from numpy.typing import NDArray

from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker.slicing import Target, gather
from imgd.pictures.worker.source import Made, PictureError
from imgd.pictures.worker.volume_display import AXES, Display
from imgd.pictures.worker.volume_pictures import made

# Neighbours of a slice of a compressed volume, made with it for who leafs through it: a pass costs
# far more than they do.
_NEIGHBOURS: Final = 8  # on each side
_MOST_NEIGHBOURS: Final = 48  # of all slices of a pass
_NEIGHBOUR_BYTES: Final = 12 << 20  # of voxels held for them


def views_of(display: Display, views: Sequence[View], max_pixels: int) -> Iterator[Made]:
    """Those that were asked for as soon as their slices are there, then neighbours of slices.

    PictureError if the file is cut off or broken before the last that was asked for is there.
    """
    asked = []
    for view in views:
        try:
            asked.append(_Pending(view, display.targets(view, max_pixels)))
        except PictureError as error:
            yield Made.failed(view, error)
    left = {pending.view for pending in asked}
    later: list[_Pending] = []
    try:
        for pending in _complete(display, [*asked, *_unasked(display, asked, max_pixels)]):
            later.append(pending)
            if pending.view in left:
                left.discard(pending.view)
                yield later.pop().made(display, max_pixels)
            while later and not left:
                yield later.pop().made(display, max_pixels)
    except PictureError:
        if left:  # else it is broken where nobody looked
            raise


class _Pending:
    """A view, and those of its slices that are there."""

    def __init__(self, view: View, targets: list[Target]) -> None:
        self.view, self.targets = view, targets
        self.missing = set(targets)
        self._slices: dict[Target, NDArray[Any]] = {}

    def give(self, target: Target, pixels: NDArray[Any]) -> bool:
        """Whether this was the last."""
        self._slices[target] = pixels
        self.missing.discard(target)
        return not self.missing

    def made(self, display: Display, max_pixels: int) -> Made:
        slices = [self._slices[target] for target in self.targets]
        try:
            return made(display, self.view, slices, max_pixels)
        except PictureError as error:
            return Made.failed(self.view, error)


def _complete(display: Display, pendings: Iterable[_Pending]) -> Iterator[_Pending]:
    """Each as soon as its last slice is there."""
    waiting: dict[Target, list[_Pending]] = {}
    for pending in pendings:
        for target in pending.missing:
            waiting.setdefault(target, []).append(pending)
    for target, pixels in gather(display.volume, waiting):
        for pending in waiting.pop(target):
            if pending.give(target, pixels):
                yield pending


def _unasked(display: Display, asked: Sequence[_Pending], max_pixels: int) -> Iterator[_Pending]:
    """Of compressed volumes, slices that cost little more than those that were asked for. A viewer
    asks for values; a slice as a picture is one for a page or a model, and comes alone.
    """
    if not display.volume.data.compression:
        return
    views = (pending.view for pending in asked)
    slices = [view for view in views if view.kind is ViewKind.SLICE and view.depth == 16]
    room, number = _NEIGHBOUR_BYTES, _MOST_NEIGHBOURS
    for view in _neighbours(display, slices):
        [target] = display.targets(view, max_pixels)
        room -= display.bytes_of(target)
        number -= 1
        if room < 0 or number < 0:
            return
        yield _Pending(view, [target])


def _neighbours(display: Display, views: Sequence[View]) -> Iterator[View]:
    """Those nearest first, each once; of a middle slice also that with its number."""
    seen = set(views)
    for distance in range(_NEIGHBOURS + 1):
        for view in views:
            for step in (-distance, distance):
                index = display.index_of(view) + step
                neighbour = msgspec.structs.replace(view, index=index)
                if neighbour not in seen and 0 <= index < display.shape[AXES[view.plane]]:
                    seen.add(neighbour)
                    yield neighbour
