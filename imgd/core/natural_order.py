"""The order of names as people read them: frame_2 before frame_10, whatever the case."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

# Names that are sorted at once. A sort lets no other thread run until it is done: one of 1,000,000
# names held up every request for a third of a second, one of this many for some 3 ms.
CHUNK: Final = 4_096
# One name in so many is looked at to cut all of them into chunks of about that size.
SAMPLE: Final = 64

_DIGITS: Final = re.compile(rb"([0-9]+)")


def key(name: bytes) -> bytes:
    """What a name is sorted by: runs of digits as numbers, without case; ties by the name's bytes.

    ``name`` has the bytes that it has on the disk, UTF-8 or not.
    """
    return keys([name.replace(b"\0", b"")])[0]  # no file has a NUL in its name, but a URL may


def keys(names: Sequence[bytes | bytearray]) -> list[bytes]:
    """The key of each name, several times faster than one by one. No name contains a NUL."""
    if not names:
        return []
    text = b"\0".join(names).decode("utf-8", "surrogateescape").casefold()
    parts = _DIGITS.split(text.encode("utf-8", "surrogateescape"))
    numbers = [digits.lstrip(b"0") for digits in parts[1::2]]
    parts[1::2] = [_length(len(number)) + number for number in numbers]
    return list(map(b"\0".join, zip(b"".join(parts).split(b"\0"), names, strict=True)))


@cache
def _length(digits: int) -> bytes:
    """How many digits a number has, in digits: it sorts as the number, and ends by itself."""
    return b"9" * (digits // 9) + b"%d" % (digits % 9)


def sort(
    count: int, keys_of: Callable[[Sequence[int]], list[bytes]], pause: Callable[[], None]
) -> array[int]:
    """The numbers below ``count`` in the order of their keys, of which no two are equal.

    ``pause`` is called every few milliseconds. The numbers are dealt into chunks by a sample of
    their keys first, so that no key is kept and no long sort keeps other threads waiting.
    """
    sample = sorted(keys_of(range(0, count, SAMPLE))) if count > CHUNK else []
    borders = sample[CHUNK // SAMPLE :: CHUNK // SAMPLE]
    chunks = [array("I") for _ in range(len(borders) + 1)]
    for start in range(0, count, CHUNK):
        pause()
        numbers = range(start, min(start + CHUNK, count))
        for number, key_of_number in zip(numbers, keys_of(numbers), strict=True):
            chunks[bisect_right(borders, key_of_number)].append(number)
    merged = array("I")
    for chunk in chunks:
        pause()
        chunk_keys = keys_of(chunk)
        merged.extend(chunk[rank] for rank in sorted(range(len(chunk)), key=chunk_keys.__getitem__))
    return merged
