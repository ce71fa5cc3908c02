"""Volumes of whole series: the same for every order of files, another for every change."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from imgd.dicom.series_volume import VolumeDraft
from imgd.pictures.instances import FramePlane, Pixels
from tests.dicom.volume_case import (
    OFFSET,
    Pair,
    VolumeCase,
    file,
    header,
    names,
    nifti,
    pieces,
    plane,
    stack,
    volume,
)

EXAMPLES = settings(deadline=None, derandomize=True, max_examples=60)
ANY = st.one_of(
    *(st.none(), st.floats(), st.floats(-10, 10)),
    st.sampled_from((0.0, 1.0, -1.0, 1e-300, 1e300, math.nan, math.inf)),
)
LISTS = st.one_of(st.none(), st.lists(ANY.filter(lambda number: number is not None), max_size=7))


@st.composite
def planes(draw: Any) -> FramePlane:
    """Often as it should be, and sometimes anything."""
    places = st.one_of(st.sampled_from([[0.0, 0.0, float(z)] for z in range(4)]), LISTS)
    return FramePlane(
        position=draw(places),
        orientation=draw(st.one_of(st.just([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]), LISTS)),
        spacing=draw(st.one_of(st.just([1.0, 1.0]), LISTS)),
        time=draw(st.one_of(st.none(), st.integers(0, 2))),
        echo=draw(ANY),
        slope=draw(st.one_of(st.none(), ANY)),
        intercept=draw(st.one_of(st.none(), ANY)),
    )


@st.composite
def files(draw: Any) -> Pair:
    """What a worker that was taken over might tell."""
    small = st.integers(-1, 4)
    bits = draw(st.sampled_from((0, 1, 8, 16, 32, 64, -8)))
    return file(
        str(draw(st.integers())),
        *draw(st.lists(planes(), max_size=3)),
        frames=draw(st.integers(-1, 3)),
        rows=draw(st.sampled_from((4, 4, 0, -1, 2**40))),
        bits_allocated=bits,
        bits_stored=draw(st.sampled_from((bits, 12))),
        high_bit=draw(st.sampled_from((bits - 1, 11))),
        samples=draw(st.sampled_from((1, 1, 3))),
        window=draw(LISTS),
        thickness=draw(ANY),
        pixels=draw(
            st.one_of(
                st.none(),
                st.builds(Pixels, st.sampled_from(("PixelData", "x")), small, st.integers(-1, 999)),
            )
        ),
    )


class OrderTests(VolumeCase):
    @EXAMPLES
    @given(st.permutations(range(12)))
    def test_permutations(self, order: list[int]) -> None:
        """Whatever the order of the files, the volume has the same bytes and the same tag."""
        series = [
            file(f"z{z}t{time}", plane(2.5 * z, time=time, x=0.01 * z), window=[float(z), 8.0])
            for z in range(4)
            for time in range(3)
        ]
        made, shuffled = volume(series), volume([series[number] for number in order])
        self.assertEqual(shuffled, replace(made, nifti=shuffled.nifti))
        self.assertEqual(header(shuffled), header(made))
        self.assertEqual(pieces(shuffled), pieces(made))
        self.assertEqual(nifti(made).get_data_shape(), (3, 4, 4, 3))

    @EXAMPLES
    @given(st.lists(files(), min_size=1, max_size=4))
    def test_anything(self, series: list[Pair]) -> None:
        """Whatever a worker tells, there is a volume within the files, or a sentence."""
        made = volume(series)
        self.assertEqual(made.nifti is None, bool(made.why))
        self.assertTrue(made.frames)
        if made.nifti is None:
            return
        for piece in pieces(made):
            self.assertGreater(piece.part.length, 0)
            self.assertGreaterEqual(piece.part.offset, 0)
            self.assertLessEqual(piece.part.offset + piece.part.length, piece.facts.size)
        shape, bits = nifti(made).get_data_shape(), int(nifti(made)["bitpix"])
        self.assertEqual(made.nifti.size, 352 + math.prod(shape) * bits // 8)


class TagTests(VolumeCase):
    def test_changes(self) -> None:
        """Another version of a file, another place in it, or another header is another tag."""
        series = stack()
        indexed, record = series[0]
        tags = {volume(series).tag}
        for facts in (
            indexed.facts._replace(mtime_ns=5),
            indexed.facts._replace(inode=5),
            indexed.facts._replace(size=indexed.facts.size + 2),
        ):
            tags.add(volume([(replace(indexed, facts=facts), record), *series[1:]]).tag)
        moved = msgspec.structs.replace(record, pixels=Pixels("PixelData", OFFSET - 2, 24))
        tags.add(volume([(indexed, moved), *series[1:]]).tag)
        tags.add(volume(stack((0.0, 3.0, 6.0, 9.0))).tag)
        self.assertEqual(len(tags), 6)
        # A file that was only renamed, or may be read by others, has the same bytes.
        same = replace(indexed, names=("other",), facts=indexed.facts._replace(ctime_ns=5))
        self.assertIn(volume([(same, record), *series[1:]]).tag, tags)

    def test_modified(self) -> None:
        """It is as old as its newest file."""
        series = stack()
        indexed, record = series[2]
        newer = replace(indexed, facts=indexed.facts._replace(mtime_ns=7))
        self.assertEqual(volume([*series[:2], (newer, record), series[3]]).modified, 7)


class WindowTests(VolumeCase):
    def test_middle(self) -> None:
        """The window is that of the slice in the middle; nonsense is none."""
        series = [file(str(z), plane(z), window=[10.0 * z, 4.0]) for z in (2.0, 0.0, 1.0)]
        made = self.accepted(series)
        self.assertEqual(made.window, (10, 4))
        self.assertEqual((nifti(made)["cal_min"], nifti(made)["cal_max"]), (8, 12))
        for window in ([1.0], [1.0, 0.0], [math.nan, 1.0], [1.0, -5.0], []):
            made = self.accepted(stack(window=window))
            self.assertIsNone(made.window)
            self.assertEqual((nifti(made)["cal_min"], nifti(made)["cal_max"]), (0, 0))

    def test_too_large(self) -> None:
        """A number that does not fit into a header is a reason, not an error."""
        self.refused(stack(window=[1e300, 1.0]), "too large")


class FactsTests(VolumeCase):
    def test_description(self) -> None:
        """The header names the modality if it is one, and nobody."""
        self.assertEqual(nifti(volume(stack()))["descrip"], b"MR as stored, by imgd")
        made = volume(stack(modality="Doe^Jane"))
        self.assertEqual(nifti(made)["descrip"], b"DICOM as stored, by imgd")

    def test_time(self) -> None:
        """The time from volume to volume is known of a series in time alone."""
        metadata = b'{"00200110":{"vr":"DS","Value":[1500]}}'
        series = [
            file(f"{z}{t}", plane(z, time=t), metadata=metadata) for z in (0.0, 1.0) for t in (1, 2)
        ]
        self.assertEqual(nifti(volume(series))["pixdim"][4], 1.5)
        series = [
            file(f"{z}{e}", plane(z, echo=e), metadata=metadata)
            for z in (0.0, 1.0)
            for e in (1.0, 2.0)
        ]
        self.assertEqual(nifti(volume(series))["pixdim"][4], 0)

    def test_in_pieces(self) -> None:
        """Files may be added together or one by one; their records are left as they are."""
        series = stack(metadata=b'{"00180060":{"Value":[120]}}')
        draft = VolumeDraft()
        draft.add(*map(list, zip(*series, strict=True)))
        made = draft.finish()
        self.assertEqual((made.tag, made.acquisition), (volume(series).tag, {"KVP": 120}))
        self.assertEqual(bytes(series[0][1].metadata), b'{"00180060":{"Value":[120]}}')

    def test_fallback(self) -> None:
        """Without a common direction, files are as the series has them."""
        turned = plane(directions=(0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        made = volume([file("b", plane(4.0)), file("c", turned), file("a", plane(0.0))])
        self.assertEqual(names(made), "b c a")
        made = volume([file("b", plane(4.0)), file("c", frames=0, pixels=None)])
        self.assertEqual([f.numbers for f in made.frames], [(0,), ()])
        made = volume([file("film", frames=3), file("liar", frames=2**31 - 1, pixels=None)])
        self.assertEqual([f.numbers for f in made.frames], [(0, 1, 2), ()])
