"""Which instances requests below ``dicomweb/`` mean, and what their clients accept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from imgd.core.dicomweb_paths import DicomwebTarget
from imgd.dicom import accept
from imgd.dicom.model import DicomIndex, IndexedInstance
from imgd.errors import ImgdError, NotFound
from imgd.web.endpoint import vary_by_accept
from imgd.web.request import Request

_WHAT: Final = {"studies": "study", "series": "series", "instances": "instance"}


def instances_of(index: DicomIndex, target: DicomwebTarget) -> Sequence[IndexedInstance]:
    """The instances of a target, at least one; 404 with a sentence if there is none."""
    found = list(index.instances(target.study, target.series, target.instance))
    if not found:
        raise NotFound(f"This collection has no such {_WHAT[target.level]}.")
    return found


def accepted(request: Request) -> list[str]:
    """What a client accepts: by ``accept`` in the query if it is there, for a browser cannot set
    its header (PS3.18 section 8.3.3.1). A plus sign is one, as in ``application/dicom+json``.
    """
    vary_by_accept(request)
    _, question, query = request.uri.partition(b"?")
    if question:
        pairs = (pair.partition(b"=") for pair in query.split(b"&"))
        given = [unquote(value, "latin-1") for key, _, value in pairs if key == b"accept" and value]
        if given:
            return given
    values = request.requestHeaders.getRawHeaders(b"accept", ())
    return [value.decode("latin-1") for value in values]


def accepted_type(request: Request, media_types: Sequence[str], why_not: str) -> str:
    """The one of some types of a body of one part that a client likes best, the first if it likes
    them all the same; 406 with a sentence if it takes none.
    """
    offers = [accept.Offer(media_type, "", is_multipart=False) for media_type in media_types]
    best = accept.best(accepted(request), offers)
    if best is None:
        raise ImgdError.of(406, why_not)
    return best.media_type
