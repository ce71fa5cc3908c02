"""The strict check of a request's head: no surprise, no slowness, and no reading but h11's."""

from __future__ import annotations

import atheris
import h11

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.core.http_rules import HeadError
    from imgd.core.request_head import HeadReader, RequestHead

STATUSES = (400, 413, 414, 431, 501, 505)


def one_input(data: bytes) -> None:
    """The whole and its pieces come to one end, and what is accepted h11 reads the same."""
    whole = HeadReader().feed(data)
    size = 1 + len(data) % 7
    reader, pieces = HeadReader(), None
    for start in range(0, len(data), size):
        pieces = reader.feed(data[start : start + size])
        if pieces is not None:
            break
    if isinstance(whole, HeadError):
        must(whole.status in STATUSES, whole)
        must(isinstance(pieces, HeadError) and pieces.status == whole.status, whole, pieces)
    elif isinstance(whole, RequestHead):
        must(isinstance(pieces, RequestHead) and pieces.raw == whole.raw, whole, pieces)
        again = HeadReader().feed(data)  # with a section that is known now
        must(isinstance(again, RequestHead) and again.raw == whole.raw, whole, again)
        same_as_h11(whole.raw)
        must(isinstance(HeadReader().feed(whole.without_framing()), RequestHead), whole)
    else:
        must(pieces is None, pieces)


def same_as_h11(head: bytes) -> None:
    """The same request line, and the same fields."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(head)
    event = connection.next_event()
    must(isinstance(event, h11.Request), event)
    line, *fields = head.split(b"\r\n")[:-2]
    must(b"%b %b HTTP/%b" % (event.method, event.target, event.http_version) == line, line)
    split = [field.partition(b":") for field in fields]
    written = [(name.lower(), value.strip(b" \t").lower()) for name, _, value in split]
    must([(name, value.lower()) for name, value in event.headers] == written, written)


if __name__ == "__main__":
    run(
        one_input,
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST http://[::1]:80/a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"OPTIONS * HTTP/1.0\r\nX: a\r\n b\r\n\r\n",
        ),
    )
