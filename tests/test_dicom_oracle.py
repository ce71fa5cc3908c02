"""Orthanc's DICOMweb and imgd's tell the same of pydicom's own files."""

from __future__ import annotations

import http.client
import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom
import pydicom.data
from twisted.trial.unittest import SkipTest

from tests.daemons import PATIENCE, Daemon
from tests.fronts import FrontCase, free_port, program

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
FILES = Path(pydicom.data.__file__).parent / "test_files"
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
Element = dict[str, Any]

NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
NAMES = ("Alphabetic", "Ideographic", "Phonetic")
COUNTS = {  # of related series and instances
    "studies": {"00201206", "00201208"},
    "series": {"00201209"},
    "instances": set(),
}
NOT_COMPARED = {
    "00080005": "the text of imgd's JSON is UTF-8, and it says so; Orthanc gives the file's",
    "00081190": "URLs lead to the server that was asked",
}
# The study, series and instance of files that imgd indexes and Orthanc does not take.
ORTHANC_REFUSES = {
    "1.2.826.0.1.3680043.8.498.13331179108403236084039838123417806584",
    "1.2.826.0.1.3680043.8.498.12890021624762486737912713647647328339",
    "1.2.826.0.1.3680043.8.498.13002811185086637637347356263722492924",
}
# An instance whose text is in ISO_IR 13, which has a Yen sign in the place of the backslash.
# Orthanc takes it for one where it separates values, although DICOM PS3.5 section 6.1.2.3 has it
# remain a separator there; so it splits none of these.
YEN = "1.2.392.200036.9123.100.11.15002200303521616157144551003340153"
READ_AS_YEN = (
    *("00080008", "00200020", "00200032", "00200037"),
    *("00280030", "00281050", "00281051"),
)
BULK = {
    "7FE00010": "Pixel Data: imgd gives it as frames, Orthanc by a BulkDataURI",
    "FFFCFFFC": "Data Set Trailing Padding",
}
ADDED = {
    "00083002": "Available Transfer Syntax UID",
    "00080005": "Specific Character Set, of the JSON: some files have none",
}


class Web:
    """The DICOMweb below a URL, over one connection."""

    def __init__(self, url: str) -> None:
        self._path = urlsplit(url).path
        self._client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        self.close = self._client.close

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body."""
        self._client.request(method, self._path + path, body, {"Accept": "application/dicom+json"})
        answer = self._client.getresponse()
        return answer.status, answer.read()

    def get(self, path: str) -> list[dict[str, Element]]:
        status, body = self.ask("GET", path)
        deadline = time.monotonic() + PATIENCE
        while status == 202 and time.monotonic() < deadline:  # the index is being made
            status, body = self.ask("GET", path)  # which takes three seconds then
        if status != 200:
            raise AssertionError((path, status, body[:500]))
        answer: list[dict[str, Element]] = json.loads(body)
        return answer

    def metadata(self) -> dict[str, dict[str, Element]]:
        """By SOP Instance UID."""
        studies = {value(found, STUDY) for found in self.get("/studies")}
        return {
            value(instance, INSTANCE): instance
            for study in sorted(studies)
            for instance in self.get(f"/studies/{study}/metadata")
        }


class OracleTests(FrontCase):
    """Every file of pydicom's tests that both index."""

    @contextmanager
    def both(self) -> Iterator[tuple[Web, Web]]:
        """imgd, with patients, and Orthanc; both know the files, the first one of each instance."""
        if not os.path.exists(PLUGIN):
            raise SkipTest("no Orthanc here")
        orthanc = program("Orthanc")
        daemon = self.daemon("--http-port", "0", "--patient-data")
        load(daemon, FILES)
        port = free_port()
        settings = {
            "StorageDirectory": str(self.readable),
            "IndexDirectory": str(self.readable),
            "HttpPort": port,
            "RemoteAccessAllowed": False,
            "DicomServerEnabled": False,
            "Plugins": [PLUGIN],
        }
        conf = self.readable / "orthanc.json"
        conf.write_text(json.dumps(settings), "utf-8")
        with self.front(orthanc, str(conf), port=port) as url:
            with closing(Web(url.rstrip("/"))) as store:
                for path in first_of_each_instance():
                    store.ask("POST", "/instances", path.read_bytes())
            ours, theirs = f"{daemon.http_url}collections/pydicom/dicomweb", f"{url}dicom-web"
            with closing(Web(ours)) as imgd, closing(Web(theirs)) as orthanc_web:
                yield imgd, orthanc_web

    def test_metadata(self) -> None:
        """With --patient-data, every attribute that both give of an instance is equal, and what
        only one of them gives is known.
        """
        with self.both() as (ours, theirs):
            imgd, orthanc = ours.metadata(), theirs.metadata()
        self.assertLessEqual(imgd.keys() - orthanc.keys(), ORTHANC_REFUSES)
        self.assertEqual(orthanc.keys() - imgd.keys(), set())
        compared, differing, missing, more = 0, set(), set(), set()
        for uid, other in orthanc.items():
            one = imgd[uid]
            compared += len(one.keys() & other.keys())
            differing |= {(uid, tag) for tag in differences(one, other)}
            missing |= {tag for tag in other.keys() - one.keys() if not is_left_out(tag)}
            more |= {tag for tag in one.keys() - other.keys() if "Value" in one[tag]}
        self.assertEqual(differing, {(YEN, tag) for tag in READ_AS_YEN})
        self.assertLessEqual(missing, BULK.keys())
        self.assertEqual(more, ADDED.keys())
        self.assertGreater(compared, 4000)

    def test_searches(self) -> None:
        """Both find the same studies, series and instances, and say the same of them; imgd says
        everything that Orthanc says.
        """
        with self.both() as (ours, theirs):
            for level, uid in (("studies", STUDY), ("series", SERIES), ("instances", INSTANCE)):
                imgd, orthanc = (
                    {value(found, uid): found for found in web.get(f"/{level}")}
                    for web in (ours, theirs)
                )
                self.assertLessEqual(imgd.keys() - orthanc.keys(), ORTHANC_REFUSES)
                self.assertEqual(orthanc.keys() - imgd.keys(), set())
                for key, other in orthanc.items():
                    self.assertEqual(other.keys() - imgd[key].keys(), set(), (level, key))
                    self.assertEqual(differences(imgd[key], other), set(), (level, key))
                    self.assertLessEqual(COUNTS[level], other.keys())


def differences(one: dict[str, Element], other: dict[str, Element]) -> set[str]:
    """The attributes that both have and that are not equal."""
    both = one.keys() & other.keys() - NOT_COMPARED.keys()
    return {tag for tag in both if normal(one[tag]) != normal(other[tag])}


def normal(element: Element) -> list[Any]:
    """The values of an attribute in one form: numbers as such, nothing for what is empty."""
    values = [one_form(element["vr"], each) for each in element.get("Value", ())]
    while values and values[-1] in (None, "", {}):
        values.pop()
    return values


def one_form(vr: str, value: Any) -> Any:
    if vr == "SQ":
        return {
            tag: normal(element)
            for tag, element in value.items()
            if "Value" in element and not is_left_out(tag)
        }
    if vr == "PN":
        return "=".join(value.get(name, "") for name in NAMES).rstrip("=") if value else ""
    if value is not None and vr in NUMBERS:
        return float(value)
    return value.strip() if isinstance(value, str) else value or ""


def is_left_out(tag: str) -> bool:
    """Group lengths, and private elements."""
    return tag.endswith("0000") or int(tag[:4], 16) % 2 == 1


def load(daemon: Daemon, folder: Path) -> None:
    request = json.dumps({"directory": str(folder), "name": "pydicom", "recursive": True})
    client = http.client.HTTPConnection(urlsplit(daemon.http_url).netloc, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {daemon.token}", "Content-Type": "application/json"}
    with closing(client):
        client.request("POST", "/load-directory", request, headers)
        answer = client.getresponse()
        if answer.status != 200:
            raise AssertionError(answer.read())
        answer.read()


def first_of_each_instance() -> Iterator[Path]:
    """The files that say by their bytes or their name that they are DICOM, in the order of their
    names, without those of an instance that was there.
    """
    seen = {None}
    for path in sorted(path for path in FILES.rglob("*") if path.is_file()):
        if path.suffix != ".dcm" and path.read_bytes()[128:132] != b"DICM":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            uid = pydicom.dcmread(path, stop_before_pixels=True, force=True).get("SOPInstanceUID")
        if uid not in seen:
            seen.add(uid)
            yield path


def value(found: dict[str, Element], tag: str) -> str:
    return str(found[tag]["Value"][0])
