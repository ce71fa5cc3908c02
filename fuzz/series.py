"""Series as volumes: whatever a worker tells of files, a volume lies within them."""

from __future__ import annotations

import atheris
import msgspec

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.core.conditional import FileFacts
    from imgd.core.joined_file import FileSlice
    from imgd.core.ranges import Slice
    from imgd.dicom import volume_json
    from imgd.dicom.model import IndexedInstance
    from imgd.dicom.series_volume import VolumeDraft
    from imgd.pictures import instances
    from imgd.pictures.instances import Instance

FACTS = FileFacts(2000, 1, 1, 1)


def one_input(data: bytes) -> None:
    """There is a NIfTI-1 file as long as its slices, or one sentence."""
    try:
        told = instances.parse(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    records = [record for record in told if isinstance(record, Instance)]
    if not records:
        return
    draft = VolumeDraft()
    draft.add([indexed(number, record) for number, record in enumerate(records)], records)
    made = draft.finish()
    must((made.nifti is None) == made.why.endswith("."), made.why)
    msgspec.json.encode(volume_json.describe(made, "1", "1.2", "https://localhost"))
    if made.nifti is None:
        return
    for piece in made.nifti.cut([Slice(352, made.nifti.size - 352)]):
        must(isinstance(piece, FileSlice), piece)
        if isinstance(piece, FileSlice):
            must(0 <= piece.part.offset <= piece.part.offset + piece.part.length <= 2000, piece)


def indexed(number: int, record: Instance) -> IndexedInstance:
    return IndexedInstance(
        *((str(number),), FACTS, number, "1", "1.2", str(number), "", "", "", None),
        *(record.frames, record.rows, record.columns),
    )


def series(more: str = "", places: tuple[str, ...] = ("0", "2", "4")) -> bytes:
    """Files of one frame; ``more`` are facts of each."""
    template = (
        '{"type":"instance","study":"1","series":"1.2","uid":"%s","syntax":"1.2.840.10008.1.2.1",'
        '"frames":1,"rows":4,"columns":3,"photometric":"MONOCHROME2","bits_allocated":16,'
        '"bits_stored":12,"high_bit":11,"pixels":{"keyword":"PixelData","offset":900,"length":24},'
        '"planes":[{"position":[0,0,%s],"orientation":[1,0,0,0,1,0],"spacing":[1,1]%s}],'
        '"window":[40,400],"metadata":{"00180060":{"vr":"DS","Value":[120]}}}'
    )
    return ("[" + ",".join(template % (z, z, more) for z in places) + "]").encode("ascii")


if __name__ == "__main__":
    run(
        one_input,
        (
            *(
                series(),
                series(',"slope":2.5,"time":1'),
                series("", ("0", "2", "9")),
                series("", ("1",)),
            ),
            series(',"b_value":1000', ("0", "0", "2", "2")),
        ),
    )
