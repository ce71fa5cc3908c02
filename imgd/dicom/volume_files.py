"""The files of a series, of which a volume may be made, and why it cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

from imgd.core import paths
from imgd.dicom.model import IndexedInstance
from imgd.pictures.instances import Instance

T = TypeVar("T", bound=Hashable)


class NotAVolume(Exception):
    """A series is no volume; ``why`` is one sentence with the rule and, if it is one, the file."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class VolumeFile(NamedTuple):
    """A file as memory keeps it, and what the index knows of it but its metadata, of which is kept
    whether they have a Modality LUT.
    """

    indexed: IndexedInstance
    record: Instance
    has_modality_lut: bool = False

    @property
    def name(self) -> str:
        """Below the collection, as text in quotation marks."""
        return f"'{paths.display('/'.join(self.indexed.names))}'"


def odd_one(
    files: Sequence[VolumeFile], value_of: Callable[[VolumeFile], T]
) -> tuple[VolumeFile, T, T] | None:
    """The first file whose value is not the most frequent one, its value, and that one."""
    values = [value_of(file) for file in files]
    usual = Counter(values).most_common(1)[0][0]
    for file, value in zip(files, values, strict=True):
        if value != usual:
            return file, value, usual
    return None
