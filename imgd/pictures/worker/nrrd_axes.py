"""The axes of a NRRD: what each is, and how those in space lie."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from imgd.pictures.worker.header_text import numbers
from imgd.pictures.worker.source import NotAPicture
from imgd.pictures.worker.volume import Floats, affine_of, is_usable, length_or_one

Step = list[float] | float | None  # a vector, a spacing alone, or neither

_IN_SPACE: Final = ("domain", "space", "???")
_COLOURS: Final = {"RGB-color": 3, "3-color": 3, "RGBA-color": 4, "4-color": 4}
# Which way each axis of the world runs, as signs to RAS. A space that is not anatomical counts as
# LPS, as ITK has it.
_SPACES: Final = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
}  # fmt: skip
_LPS: Final = (-1, -1, 1)
_VECTOR: Final = re.compile(r"none|\(([^()]*)\)", re.ASCII)


class Axes(NamedTuple):
    """``roles`` as of a Volume, but for axes of space that are missing."""

    roles: str
    affine: Floats
    notes: tuple[str, ...]


def axes_of(fields: Mapping[str, str], sizes: Sequence[int], are_bytes: bool) -> Axes:
    """Of these fields. At most one axis that is not in space is of colours, and one of frames;
    only the first along others is shown.
    """
    steps = _steps(fields, len(sizes))
    kinds = fields.get("kinds", "").split()
    if len(kinds) != len(sizes):
        kinds = ["???"] * len(sizes)
    has_vectors = "space directions" in fields
    roles, in_space, notes = "", list[Step](), list[str]()
    for axis, (kind, step, size) in enumerate(zip(kinds, steps, sizes, strict=True)):
        is_in_space = kind in _IN_SPACE and not (has_vectors and step is None)
        if is_in_space and len(in_space) < 3:
            roles += "xyz"[len(in_space)]
            in_space.append(step)
        elif "c" not in roles and are_bytes and _COLOURS.get(kind) == size:
            roles += "c"
        elif "t" not in roles:
            roles += "t"
        else:
            roles += "-"
            notes += [f"Only the first along axis {axis + 1} is shown."] if size > 1 else []
    if not in_space:
        raise NotAPicture("none of its axes is in space.")
    return Axes(roles, _affine(fields, in_space), tuple(notes))


def _steps(fields: Mapping[str, str], dimension: int) -> list[Step]:
    steps: list[Step] = [None] * dimension
    if "space directions" in fields:
        vectors = [match[1] for match in _VECTOR.finditer(fields["space directions"])]
        steps = [None if text is None else _vector(text, "space directions") for text in vectors]
    elif "spacings" in fields:
        spacings = numbers(fields["spacings"], "spacings")
        steps = [None if math.isnan(spacing) else spacing for spacing in spacings]
    if len(steps) != dimension:
        raise NotAPicture("its header does not say for each axis how it lies.")
    return steps


def _vector(text: str, field: str) -> list[float]:
    """``(x,y,z)`` or what is within: three coordinates. There may be two, or time as a fourth."""
    return [*numbers(text.strip("() ").replace(",", " "), field), 0.0, 0.0, 0.0][:3]


def _affine(fields: Mapping[str, str], steps: Sequence[Step]) -> Floats:
    space = fields.get("space", "").lower().removesuffix("-time")
    signs = np.array(_SPACES.get(space, _LPS))
    columns = np.eye(3)
    for axis, step in enumerate(steps):
        if isinstance(step, list):
            columns[axis] = step
        else:
            columns[axis, axis] = length_or_one(1.0 if step is None else step)
    if len(steps) == 2:
        columns[2] = np.cross(columns[0], columns[1])
        columns[2] /= np.sqrt((columns[2] * columns[2]).sum()) or 1
    origin = np.array(_vector(fields.get("space origin", ""), "space origin"))
    affine = affine_of((columns * signs).tolist(), (origin * signs).tolist())
    if is_usable(affine):
        return affine
    sides = [length_or_one(float(np.abs(column).max())) for column in columns]
    return affine_of((np.diag(sides) * signs).tolist(), (0, 0, 0))
