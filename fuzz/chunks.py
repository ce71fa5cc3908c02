"""Chunked bodies and trailers: no surprise, no more than is allowed, and no reading but h11's."""

from __future__ import annotations

import re

import atheris
import h11

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.core.http_rules import HeadError
    from imgd.core.request_body import MAX_BODY, Body, ChunkedReader

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_SIZE = re.compile(rb"[0-9A-Fa-f]{21}")  # h11 reads 20 digits of a size and no more


def one_input(data: bytes) -> None:
    """The whole and its pieces come to one end, and what is accepted h11 reads the same."""
    whole = ChunkedReader(is_kept=True).feed(data)
    size = 1 + len(data) % 7
    reader, pieces, fed = ChunkedReader(is_kept=True), None, 0
    while pieces is None and fed < len(data):
        pieces = reader.feed(data[fed : fed + size])
        fed += size
    if isinstance(whole, HeadError):
        must(whole.status in (400, 413), whole)
        must(isinstance(pieces, HeadError), whole, pieces)
    elif isinstance(whole, Body):
        must(isinstance(pieces, Body) and pieces.content == whole.content, whole, pieces)
        must(pieces.rest + data[fed:] == whole.rest, whole, pieces)
        must(len(whole.content) <= MAX_BODY, whole)
        same_as_h11(data[: len(data) - len(whole.rest)], whole.content)
    else:
        must(pieces is None, pieces)


def same_as_h11(data: bytes, content: bytes) -> None:
    """The same octets, and the same end."""
    if LONG_SIZE.search(data):
        return
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(HEAD + data)
    connection.next_event()
    read = b""
    while isinstance(event := connection.next_event(), h11.Data):
        read += event.data
    must(isinstance(event, h11.EndOfMessage), event)
    must(connection.trailing_data == (b"", False), connection.trailing_data)
    must(read == content, read, content)


if __name__ == "__main__":
    run(
        one_input,
        (
            b"2\r\n{}\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
            b'0A;a="b";c\r\n0123456789\r\n000\r\n\r\n',
            b"1\r\na\r\n0;d=e\r\nX: y\r\nZ:\r\n\r\n",
            b"10000000000000000\r\n",
            b"10000\r\n" + b"a" * 1000,
        ),
    )
