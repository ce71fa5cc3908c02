"""Names as a person can read them: they come from anyone, and may be misleading."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

# Characters that have no shape, or move what stands beside them: C0, DEL and C1 controls, soft
# hyphen, the Arabic letter mark, zero-width space and bidirectional marks, line and paragraph
# separators, bidirectional embeddings, overrides and isolates (UAX #9), other format characters,
# byte order mark, tags; and lone surrogates, which stand for bytes that are not UTF-8 (PEP 383).
# U+200C and U+200D are not among them: Persian and joined emoji are written with them.
_INVISIBLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def escape_text(text: str) -> str:
    """Text in which every character is visible: U+202E as ``\\u202e``."""
    return _INVISIBLE.sub(lambda match: _picture(match[0]), text)


def escape_html(text: str) -> Markup:
    """Text as markup in which every character is visible: invisible ones become a ``span``."""
    escaped = str(escape(text))
    if escaped.isprintable():
        return Markup(escaped)  # noqa: S704  # escaped in the line above
    return Markup(  # noqa: S704  # as above, and a picture holds no markup
        _INVISIBLE.sub(lambda match: f'<span class="unseen">{_picture(match[0])}</span>', escaped)
    )


def _picture(character: str) -> str:
    """A character as Python escapes it, or a byte that is not UTF-8; in ASCII either way."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
