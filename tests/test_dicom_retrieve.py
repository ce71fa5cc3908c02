"""Files and frames of a real daemon, read by programs that others wrote."""

from __future__ import annotations

import email
import http.client
import os
import shutil
import subprocess
import threading
from email.policy import compat32
from pathlib import Path
from typing import Any
from unittest import SkipTest
from urllib.parse import urlsplit

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.filewriter import dcmwrite

from tests import dicom_case, dicom_files
from tests.daemons import PATIENCE, Daemon
from tests.dicom_case import DicomCase
from tests.dicom_files import SERIES, STUDY

COMPRESSED = (
    *("JPEG2000.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    *("rtdose_rle.dcm", "examples_ybr_color.dcm"),
)
SLICES, SIDE = 20, 300


def parts(content_type: str, body: bytes) -> list[bytes]:
    """The parts of a multipart message as Python's own parser of mail has them."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=compat32)
    return [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]  # type: ignore[misc]


class RetrieveTests(DicomCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).resolve()
        self.paths = dicom_files.write_series(
            str(self.folder / "ct"), SLICES, rows=SIDE, columns=SIDE, name="{:04}"
        )
        for name in COMPRESSED:
            os.makedirs(self.folder / "compressed", exist_ok=True)
            shutil.copy(str(get_testdata_file(name, download=False)), self.folder / "compressed")
        self.running = self.daemon("--http-port", "0")
        dicom_case.load(self.running, self.folder, "scans")

    def base(self, daemon: Daemon) -> str:
        return f"{daemon.url}collections/scans/dicomweb"

    def client(self) -> Any:
        try:
            import requests
            from dicomweb_client import DICOMwebClient
        except ImportError:
            raise SkipTest("no dicomweb-client here") from None
        session = requests.Session()
        self.addCleanup(session.close)
        session.trust_env = False  # which would name other certificates
        session.verify = str(self.running.ca)
        return DICOMwebClient(self.base(self.running), session=session)

    def test_dicomweb_client(self) -> None:
        """dicomweb-client gets instances, a series, a study and frames as pydicom reads them."""
        client = self.client()
        series = client.retrieve_series(STUDY, SERIES)
        self.assertEqual(len(series), SLICES)
        self.assertEqual(len(client.retrieve_study(STUDY)), SLICES)
        for path, found in zip(self.paths, series, strict=True):
            dataset = dcmread(path)
            self.assertEqual(found.PixelData, dataset.PixelData)
            uids = (STUDY, SERIES, dataset.SOPInstanceUID)
            self.assertEqual(client.retrieve_instance(*uids), dataset)
            [frame] = client.retrieve_instance_frames(*uids, [1])
            self.assertEqual(frame, dataset.PixelData)

    def test_dicomweb_client_compressed(self) -> None:
        """So it does compressed frames, all of them in one request."""
        client = self.client()
        for name in COMPRESSED:
            dataset = dcmread(str(self.folder / "compressed" / name))
            count = int(getattr(dataset, "NumberOfFrames", 1))
            frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
            uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
            found = client.retrieve_instance_frames(*uids, list(range(1, count + 1)))
            self.assertEqual(found, frames, name)
            self.assertEqual(client.retrieve_instance(*uids).PixelData, dataset.PixelData)

    def test_curl(self) -> None:
        """curl saves an instance that pydicom reads, and a series that a parser of mail reads."""
        curl = shutil.which("curl")
        if curl is None:
            raise SkipTest("no curl here")

        def fetch(path: str, *options: str) -> bytes:
            url = f"{self.base(self.running)}/studies/{STUDY}/series/{SERIES}{path}"
            command = [curl, "-sSf", "--cacert", str(self.running.ca), *options, url]
            return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True).stdout

        single = fetch(f"/instances/{SERIES}.1", "-H", "Accept: application/dicom")
        self.assertEqual(single, Path(self.paths[0]).read_bytes())
        headers, _, body = fetch("", "-i").partition(b"\r\n\r\n")
        kind = next(line for line in headers.decode().split("\r\n") if "multipart" in line)
        found = parts(kind.partition(": ")[2], body)
        self.assertEqual(found, [Path(path).read_bytes() for path in self.paths])
        half = fetch("", "--range", "1000-1000999")
        self.assertEqual(half, body[1000:1001000])

    def test_changed_while_sent(self) -> None:
        """A series of which a file changes while it is sent is cut off, and right when it is asked
        for again.
        """
        folder = str(self.folder / "big")
        big = dicom_files.write_series(folder, 40, rows=1024, columns=1024, series=f"{SERIES}.7")
        dicom_case.load(self.running, self.folder, "scans")
        series = dcmread(big[0], stop_before_pixels=True).SeriesInstanceUID
        url = urlsplit(self.running.http_url)
        connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        path = f"/collections/scans/dicomweb/studies/{STUDY}/series/{series}"
        connection.request("GET", path)
        answer = connection.getresponse()
        self.assertEqual((answer.status, len(answer.read(1000))), (200, 1000))
        dataset = dcmread(big[-1])
        dataset.PixelData = bytes(len(dataset.PixelData))
        dcmwrite(big[-1], dataset)
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        again = dicom_case.ask(self.running, f"{path}/instances/{dataset.SOPInstanceUID}")
        while again.status == 202:
            again = dicom_case.ask(self.running, f"{path}/instances/{dataset.SOPInstanceUID}")
        self.assertEqual(again.status, 200)
        self.assertIn(dataset.PixelData, again.body)

    def test_slow_readers(self) -> None:
        """Many who ask for a whole series and do not read it keep nobody else from frames."""
        url = urlsplit(self.running.http_url)
        path = f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}"
        for _ in range(40):
            slow = http.client.HTTPConnection(str(url.hostname), url.port, timeout=PATIENCE)
            self.addCleanup(slow.close)
            slow.request("GET", path)
        failures: list[object] = []

        def ask(number: int) -> None:
            uid = f"{SERIES}.{number}"
            answer = dicom_case.ask(self.running, f"{path}/instances/{uid}/frames/1")
            if dcmread(self.paths[number - 1]).PixelData not in answer.body:
                failures.append(answer)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, SLICES + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(failures, [])
