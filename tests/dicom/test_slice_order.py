"""In which order the slices of a series lie, and which series are no volumes."""

from __future__ import annotations

import math
from typing import Any

from imgd.dicom.series_volume import SeriesVolume
from tests.dicom.volume_case import (
    AXIAL,
    Pair,
    VolumeCase,
    file,
    names,
    nifti,
    pieces,
    plane,
    stack,
)

TILT = math.radians(15)
OBLIQUE = (math.cos(TILT), math.sin(TILT), 0.0, 0.0, 0.0, -1.0)
Z = (0.0, 2.0, 4.0)


def repeated(key: str, values: tuple[float | None, ...], **more: Any) -> list[Pair]:
    """A file for each value and depth, those of one depth together; named by both."""
    return [
        file(f"{key}{i}z{z:g}", plane(z, **dict[str, Any]({key: value})), **more)
        for z in Z
        for i, value in reversed(list(enumerate(values)))
    ]


class OrderTests(VolumeCase):
    def test_along_normal(self) -> None:
        """Slices are sorted along the cross product of row and column, whatever they are called."""
        self.assertEqual(names(self.accepted(stack((4.0, 0.0, 6.0, 2.0)))), "1 3 0 2")
        downwards = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
        pairs = [file(f"z{z:g}", plane(z, directions=downwards)) for z in (-2.0, 0.0, 2.0)]
        self.assertEqual(names(self.accepted(pairs)), "z2 z0 z-2")

    def test_oblique(self) -> None:
        """The normal is that of the slices, and no axis of the patient."""
        made = self.accepted(
            file(
                str(n), plane(0.0, x=n * math.sin(TILT), y=-n * math.cos(TILT), directions=OBLIQUE)
            )
            for n in (2, 0, 1)
        )
        self.assertEqual(names(made), "2 1 0")
        self.assertAlmostEqual(nifti(made)["pixdim"][3], 1.0)

    def test_frames(self) -> None:
        """Frames of one file lie in any order; those that follow one another are one piece."""
        [frames] = self.accepted([file("a", *map(plane, (2.0, 0.0, 6.0, 4.0)))]).frames
        self.assertEqual(frames.numbers, (1, 0, 3, 2))
        made = self.accepted([file("a", *map(plane, (4.0, 0.0, 2.0)))])
        self.assertEqual([p.part for p in pieces(made)], [(1024, 48), (1000, 24)])
        made = self.accepted([file("a", *map(plane, Z)), file("b", *map(plane, (8.0, 6.0)))])
        self.assertEqual([f.numbers for f in made.frames], [(0, 1, 2), (1, 0)])

    def test_one_slice(self) -> None:
        """One slice is a volume, as thick as it says."""
        made = self.accepted([file("a", plane())])
        self.assertEqual(nifti(made).get_data_shape(), (3, 4, 1))
        self.assertEqual(list(nifti(made)["pixdim"][1:4]), [0.75, 0.5, 2.5])
        self.assertEqual(nifti(self.accepted([file("a", plane(), thickness=None)]))["pixdim"][3], 1)


class RefusalTests(VolumeCase):
    def odd(self, *words: str, **facts: Any) -> None:
        """A frame of these facts on top of a good series is named and refused."""
        z = facts.pop("z", 8.0)
        self.refused([*stack(), file("odd", plane(z, **facts))], "'folder/odd'", *words)

    def test_no_place(self) -> None:
        """What does not say where it lies, or says nonsense, is refused."""
        for facts in (
            *({"position": None}, {"orientation": None}, {"spacing": None}),
            *({"position": [1.0]}, {"orientation": [1.0] * 5}, {"spacing": [1.0, 0.0]}),
            *({"position": [math.nan] * 3}, {"spacing": [math.inf, 1.0]}, {"spacing": [-1.0, 1.0]}),
            *({"position": [1e300, 0.0, 0.0]}, {"directions": [0.0] * 6}, {"spacing": [1e9, 1.0]}),
            *({"directions": (1.0, 0.0, 0.0) * 2}, {"directions": (2.0, *AXIAL[1:])}),
        ):
            self.odd("does not say where in space it lies", **facts)
        self.refused([file("a")], "no pixels")
        self.refused([file("a", frames=1)], "'folder/a' does not say where")

    def test_film(self) -> None:
        """A film has frames and no place for each."""
        self.refused([file("a", frames=30)], "'folder/a' has 30 frames", "film")
        self.refused([file("a", plane(), frames=30)], "'folder/a' has 30 frames")
        nowhere = plane(position=None)
        self.refused([file("a", plane(), nowhere)], "'folder/a' does not say of frame 2 where")

    def test_direction(self) -> None:
        """Another direction, by over 0.0001 of a cosine, is refused."""
        self.odd("another direction", directions=OBLIQUE)
        slightly = (math.cos(2e-4), math.sin(2e-4), 0.0, -math.sin(2e-4), math.cos(2e-4), 0.0)
        self.odd("another direction", directions=slightly)
        hardly = (math.cos(5e-5), math.sin(5e-5), 0.0, -math.sin(5e-5), math.cos(5e-5), 0.0)
        self.accepted([*stack(), file("odd", plane(8.0, directions=hardly))])

    def test_sizes(self) -> None:
        """Another size of the frame or of its pixels is refused."""
        odd = file("odd", plane(8.0), columns=5)
        self.refused([*stack(), odd], "'folder/odd' has 5 x 4 pixels", "3 x 4")
        self.odd("0.5 x 0.8 mm", "0.5 x 0.75 mm", spacing=[0.5, 0.8])
        self.accepted([*stack(), file("odd", plane(8.0, spacing=[0.5, 0.75001]))])

    def test_gaps(self) -> None:
        """A gap that differs by over 1 % and over 0.01 mm is refused, and told what it seems."""
        self.refused(
            stack((0.0, 2.0, 6.0, 8.0, 10.0)),
            *("after 'folder/1' comes after 4 mm", "after 2 mm: 1 seems to be missing there"),
        )
        self.refused(stack((0.0, 2.0, 4.0, 12.0, 14.0)), "'folder/2'", "3 seem to be missing")
        self.refused(stack((0.0, 2.0, 4.0, 6.0, 9.0)), "'folder/3' comes after 3 mm")
        self.refused(stack((0.0, 2.0, 4.0, 6.03)), "'folder/2'")
        self.accepted(stack((0.0, 2.0, 4.0, 6.015)))
        self.refused(stack((0.0, 0.1, 0.2, 0.315)), "'folder/2'")
        self.accepted(stack((0.0, 0.1, 0.2, 0.305)))

    def test_sideways(self) -> None:
        """Slices that are moved sideways, and not all alike, are refused."""
        self.odd("moved sideways", x=-9.0)
        tilted = [file(str(n), plane(n, y=0.3 * n)) for n in range(4)]
        self.accepted(tilted)

    def test_too_many(self) -> None:
        """NIfTI-1 keeps the number of slices in 16 bits."""
        many = file("a", *map(plane, map(float, range(32768))))
        self.refused([many], "more than 32767 slices")


class VolumesTests(VolumeCase):
    def split(self, pairs: list[Pair], count: int) -> SeriesVolume:
        made = self.accepted(pairs)
        self.assertEqual(nifti(made).get_data_shape(), (3, 4, 3, *([count] * (count > 1))))
        return made

    def test_dimensions(self) -> None:
        """Temporal position, echo, b-value or acquisition number tell volumes apart; the last of
        the axes is of volumes.
        """
        for key, told, values in (
            ("time", "temporal_position", (1, 2)),
            ("echo", "echo", (4.6, 9.2)),
            ("b_value", "b_value", (None, 1000.0)),
        ):
            made = self.split(repeated(key, values), 2)
            order = [f"{key}{i}z{z:g}" for i in range(2) for z in Z]
            self.assertEqual(names(made), " ".join(order))
            expected = [{} if value is None else {told: value} for value in values]
            self.assertEqual(list(made.volumes), expected)
        acquisitions = [
            file(f"a{number}z{z:g}", plane(z), acquisition=number) for z in Z for number in (3, 1)
        ]
        made = self.split(acquisitions, 2)
        self.assertEqual(names(made), "a1z0 a1z2 a1z4 a3z0 a3z2 a3z4")

    def test_several(self) -> None:
        """Temporal position and echo together tell volumes apart, time first."""
        pairs = [
            file(f"t{t}e{e}z{z:g}", plane(z, time=t, echo=float(e)))
            for z in Z
            for e in (2, 1)
            for t in (1, 2)
        ]
        made = self.split(pairs, 4)
        self.assertTrue(names(made).startswith("t1e1z0 t1e1z2 t1e1z4 t1e2z0"), names(made))
        self.assertEqual(made.volumes[1], {"temporal_position": 1, "echo": 2.0})

    def test_not_needed(self) -> None:
        """What differs from slice to slice makes no volumes if each has a place of its own."""
        pairs = [file(str(n), plane(z, time=n, echo=float(n))) for n, z in enumerate(Z)]
        self.assertEqual(list(self.split(pairs, 1).volumes), [])

    def test_enhanced(self) -> None:
        """Frames of one file are volumes, too."""
        frames = [plane(z, time=t) for z in Z for t in (1, 2)]
        made = self.split([file("a", *frames)], 2)
        self.assertEqual(made.frames[0].numbers, (0, 2, 4, 1, 3, 5))
        self.assertEqual(len(pieces(made)), 6)

    def test_one_place(self) -> None:
        """One slice again and again is a volume of one slice again and again."""
        made = self.accepted([file(str(t), plane(time=t)) for t in (2, 1, 3)])
        self.assertEqual(nifti(made).get_data_shape(), (3, 4, 1, 3))
        self.assertEqual(names(made), "1 2 3")

    def test_unexplained(self) -> None:
        """Two slices at a place that nothing tells apart are refused, with one of them."""
        twice = [*stack(), *[file(f"again{n}", plane(2.0 * n)) for n in range(4)]]
        self.refused(twice, "one of 2 at its place", "neither temporal position")
        self.refused(
            [*stack(), file("odd", plane(4.0))], "one of 2 at its place", "there is 1 slice"
        )
        missing = repeated("time", (1, 2))[1:]
        self.refused(missing, "'folder/time0z0' is one of 1 at its place", "there are 2 slices")

    def test_moved(self) -> None:
        """A volume that lies beside the first is refused."""
        pairs = [file(f"t{t}z{z:g}", plane(z, x=float(t), time=t)) for z in Z for t in (1, 2)]
        self.refused(pairs, "'folder/t2z0' does not lie where")
        beside = [file("a", plane(time=1)), file("b", plane(x=0.0, time=2))]
        self.refused(beside, "'folder/b' does not lie where")
