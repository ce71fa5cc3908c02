"""Which of some media types a client prefers: RFC 9110 section 12.5.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_RANGE: Final = re.compile(r'(?:"[^"]*"|[^,])+')
_QUALITY: Final = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.ASCII | re.I)


class MediaRange(NamedTuple):
    """``name`` is in lower case: ``image/png``, ``image/*`` or ``*/*``."""

    name: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """How closely it names a type: 0 if not at all, 3 if exactly."""
        whole = media_type.partition("/")[0] + "/*"
        return {media_type: 3, whole: 2, "*/*": 1}.get(self.name, 0)


def choose(accept: Iterable[str], offers: Sequence[str]) -> str | None:
    """The best of ``offers``, the first one of those that are as good; None if none is acceptable.

    ``accept`` are the values of the header; without any, everything is acceptable. Parameters but
    the quality are not looked at.
    """
    ranges = [_parse(part) for value in accept for part in _RANGE.findall(value) if part.strip()]
    if not ranges:
        return offers[0]
    qualities = {offer: _quality(offer, ranges) for offer in offers}
    best = max(offers, key=lambda offer: qualities[offer])
    return best if qualities[best] else None


def _parse(text: str) -> MediaRange:
    quality = _QUALITY.search(text)
    name = text.partition(";")[0].strip().lower()
    return MediaRange(name, float(quality[1]) if quality else 1.0)


def _quality(offer: str, ranges: Iterable[MediaRange]) -> float:
    """That of the range that names it the most closely; 0 if none does."""
    specificity, quality = max((r.specificity(offer), r.quality) for r in ranges)
    return quality if specificity else 0.0
