"""Files given to the decoders, as a worker gives them."""

from __future__ import annotations

import io
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgd.pictures.messages import Job
from imgd.pictures.views import View, parse
from imgd.pictures.worker.decoding import decode
from imgd.pictures.worker.source import Made, SourceFile, Sources

MAX_PIXELS = 50_000_000


def view(query: str) -> View:
    parsed = parse(query.encode("ascii"))
    assert parsed is not None, query
    return parsed


def made(data: bytes, *queries: str, name: str = "x", max_pixels: int = MAX_PIXELS) -> list[Made]:
    """An answer for each query, in this order."""
    views = [view(query) for query in queries]
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        source = SourceFile(file.fileno(), name, len(data))
        job = Job(list(dict.fromkeys(views)), [name], max_pixels)
        answers = [item for item in decode(Sources(source, {}, job)) if isinstance(item, Made)]
    by_view = {item.answer.view: item for item in answers}
    assert len(by_view) == len(answers) == len(job.views), answers
    return [by_view[view] for view in views]


def body(data: bytes, query: str, **options: Any) -> bytes:
    """What is answered with 200."""
    (item,) = made(data, query, **options)
    assert item.answer.status == 200, item.answer
    assert item.answer.size == len(item.body)
    return item.body


def image(data: bytes, query: str, **options: Any) -> Image.Image:
    """The picture that is answered, decoded."""
    picture = Image.open(io.BytesIO(body(data, query, **options)))
    picture.load()
    return picture


def pixels(data: bytes, query: str, **options: Any) -> NDArray[Any]:
    return np.asarray(image(data, query, **options))


def values(data: bytes, query: str) -> NDArray[np.float64]:
    """The values of a slice of 16 bits."""
    picture = image(data, query + "&depth=16")
    text: Any = picture.info
    stored = np.asarray(picture).astype(np.float64)
    return stored * float(text["imgd:scale"]) + float(text["imgd:offset"])


def failure(data: bytes, query: str, **options: Any) -> tuple[int, str]:
    """The status and the sentence of what is not answered with a picture."""
    (item,) = made(data, query, **options)
    assert item.answer.status != 200, item.answer
    assert not item.body
    return item.answer.status, item.answer.detail


def saved(picture: Image.Image, name: str, **options: Any) -> bytes:
    """A picture as a file of this format."""
    out = io.BytesIO()
    picture.save(out, name, **options)
    return out.getvalue()
