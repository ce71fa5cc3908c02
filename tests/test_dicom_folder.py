"""Every file of pydicom's own tests in one folder: what can be read is there, and nothing fails."""

from __future__ import annotations

import email
import email.policy
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_files
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError

from tests.daemons import Daemon
from tests.dicom_case import HTML, DicomCase, Known, Reply, ask, instances, load, value

WEB = "collections/pydicom/dicomweb"
KINDS = ("*/*", "application/dicom+json", "image/png", "image/jpeg", HTML)
FRAMES = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
# What has other bytes than little endian files have, is shown by rendered alone.
NOT_AS_STORED = {"1.2.840.10008.1.2.2": "big endian", "1.2.840.10008.1.2.1.99": "deflated"}


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings: these files are meant to be strange."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def readable(folder: Path) -> dict[Known, list[Path]]:
    """The files of each instance that pydicom reads, by UIDs."""
    found: dict[Known, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (uids := identified(path)) is not None:
            found.setdefault(uids, []).append(path)
    return found


@quiet()
def identified(path: Path) -> Known | None:
    # imgd believes the suffix, too, as pydicom does if it is told to.
    try:
        read = pydicom.dcmread(path, stop_before_pixels=True, force=path.suffix == ".dcm")
    except (InvalidDicomError, OSError, ValueError):
        return None
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    uids = [str(read.get(keyword) or "") for keyword in keywords]
    return Known(*uids) if all(uids) else None


@quiet()
def frames(path: Path) -> list[bytes]:
    """The frames of a file as they are stored; none if they are not in whole bytes."""
    read = pydicom.dcmread(path, force=True)
    if "PixelData" not in read:
        return []
    try:
        count = int(read.get("NumberOfFrames") or 1)
    except ValueError:  # "1A"
        return []
    if read.file_meta.TransferSyntaxUID.is_encapsulated:
        return list(generate_frames(read.PixelData, number_of_frames=count))
    bits = read.Rows * read.Columns * read.SamplesPerPixel * read.BitsAllocated
    if read.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits // 3 * 2
    size = bits // 8
    whole = bits % 8 == 0 and len(read.PixelData) >= size * count
    return [read.PixelData[n * size : n * size + size] for n in range(count)] if whole else []


def parts(reply: Reply) -> list[bytes]:
    """The bodies of a multipart answer, by the standard library's reader of MIME."""
    message = email.message_from_bytes(
        reply.headers.strip().encode() + b"\r\n\r\n" + reply.body, policy=email.policy.HTTP
    )
    return [part.get_payload(decode=True) for part in message.iter_parts()]  # type: ignore[misc]


class FolderTests(DicomCase):
    def start(self) -> tuple[Daemon, Path]:
        folder = self.folder / "export"
        source = Path(get_testdata_files("CT_small.dcm")[0]).parent
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.pyc", "__pycache__"))
        daemon = self.daemon()
        load(daemon, folder, "pydicom")
        return daemon, folder

    def questions(self, daemon: Daemon, known: list[Known]) -> Iterator[str]:
        for level, more in product(("studies", "series", "instances"), ("", "?includefield=all")):
            yield f"{WEB}/{level}{more}"
        studies = {uids.study for uids in known}
        series = {(uids.study, uids.series) for uids in known}
        for study, below in product(
            sorted(studies), ("series", "instances", "metadata", "thumbnail")
        ):
            yield f"{WEB}/studies/{study}/{below}"
        for study, uid in sorted(series):
            for below in ("instances", "metadata", "thumbnail"):
                yield f"{WEB}/studies/{study}/series/{uid}/{below}"
            yield from (f"collections/pydicom/dicom/{uid}{suffix}" for suffix in (".nii", ".json"))
        for uids in known:
            for below in ("", "/metadata", "/rendered", "/thumbnail", "/frames/1", "/frames/2"):
                yield f"{WEB}/{uids.path}{below}"
            yield f"{WEB}/{uids.path}/frames/1/rendered"
        yield from (f"collections/pydicom/{below}" for below in ("dicom/", "dicom.json", "images"))

    def test_everything(self) -> None:
        """Whatever is asked of the folder, nothing is a 5xx, or in the log as a failure."""
        daemon, _ = self.start()
        known = list(instances(daemon, "pydicom"))
        statuses: dict[int, int] = {}
        for path, kind in product(self.questions(daemon, known), KINDS):
            reply = ask(daemon, path, Accept=kind)
            statuses[reply.status] = statuses.get(reply.status, 0) + 1
            self.assertLess(reply.status, 500, (path, kind, reply.body[:500]))
            if reply.status >= 400:
                self.assertIn(b"detail" if kind != HTML else b"<", reply.body, (path, kind))
        self.assertLessEqual({200, 404, 406, 409}, statuses.keys())
        self.assertGreater(statuses[200], 1000)

    def test_complete(self) -> None:
        """Every instance that pydicom can read is in the index; every other file is named, with
        the reason, if it says that it is DICOM.
        """
        daemon, folder = self.start()
        expected = readable(folder)
        known = list(instances(daemon, "pydicom"))
        self.assertEqual(len(known), len(set(known)))
        told = ask(daemon, "collections/pydicom/dicom/?format=json").json
        named = {file["name"]: file["why"] for file in told["unindexed"]}
        missing = {
            uids: paths
            for uids, paths in expected.items()
            if uids not in known and any(is_marked(path) for path in paths)
        }
        self.assertEqual(missing, {})
        self.assertEqual(set(known) - expected.keys(), set())
        for paths in expected.values():
            for again in [p for p in paths if is_marked(p)][1:]:
                self.assertIn(str(again.relative_to(folder)), named)

    def test_frames(self) -> None:
        """The frames of each file that are told to be there are pydicom's, byte for byte."""
        daemon, folder = self.start()
        known, compared = set(instances(daemon, "pydicom")), 0
        for uids, paths in readable(folder).items():
            if uids not in known:
                continue
            [metadata] = ask(daemon, f"{WEB}/{uids.path}/metadata").json
            count = int(value(metadata, "00280008") or 1)
            # Of several files with one UID, one is in the index.
            candidates = [found for path in paths if len(found := frames(path)) == count]
            for number in range(1, count + 1) if candidates else ():
                reply = ask(daemon, f"{WEB}/{uids.path}/frames/{number}", **FRAMES)
                if reply.status == 200:
                    expected = [[found[number - 1]] for found in candidates]
                    self.assertTrue(parts(reply) in expected, (uids, number, paths, reply.headers))
                    compared += 1
                else:
                    self.assertIn(syntax(paths[0]), NOT_AS_STORED, (uids, paths, reply))
                    self.assertEqual(reply.status, 406)
        self.assertGreater(compared, 80)

    def test_files(self) -> None:
        """An instance is its file, byte for byte."""
        daemon, folder = self.start()
        files = {path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for uids in instances(daemon, "pydicom"):
            reply = ask(daemon, f"{WEB}/{uids.path}")
            self.assertEqual(reply.status, 200)
            [file] = parts(reply)
            self.assertIn(file, files, uids)

    def test_counts(self) -> None:
        """What searches count is what they find."""
        daemon, _ = self.start()
        known = list(instances(daemon, "pydicom"))
        for study in ask(daemon, f"{WEB}/studies").json:
            uid = value(study, "0020000D")
            of_study = [uids for uids in known if uids.study == uid]
            self.assertEqual(value(study, "00201208"), len(of_study))
            self.assertEqual(value(study, "00201206"), len({uids.series for uids in of_study}))


def is_marked(path: Path) -> bool:
    """Whether a file is DICOM to imgd: by its suffix or by its bytes; a DICOMDIR is no instance."""
    with path.open("rb") as file:
        return path.suffix == ".dcm" or file.read(132)[128:] == b"DICM"


@quiet()
def syntax(path: Path) -> str:
    meta = pydicom.dcmread(path, stop_before_pixels=True, force=True).file_meta
    return str(meta.get("TransferSyntaxUID", ""))
