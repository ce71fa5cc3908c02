"""Files of pictures and DICOM: an answer of the contract for every view, whatever the bytes are."""

from __future__ import annotations

import tempfile

import atheris
from pydicom.uid import JPEGLSLossless

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.pictures.messages import Job
    from imgd.pictures.views import View, ViewKind
    from imgd.pictures.worker import samples
    from imgd.pictures.worker.decoding import decode, warm
    from imgd.pictures.worker.source import Made, SourceFile, Sources

STATUSES = (200, 400, 413, 415, 422)
MAX_PIXELS = 1 << 20
VIEWS = [
    View(ViewKind.THUMB, size=256),
    View(ViewKind.SLICE, depth=16),
    View(ViewKind.MOSAIC, size=256, columns=2, rows=2),
    View(ViewKind.INFO),
]


def one_input(data: bytes) -> None:
    """Every view is answered once, in a sentence that tells no path."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        source = SourceFile(file.fileno(), "picture", len(data))
        made = list(decode(Sources(source, {}, Job(VIEWS, ["picture"], MAX_PIXELS))))
    answers = [item.answer for item in made if isinstance(item, Made)]
    must({answer.view for answer in answers} >= set(VIEWS), answers)
    for answer in answers:
        must(answer.status in STATUSES, answer)
        must("/" not in answer.detail and len(answer.detail) < 200, answer)


if __name__ == "__main__":
    warm()
    # Not JPEG-LS: 600 bytes keep CharLS busy for seconds, which is for the pool's clock to end.
    dicom_files = (data for data in samples.dicom_files() if JPEGLSLossless.encode() not in data)
    run(one_input, (*samples.pictures(), *dicom_files))
