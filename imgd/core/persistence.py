"""Whether a connection stays open after a request: RFC 9112 section 9.3."""

from __future__ import annotations

from collections.abc import Iterable


def connection_options(values: Iterable[bytes]) -> set[bytes]:
    """What the values of ``Connection`` list, in lower case (RFC 9110 section 7.6.1)."""
    return {option.strip(b" \t").lower() for value in values for option in value.split(b",")}


def is_last(values: Iterable[bytes], *, is_1_0: bool) -> bool:
    """Whether a request with these values of ``Connection`` is the last of its connection.

    A client of HTTP/1.0 must ask for more requests; its answers then need a length.
    """
    options = connection_options(values)
    return b"close" in options or (is_1_0 and b"keep-alive" not in options)
