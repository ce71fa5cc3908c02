"""The Range header: whatever is asked, the slices lie in the file and are no more than it."""

from __future__ import annotations

import atheris

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.core.ranges import MAX_RANGES, parse

SIZES = (0, 1, 2, 99, 2**31, 2**63)


def one_input(data: bytes) -> None:
    """Slices are within the file; their number and their sum are bounded."""
    for size in SIZES:
        slices = parse(data, size)
        if slices is None:
            continue
        must(len(slices) <= MAX_RANGES, slices)
        must(sum(part.length for part in slices) <= size, slices)
        for part in slices:
            must(part.offset >= 0 and part.length > 0, part)
            must(part.offset + part.length <= size, part)


if __name__ == "__main__":
    run(one_input, (b"bytes=0-0", b"bytes=-1", b"bytes=5-", b"bytes=0-1,3-4 , -2", b"Bytes = 0-"))
