"""What the answers about a collection's DICOM are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgd.collections.manager import CollectionManager
from imgd.dicom.indexes import DicomIndexes
from imgd.host.blocking import RunBlocking
from imgd.pictures.maker import Pictures
from imgd.web.dicom.addresses import Addresses
from imgd.web.dicom.known_series import KnownSeries


@dataclass(frozen=True, slots=True)
class DicomParts:
    """``run`` and ``ask`` are those of ``BlockingRunner``."""

    manager: CollectionManager
    indexes: DicomIndexes
    pictures: Pictures
    addresses: Addresses
    run: RunBlocking
    ask: RunBlocking
    known_series: KnownSeries = field(default_factory=KnownSeries)
