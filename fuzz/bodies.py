"""JSON bodies of the control API: a message, or a 400."""

from __future__ import annotations

import atheris

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.core import json_body, links, messages
    from imgd.errors import BadRequest

KINDS = (
    messages.LoadRequest,
    messages.UnloadRequest,
    messages.PublicUrlRequest,
    messages.LinkRequest,
)


def one_input(data: bytes) -> None:
    """Nothing but BadRequest is raised, in a sentence that can be written as JSON."""
    for kind in KINDS:
        try:
            use(json_body.decode(data, kind))
        except BadRequest as error:
            must(len(messages.encode(messages.Problem(detail=error.detail))) < 1000, error)


def use(message: object) -> None:
    """What the daemon asks of a message before it acts."""
    match message:
        case messages.LoadRequest():
            must(bool(message.directory_or_path.encode("utf-8")), message)
            messages.valid_name(message.name or "a")
            messages.valid_minutes(message.timeout_minutes or 0)
        case messages.PublicUrlRequest(url=str(url)):
            must(messages.valid_base_url(url).isprintable(), url)
        case messages.LinkRequest(path=str(path)):
            must(1 <= links.seconds(message.expires) <= links.MAX_SECONDS, message)
            scope = links.Scope.of(path, is_prefix=message.prefix)
            must(scope.path.isascii() and scope.path.isprintable(), scope)


if __name__ == "__main__":
    run(
        one_input,
        (
            b'{"directory": "a", "timeout_minutes": 5, "name": "b", "recursive": true}',
            b'{"path": "\\u00e9\\ud83d\\ude00"}',
            b'{"url": "https://a.example:8888/b"}',
            b'{"path": "/images/a.nii", "expires": "1h", "prefix": true}',
            b'{"name": null, "x": [1e9, -0.5, {"y": []}]}',
        ),
    )
