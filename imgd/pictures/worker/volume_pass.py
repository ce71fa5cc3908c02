"""The views of a volume in one pass over its file, and what passes by anyway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, Final

import msgspec
from numpy.typing import NDArray

from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker.slicing import Target, gather
from imgd.pictures.worker.source import Made, PictureError
from imgd.pictures.worker.volume_display import AXES, Display
from imgd.pictures.worker.volume_pictures import made

# Neighbours of a slice of a compressed volume that was asked for by its number, as people do who
# leaf through it: a pass costs far more than they do.
_NEIGHBOURS: Final = 8  # on each side
_MOST_NEIGHBOURS: Final = 48  # of all slices of a pass
_PASS_BYTES: Final = 96 << 20  # of voxels held for what was asked for
_NEIGHBOUR_BYTES: Final = 12 << 20  # of voxels held for them


def views_of(display: Display, views: Sequence[View], max_pixels: int) -> Iterator[Made]:
    """Those that were asked for as soon as their slices are there, then neighbours of slices.

    What is too much for the memory takes more than one pass. PictureError if the file is cut off or
    broken before the last that was asked for is there.
    """
    asked = []
    for view in views:
        try:
            asked.append(_Pending(view, display.targets(view, max_pixels)))
        except PictureError as error:
            yield Made.failed(view, error)
    known = {_numbered(display, view) for view in views}
    for group in _groups(display, asked):
        for picture in _one_pass(display, group, known, max_pixels):
            yield from (picture, *_by_number(display, picture, views))


def _groups(display: Display, asked: Sequence[_Pending]) -> Iterator[list[_Pending]]:
    """As many views as one pass may hold, at least one each."""
    group: list[_Pending] = []
    held: set[Target] = set()
    for pending in asked:
        held |= pending.missing
        if group and sum(map(display.bytes_of, held)) > _PASS_BYTES:
            yield group
            group, held = [], set(pending.missing)
        group.append(pending)
    if group:
        yield group


def _one_pass(
    display: Display, asked: Sequence[_Pending], known: set[View], max_pixels: int
) -> Iterator[Made]:
    """``known`` are views that are asked for in any pass, by their numbers, and neighbours."""
    left = {pending.view for pending in asked}
    later: list[_Pending] = []
    neighbours = _neighbours(display, asked, known, max_pixels)
    try:
        for pending in _complete(display, [*asked, *neighbours]):
            later.append(pending)
            if pending.view in left:
                left.discard(pending.view)
                yield later.pop().made(display, max_pixels)
            while later and not left:
                yield later.pop().made(display, max_pixels)
    except PictureError:
        if left:  # else it is broken where nobody looked
            raise


def _by_number(display: Display, picture: Made, views: Sequence[View]) -> Iterator[Made]:
    """The same picture of a middle slice for those who ask for it by its number."""
    view = picture.answer.view
    if picture.answer.status == 200 and view.kind is ViewKind.SLICE and view.index is None:
        numbered = _numbered(display, view)
        if numbered not in views:
            yield Made.of(numbered, picture.answer.media_type, picture.body)


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
        """Once: its slices are forgotten."""
        slices = [self._slices[target] for target in self.targets]
        self._slices.clear()
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


def _neighbours(
    display: Display, asked: Sequence[_Pending], known: set[View], max_pixels: int
) -> Iterator[_Pending]:
    """Of slices that were asked for, as many as there is room for; the nearest first."""
    if not display.volume.data.compression:
        return
    room, number = _NEIGHBOUR_BYTES, _MOST_NEIGHBOURS
    for view in _nearest(display, [pending.view for pending in asked], known):
        [target] = display.targets(view, max_pixels)
        room -= display.bytes_of(target)
        number -= 1
        if room < 0 or number < 0:
            return
        yield _Pending(view, [target])


def _nearest(display: Display, views: Sequence[View], known: set[View]) -> Iterator[View]:
    """Each neighbour once."""
    slices = [view for view in views if view.kind is ViewKind.SLICE and view.index is not None]
    for distance, view, sign in product(range(1, _NEIGHBOURS + 1), slices, (-1, 1)):
        index = display.index_of(view) + sign * distance
        neighbour = msgspec.structs.replace(view, index=index)
        if neighbour not in known and 0 <= index < display.shape[AXES[view.plane]]:
            known.add(neighbour)
            yield neighbour


def _numbered(display: Display, view: View) -> View:
    """With the number of its slice, if it is of the middle one."""
    return msgspec.structs.replace(view, index=display.index_of(view))
