"""Which representation of an instance or a frame a client gets: the choice that ``Accept`` makes.

RFC 9110 section 12.5.1, with the parameters of DICOM PS3.18 sections 8.7.3 to 8.7.5: multipart
messages have a ``type``, DICOM has a ``transfer-syntax``. One that is left out means any, for
nothing is converted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from imgd.errors import ImgdError

MULTIPART: Final = "multipart/related"
_ANY: Final = "*/*"
MAX_RANGES: Final = 64  # of one request; those that follow are not read
# A quote that is not closed goes to the end, so that no text is looked at twice.
_QUOTED: Final = r'"(?:[^"\\]|\\.?)*(?:"|$)'
_ELEMENT: Final = re.compile(rf'(?:{_QUOTED}|[^",])+')
_PARAMETER: Final = re.compile(rf';\s*([^\s=;"]+)\s*=\s*({_QUOTED}|[^\s;"]*)')
_QUALITY: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


class Offer(NamedTuple):
    """A representation that there is. ``media_type`` is that of each part of a multipart message.
    ``syntax`` is the Transfer Syntax UID, "" if parts differ in it.
    """

    media_type: str
    syntax: str
    is_multipart: bool = True

    @property
    def content_type(self) -> str:
        """What is between the lines of a part's head, or of the only one."""
        return (
            f"{self.media_type}; transfer-syntax={self.syntax}" if self.syntax else self.media_type
        )


class AcceptedType(NamedTuple):
    """What a client accepts: a type, for multipart messages that of the parts, and a syntax; "" or
    ``*`` stand for any.
    """

    media_type: str
    part_type: str
    syntax: str
    quality: float


@lru_cache(64)
def parse(headers: tuple[str, ...]) -> tuple[AcceptedType, ...]:
    """The ranges of all ``Accept`` headers of a request. What cannot be read is passed over."""
    elements = (element for header in headers for element in _ELEMENT.findall(header))
    ranges = map(_range, islice(elements, MAX_RANGES))
    return tuple(found for found in ranges if found is not None)


def _range(element: str) -> AcceptedType | None:
    media_type, _, _ = element.partition(";")
    media_type = media_type.strip().lower()
    if "/" not in media_type:
        return None
    parameters = _parameters(element)
    quality = parameters.get("q", "1")
    return AcceptedType(
        media_type,
        parameters.get("type", "").lower(),
        parameters.get("transfer-syntax", "").strip(),
        float(quality) if _QUALITY.fullmatch(quality) else 1.0,
    )


def _parameters(element: str) -> Mapping[str, str]:
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value
        for name, value in _PARAMETER.findall(element)
    }


def choose(headers: Iterable[str], offers: Sequence[Offer]) -> Offer:
    """The best offer; an ImgdError of status 406 if the client takes none."""
    found = best(headers, offers)
    if found is None:
        raise ImgdError.of(406, _sentence(offers))
    return found


def best(headers: Iterable[str], offers: Sequence[Offer]) -> Offer | None:
    """The offer that the client likes best; of those that it likes the same, the one that it names
    most closely, then the first. None if it takes none.
    """
    ranges = parse(tuple(headers))
    if not ranges:
        return offers[0]
    found, liked = None, (0.0, 0)
    for offer in offers:
        closeness, quality = max(_judged(ranges, offer), default=(0, 0.0))
        if quality and (quality, closeness) > liked:
            found, liked = offer, (quality, closeness)
    return found


def _judged(ranges: Iterable[AcceptedType], offer: Offer) -> Iterator[tuple[int, float]]:
    """How closely each range that has the offer names it, and how the client likes that."""
    for found in ranges:
        closeness = _closeness(found, offer)
        if found.syntax not in ("", "*"):
            closeness = closeness + 1 if closeness and found.syntax == offer.syntax else 0
        if closeness:
            yield closeness, found.quality


def _closeness(found: AcceptedType, offer: Offer) -> int:
    """0 if the range has not this offer."""
    if found.media_type == _ANY:
        return 1
    if not offer.is_multipart:
        return _closeness_of_type(found.media_type, offer.media_type)
    if found.media_type == "multipart/*":
        return 2
    if found.media_type != MULTIPART:
        return 0
    return _closeness_of_type(found.part_type, offer.media_type) if found.part_type else 2


def _closeness_of_type(wanted: str, offered: str) -> int:
    if wanted in (_ANY, offered.partition("/")[0] + "/*"):
        return 3
    return 5 if wanted == offered else 0


def _sentence(offers: Sequence[Offer]) -> str:
    kinds = dict.fromkeys(
        f'{MULTIPART}; type="{offer.media_type}"' if offer.is_multipart else offer.media_type
        for offer in offers
    )
    syntaxes = dict.fromkeys(offer.syntax for offer in offers if offer.syntax)
    with_syntax = f", in transfer-syntax={' or '.join(syntaxes)} or *" if syntaxes else ""
    return f"Nothing is converted here: this can be had as {' or '.join(kinds)}{with_syntax}."
