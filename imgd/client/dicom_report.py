"""What ``imgd load --dicom`` waits for: the index of a collection's DICOM, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from imgd.client.api import Client
from imgd.client.errors import ErrorResponse
from imgd.core.messages import DicomReport
from imgd.core.sizes import counted

STILL_INDEXING: Final = 202
PAUSE: Final = 1.0  # seconds between two questions, if the server does not say how many


async def wait_for_index(
    client: Client, name: str, clock: IReactorTime, on_progress: Callable[[str], object]
) -> DicomReport:
    """The report on a collection once its index is complete; ``on_progress`` gets the server's
    sentence each time that it is not yet.
    """
    while True:
        try:
            return await client.dicom(name)
        except ErrorResponse as error:
            if error.status != STILL_INDEXING:
                raise
            on_progress(error.detail)
            pause = PAUSE if error.retry_after is None else error.retry_after
        await deferLater(clock, pause)


def lines(report: DicomReport, most: int) -> Iterator[str]:
    """What was indexed, and at most ``most`` of the files that were not, each with the reason."""
    found = ", ".join(
        (
            counted(report.study_count, "study", "studies"),
            counted(report.series_count, "series", "series"),
            counted(report.instance_count, "file", "files"),
        )
    )
    left = report.unindexed_count
    rest = f"; {counted(left, 'file is', 'files are')} not indexed" if left else ""
    yield f"DICOM: {found}{rest}"
    for file in report.unindexed[:most]:
        yield f"  {file.name}: {file.why}"
    if left > most:
        yield f"  and {left - most:,} more"
