"""``Content-Disposition`` with a file's name, RFC 6266 and RFC 8187."""

from __future__ import annotations

import re
from typing import Final
from unicodedata import bidirectional
from urllib.parse import quote

from imgd.core import paths
from imgd.core.plan import Header

# Not allowed in the quoted-string: what needs an escape, and "%", which some clients decode
# (RFC 6266 appendix D).
_NOT_PLAIN: Final = re.compile(r"[^ -!#$&-\[\]-~]")
_ATTR_CHAR: Final = "!#$&+-.^_`|~"  # besides letters and digits: RFC 8187 section 3.2.1
_DIRECTIONS: Final = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def attachment(name: str) -> Header:
    """The header that makes a browser save a file under its name."""
    return _disposition("attachment", name)


def inline(name: str) -> Header:
    """The header that gives a browser a name for what it shows, if its user saves it."""
    return _disposition("inline", name)


def _disposition(kind: str, name: str) -> Header:
    """Of this kind, with this name.

    Line ends and other controls become ``_``, as do marks that would show ``gpj.exe`` as
    ``exe.jpg`` (UAX #9). A name with other characters is given twice: in ASCII for old clients.
    """
    clean = "".join("_" if _misleads(c) else c for c in paths.display(name))
    plain = _NOT_PLAIN.sub("_", clean)
    text = f'{kind}; filename="{plain}"'
    if plain != clean:
        text += f"; filename*=UTF-8''{quote(clean, safe=_ATTR_CHAR)}"
    return b"Content-Disposition", text.encode("ascii")


def _misleads(character: str) -> bool:
    return (
        character < " "
        or "\x7f" <= character <= "\x9f"
        or character in "/\\\u2028\u2029"
        or bidirectional(character) in _DIRECTIONS
    )
