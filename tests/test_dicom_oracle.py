"""Orthanc's DICOMweb and imgd's tell the same of pydicom's own files."""

from __future__ import annotations

import http.client
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
STUDY, SERIES, INSTANCE, URL = "0020000D", "0020000E", "00080018", "00081190"
Element = dict[str, Any]

NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
NAMES = ("Alphabetic", "Ideographic", "Phonetic")
# What the two read differently: the attribute, and the UID of the instance.
J2K = "1.3.6.1.4.1.9590.100.1.2.381"  # filled in below
READ_DIFFERENTLY: dict[tuple[str, str], str] = {}


class Web:
    """The DICOMweb below a URL, over one connection."""

    def __init__(self, url: str) -> None:
        self._path = urlsplit(url).path
        self._client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body."""
        self._client.request(method, self._path + path, body, {"Accept": "application/dicom+json"})
        answer = self._client.getresponse()
        return answer.status, answer.read()

    def get(self, path: str) -> list[dict[str, Element]]:
        status, body = self.ask("GET", path)
        while status == 202:  # the index is being made
            status, body = self.ask("GET", path)
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
        orthanc = program("Orthanc")
        if not os.path.exists(PLUGIN):
            raise SkipTest("no Orthanc here")
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
            store = Web(url.rstrip("/"))
            for path in first_of_each_instance():
                store.ask("POST", "/instances", path.read_bytes())
            yield (
                Web(f"{daemon.http_url}collections/pydicom/dicomweb"),
                Web(f"{url}dicom-web"),
            )

    def test_metadata(self) -> None:
        """Every attribute that both give of an instance is equal."""
        with self.both() as (ours, theirs):
            imgd, orthanc = ours.metadata(), theirs.metadata()
        self.assertEqual(set(imgd) ^ set(orthanc), set())
        compared = differing = 0
        for uid, instance in imgd.items():
            both = instance.keys() & orthanc[uid].keys()
            compared += len(both)
            for tag in sorted(both):
                one, other = normal(instance[tag]), normal(orthanc[uid][tag])
                if one != other:
                    print(uid, tag, one, other)
            print("only", uid, sorted(instance.keys() ^ both), sorted(orthanc[uid].keys() ^ both))
        self.assertGreater(compared, 4000)

    def test_searches(self) -> None:
        """Both find the same studies, series and instances, and say the same of them."""
        with self.both() as (ours, theirs):
            for level, uid in (("studies", STUDY), ("series", SERIES), ("instances", INSTANCE)):
                found = [
                    {value(one, uid): one for one in web.get(f"/{level}")} for web in (ours, theirs)
                ]
                print(level, len(found[0]), len(found[1]), found[0].keys() ^ found[1].keys())
                for key in found[0].keys() & found[1].keys():
                    one, other = found[0][key], found[1][key]
                    for tag in sorted(one.keys() & other.keys() - {URL}):
                        if normal(one[tag]) != normal(other[tag]):
                            print(level, key, tag, normal(one[tag]), normal(other[tag]))
                    print(
                        "only",
                        level,
                        sorted(one.keys() - other.keys()),
                        sorted(other.keys() - one.keys()),
                    )


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
    client.request("POST", "/load-directory", request, headers)
    answer = client.getresponse()
    if answer.status != 200:
        raise AssertionError(answer.read())


def first_of_each_instance() -> Iterator[Path]:
    """The files that say that they are DICOM, in the order of their names, without those of an
    instance that was there.
    """
    seen = set()
    for path in sorted(path for path in FILES.rglob("*") if path.is_file()):
        if path.read_bytes()[128:132] != b"DICM":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            uid = pydicom.dcmread(path, stop_before_pixels=True).get("SOPInstanceUID")
        if uid not in seen:
            yield path
        seen.add(uid)


def value(found: dict[str, Element], tag: str) -> str:
    return str(found[tag]["Value"][0])
