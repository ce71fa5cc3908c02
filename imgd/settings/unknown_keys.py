"""Keys that look like imgd's settings and are none: most are misspelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from imgd.settings.table import TABLE

_PREFIX: Final = "IMGD_"
_OF_THE_CLIENT: Final = ("IMGD_SERVER",)
KNOWN: Final = (*(v.name for spec in TABLE for v in spec.variables), *_OF_THE_CLIENT)
_SIMILAR: Final = 0.75  # of difflib's ratio: less is another word
# Keys as people guess them from the options, such as IMGD_PORT: what they are really called.
_GUESSED: Final = {
    f"{_PREFIX}{option.upper().replace('-', '_')}": spec.variables[0].name
    for spec in TABLE
    for option in spec.options
    if spec.variables
}
_BY_NAME: Final = {**_GUESSED, **{name: name for name in KNOWN}}


def warnings(sources: Iterable[tuple[str, Mapping[str, str]]]) -> Iterator[str]:
    """A sentence for each unknown key of these sources, each with what is written before its keys.
    Values are never shown: they may be secrets.
    """
    for prefix, source in sources:
        for key in sorted(source):
            if key.startswith(_PREFIX) and key not in KNOWN:
                nearest = get_close_matches(key, _BY_NAME, n=1, cutoff=_SIMILAR)
                hint = f"did you mean {_BY_NAME[nearest[0]]}?" if nearest else "see --help"
                yield f"{prefix}{key} is no setting of imgd and has no effect: {hint}"
