"""The body of a request, read as a message of ``imgd.core.messages``."""

from __future__ import annotations

import json
import re
from typing import Final, TypeVar

import msgspec

from imgd.errors import BadRequest

T = TypeVar("T")
_NOT_JSON: Final = 'The body is not JSON: send an object such as {"directory": "DIR"}.'
# The text of msgspec.ValidationError, which has no other way to say which field is wrong.
_FIELD_PROBLEM: Final = re.compile(r"(.+) - at `\$\.?([\w.\[\]]+)`", re.DOTALL)


def decode(body: bytes, kind: type[T]) -> T:
    """A request's body as a message of this kind; BadRequest names the field that is wrong."""
    try:
        message = msgspec.json.decode(body, type=kind)
        # The numbers are dropped: int() would refuse those of more than 4,300 digits.
        json.loads(body.decode("utf-8"), object_pairs_hook=_check_unique, parse_int=_drop)
    except msgspec.ValidationError as error:
        raise BadRequest(_wrong_shape(str(error))) from None
    except (msgspec.DecodeError, json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(_NOT_JSON) from None
    return message


def _wrong_shape(text: str) -> str:
    """A sentence for msgspec's; it names the body if the text does not name a field as expected."""
    match = _FIELD_PROBLEM.fullmatch(text)
    problem, subject = (match[1], f"Field '{match[2]}'") if match else (text, "The body")
    return f"{subject} is of the wrong shape: {problem[:1].lower()}{problem[1:]}."


def _check_unique(pairs: list[tuple[str, object]]) -> None:
    """Refuse a key that is there twice: imgd and a proxy that judged the body may differ on it."""
    if len(dict(pairs)) < len(pairs):
        raise BadRequest("A field stands twice in the body.")


def _drop(_number: str) -> None:
    pass
