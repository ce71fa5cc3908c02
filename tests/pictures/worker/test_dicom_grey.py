"""Stored values as grey levels: windows, tables and what lies outside the picture."""

from __future__ import annotations

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi
from pydicom.sequence import Sequence
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker.dicom_grey import own_window, rescaled, to_grey, with_modality_table

STORED = np.arange(-1024, 3072, dtype=np.int16).reshape(64, 64)


def header(**elements: object) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored = "MONOCHROME2", 16
    dataset.BitsAllocated, dataset.PixelRepresentation = 16, 1
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def table(entries: NDArray[np.uint16], first: int, bits: int = 16) -> Sequence:
    """A lookup table, whose first entry is for the value ``first``."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return Sequence([item])


class WindowTests(SynchronousTestCase):
    def test_functions(self) -> None:
        """Each VOI LUT function is that of the standard, as pydicom computes it."""
        for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID", ""):
            for center, width in ((40, 400), (100.5, 1), (0, 4096), (-2000, 10)):
                if function == "LINEAR_EXACT" and width == 1:
                    continue  # of one level, half of it
                dataset = header(WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
                expected = apply_voi_8_bits(STORED, dataset)
                grey = to_grey(STORED, dataset, 0, "").astype(float)
                self.assertLess(np.abs(grey - expected).max(), 1.01, (function, center, width))

    def test_several(self) -> None:
        """Of several windows, the first is the file's own; that of the request goes before it."""
        dataset = header(WindowCenter=[0, 1000], WindowWidth=[200, 2000])
        self.assertEqual(own_window(STORED, dataset, 0), (0, 200))
        grey = to_grey(STORED, dataset, 0, "500,100")
        self.assertEqual(int(grey.ravel()[1024 + 449]), 0)
        self.assertEqual(int(grey.ravel()[1024 + 551]), 255)

    def test_none(self) -> None:
        """Without a window, or with nonsense for one, the middle 96 percent are shown."""
        for elements in ({}, {"WindowCenter": 5, "WindowWidth": 0}, {"WindowCenter": 5}):
            dataset = header(**elements)
            center, width = own_window(STORED, dataset, 0)
            self.assertLess(abs(center - 1023.5) + abs(width - 4095 * 0.96), 1)
            grey = to_grey(STORED, dataset, 0, "")
            self.assertEqual((grey.min(), grey.max()), (0, 255))

    def test_frames(self) -> None:
        """The window and the scale of each frame of a file of many are its own."""
        frames = []
        for number in range(2):
            voi, scale, item = Dataset(), Dataset(), Dataset()
            voi.WindowCenter, voi.WindowWidth = 100 * number, 50
            scale.RescaleSlope, scale.RescaleIntercept = 1 + number, -5
            item.FrameVOILUTSequence = Sequence([voi])
            item.PixelValueTransformationSequence = Sequence([scale])
            frames.append(item)
        dataset = header(PerFrameFunctionalGroupsSequence=Sequence(frames))
        self.assertEqual(own_window(STORED, dataset, 1), (100, 50))
        self.assertEqual(rescaled(STORED, dataset, 1)[0, 0], -1024 * 2 - 5)
        self.assertEqual(rescaled(STORED, dataset, 0)[0, 0], -1024 - 5)


def apply_voi_8_bits(stored: NDArray[np.int16], dataset: Dataset) -> NDArray[np.float64]:
    """pydicom's windowed values, which span those that can be stored, from 0 to 255."""
    if not dataset.VOILUTFunction:
        del dataset.VOILUTFunction
    with np.errstate(over="ignore"):
        windowed = pydicom.pixels.processing.apply_windowing(stored, dataset)
    return (windowed.astype(np.float64) + 32768) * 255 / 65535


class TableTests(SynchronousTestCase):
    def test_voi(self) -> None:
        """A table of grey levels is followed if there is no window."""
        entries = (np.linspace(0, 1, 4096) ** 2 * 4095).astype("u2")
        dataset = header(VOILUTSequence=table(entries, -1024, 12))
        expected = apply_voi(STORED.astype(np.int32), dataset) * (255 / 4095)
        grey = to_grey(STORED, dataset, 0, "")
        self.assertLess(np.abs(grey - expected).max(), 0.51)
        dataset.WindowCenter, dataset.WindowWidth = 0, 100
        self.assertEqual(int(to_grey(STORED, dataset, 0, "").ravel()[2000]), 255)

    def test_modality(self) -> None:
        """A table of values comes before every window."""
        entries = np.arange(4096)[::-1].astype("u2") * 4
        dataset = header(ModalityLUTSequence=table(entries, -1024))
        values = with_modality_table(STORED, dataset)
        self.assertTrue((values == apply_modality_lut(STORED, dataset)).all())
        grey = to_grey(values, dataset, 0, "min-max")
        self.assertEqual((int(grey[0, 0]), int(grey[-1, -1])), (255, 0))

    def test_large(self) -> None:
        """Large frames, whose levels are computed once each, look as small ones do."""
        large = np.tile(STORED, (8, 8))
        for elements in ({}, {"RescaleSlope": 0.3}):
            dataset = header(**elements, WindowCenter=7, WindowWidth=900)
            small = to_grey(STORED, dataset, 0, "")
            self.assertTrue((to_grey(large, dataset, 0, "")[:64, :64] == small).all())


class PaddingTests(SynchronousTestCase):
    def test_outside(self) -> None:
        """What lies outside the picture does not count for the window."""
        stored = STORED.copy()
        stored[:, :40] = -2000
        dataset = header(PixelPaddingValue=-2000)
        center, width = own_window(stored, dataset, 0)
        self.assertGreater(center - width / 2, -1100)
        dataset = header(PixelPaddingValue=-3000, PixelPaddingRangeLimit=-1500)
        self.assertEqual(own_window(stored, dataset, 0), (center, width))

    def test_all(self) -> None:
        """A frame of nothing but padding is shown."""
        stored = np.full((8, 8), -2000, np.int16)
        self.assertEqual(to_grey(stored, header(PixelPaddingValue=-2000), 0, "").shape, (8, 8))
