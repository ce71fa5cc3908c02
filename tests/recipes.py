"""Blocks of the documents that tests run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from tests.daemons import CHECKOUT


def document(name: str) -> str:
    """The text of a file in docs/."""
    return Path(CHECKOUT, "docs", name).read_text("utf-8")


def block(source: str, mark: str) -> str:
    """The fenced block of a document right below ``<!-- MARK -->``; AssertionError without one."""
    found = re.search(rf"^<!-- {re.escape(mark)} -->\n```\w+\n(.*?)^```$", source, re.M | re.S)
    if found is None:
        raise AssertionError(f"there is no block below <!-- {mark} -->")
    return found[1]


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with each first of a pair replaced; AssertionError if it is not there."""
    for old, new in pairs:
        if old not in text:
            raise AssertionError(f"{old} is not in:\n{text}")
        text = text.replace(old, new)
    return text
