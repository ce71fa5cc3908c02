"""What hospitals and laboratories export, loaded as it is, and read by the libraries of the field:
DICOM by pydicom, headers with their data and surfaces by nibabel, OME-Zarr by zarr-python.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import nibabel as nib
import numpy as np
import pydicom
from nibabel.gifti.gifti import GiftiDataArray, GiftiImage
from pydicom.uid import UID

from tests import samples
from tests.daemons import PATIENCE, Daemon, DaemonCase, curl, environment

# Makes an OME-Zarr of version 0.4 (Zarr 2) and one of 0.5 (Zarr 3) of two levels, whose first
# planes are empty and so without chunks, and prints the sum of all voxels.
MAKE_ZARR = """
import sys, numpy, zarr
data = numpy.arange(4 * 40 * 60, dtype="uint16").reshape(4, 40, 60)
data[0] = 0
axes = [{"name": name, "type": "space"} for name in "zyx"]
for version, number in (("0.4", 2), ("0.5", 3)):
    group = zarr.open_group(f"{sys.argv[1]}/ome{version}.zarr", mode="w", zarr_format=number)
    datasets = []
    for level, step in enumerate((1, 2)):
        part = data[:, ::step, ::step]
        array = group.create_array(
            str(level), shape=part.shape, chunks=(1, 20, 20), dtype=part.dtype, fill_value=0,
            chunk_key_encoding={"name": "v2" if number == 2 else "default", "separator": "/"},
        )
        array[:] = part
        scale = {"type": "scale", "scale": [1, step, step]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    image = {"axes": axes, "datasets": datasets}
    if number == 2:
        group.attrs["multiscales"] = [{"version": version, **image}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [image]}
print(data.sum())
"""
# Opens OME-Zarrs by their URLs, verified by a CA, and prints the sum of the voxels of each.
READ_ZARR = """
import ssl, sys, zarr
ca, *urls = sys.argv[1:]
for url in urls:
    options = {"ssl": ssl.create_default_context(cafile=ca)} if url.startswith("https:") else {}
    store = zarr.storage.FsspecStore.from_url(url, read_only=True, storage_options=options)
    group = zarr.open_group(store, mode="r")
    [image] = dict(group.attrs).get("ome", group.attrs)["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    assert group[image["datasets"][1]["path"]].shape == (4, 20, 30)
    print(group[image["datasets"][0]["path"]][:].sum())
"""


def export(folder: Path, count: int) -> dict[str, str]:
    """A medium as a hospital burns it; returns for each image its SOP instance UID."""
    uids: dict[str, str] = {}
    template = pydicom.dcmread(samples.dicom("CT_small.dcm"))
    for number in range(count):
        uid = f"1.2.826.0.1.3680043.8.498.{number + 1}"
        template.SOPInstanceUID = uid
        template.file_meta.MediaStorageSOPInstanceUID = UID(uid)
        name = (f"IM{number:04}", uid, f"slice {number}.IMA")[number % 3]
        path = folder / "DICOM" / f"S{number % 2}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        template.save_as(path)
        uids[str(path.relative_to(folder))] = uid
    shutil.copy(samples.dicom("DICOMDIR"), folder / "DICOMDIR")
    (folder / "report.pdf").write_bytes(b"%PDF-1.4\n" + bytes(300))
    (folder / "README.TXT").write_text("Insert the disc.\n")
    (folder / "VIEWER").mkdir()
    (folder / "VIEWER" / "viewer.exe").write_bytes(b"MZ" + bytes(1000))
    return uids


class ExportCase(DaemonCase):
    def setUp(self) -> None:
        super().setUp()
        self.data = self.folder / "data"
        self.data.mkdir()

    def imgd(self, daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "imgd.client.cli", *words],
            cwd=self.folder,
            env=environment(self.folder, {"IMGD_STATE_DIR": str(daemon.folder / "state")}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def load(self, daemon: Daemon, *words: str) -> Any:
        """The manifest of a load that succeeds."""
        done = self.imgd(daemon, "load", *words, "--output", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.remarks = done.stderr
        return json.loads(done.stdout)

    def fetch(self, daemon: Daemon, url: str) -> bytes:
        return curl("--fail", "--cacert", str(daemon.ca), url)


class DicomTests(ExportCase):
    def test_export(self) -> None:
        """Every image of a hospital's export comes by its URL, with its type, and is what pydicom
        wrote; its index is none, and what else is there is told.
        """
        uids = export(self.data, 12)
        daemon = self.daemon()
        manifest = self.load(daemon, str(self.data), "--recursive")
        self.assertIn("passed over 4 files (", self.remarks)
        self.assertIn("1 without a suffix", self.remarks)
        self.assertEqual(manifest["count"], 12)
        found = set()
        for url in manifest["image_urls"]:
            image = pydicom.dcmread(io.BytesIO(self.fetch(daemon, url)))
            self.assertEqual(image.pixel_array.shape, (128, 128))
            found.add(str(image.SOPInstanceUID))
        self.assertEqual(found, set(uids.values()))
        page = json.loads(self.fetch(daemon, f"{daemon.url}collections/current/images"))
        self.assertEqual({i["media_type"] for i in page["images"]}, {"application/dicom"})
        heads = curl("-I", "--cacert", str(daemon.ca), *manifest["image_urls"]).decode()
        self.assertEqual(heads.lower().count("content-type: application/dicom"), 12)

    def test_not_recursive(self) -> None:
        """A load of its top alone is a failure, which says what to do; and so is one of a folder
        with nothing but a text.
        """
        export(self.data, 3)
        daemon = self.daemon()
        done = self.imgd(daemon, "load", str(self.data))
        self.assertEqual(done.returncode, 1)
        self.assertIn("the images are in folders below (", done.stderr)
        (self.folder / "texts").mkdir()
        (self.folder / "texts" / "a.txt").write_text("a")
        done = self.imgd(daemon, "load", str(self.folder / "texts"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("no image, but 1 file (1 .txt): --all-files", done.stderr)
        manifest = self.load(daemon, str(self.folder / "texts"), "--all-files")
        self.assertEqual(manifest["count"], 1)


class VolumeTests(ExportCase):
    def test_pairs_and_surfaces(self) -> None:
        """The data of a header comes from beside it, and so do surfaces: nibabel reads both."""
        voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
        for name in ("pair.img", "packed.img.gz"):
            nib.save(nib.Nifti1Pair(voxels, np.eye(4)), self.data / name)
        points = np.eye(3, dtype=np.float32)
        array = GiftiDataArray(
            points, intent="NIFTI_INTENT_POINTSET", datatype="NIFTI_TYPE_FLOAT32"
        )
        nib.save(GiftiImage(darrays=[array]), self.data / "lh.pial.gii")
        (self.data / "brain.mhd").write_text("ElementDataFile = brain.zraw\n")
        for name in ("brain.zraw", "b.raw", "c.raw.gz", "d.mz3", "e.obj", "f.stl", "g.ply"):
            (self.data / name).write_bytes(os.urandom(100))
        daemon = self.daemon()
        manifest = self.load(daemon, str(self.data))
        urls = {url.rpartition("/")[2]: url for url in manifest["image_urls"]}
        self.assertEqual(len(urls), 13)
        fetched = self.folder / "fetched"
        fetched.mkdir()
        for name, url in urls.items():
            (fetched / name).write_bytes(self.fetch(daemon, url))
        for name in ("pair.hdr", "packed.hdr.gz"):
            image: Any = nib.load(fetched / name)
            self.assertTrue((np.asarray(image.dataobj) == voxels).all())
        surface: Any = nib.load(fetched / "lh.pial.gii")
        self.assertTrue((surface.darrays[0].data == points).all())
        data = urljoin(urls["brain.mhd"], "brain.zraw")  # as a viewer finds it
        self.assertEqual(self.fetch(daemon, data), (self.data / "brain.zraw").read_bytes())


class ZarrTests(ExportCase):
    def setUp(self) -> None:
        super().setUp()
        for package in ("zarr", "fsspec", "aiohttp"):
            if importlib.util.find_spec(package) is None:
                self.skipTest(f"no {package} here")

    def run_zarr(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            env=environment(self.folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_opened_by_url(self) -> None:
        """OME-Zarr 0.4 and 0.5 open over HTTP and HTTPS, out of the document root, and out of a
        collection of all files; chunks that are not there are plain 404s.
        """
        total = self.run_zarr(MAKE_ZARR, str(self.data))
        daemon = self.daemon("--images-dir", str(self.data), "--http-port", "0")
        self.load(daemon, str(self.data), "--recursive", "--all-files", "--name", "cells")
        bases = (daemon.url, daemon.http_url, f"{daemon.url}collections/cells/files/")
        urls = [f"{base}ome{version}.zarr" for base in bases for version in ("0.4", "0.5")]
        self.assertEqual(self.run_zarr(READ_ZARR, str(daemon.ca), *urls), total * len(urls))
        for path in ("ome0.4.zarr/0/0/0/0", "ome0.5.zarr/0/c/0/0/0", "ome0.5.zarr/.zgroup"):
            for base in bases:
                answer = curl("-w", " %{http_code}", "--cacert", str(daemon.ca), base + path)
                self.assertEqual(answer, b'{"detail":"Not found"} 404', base + path)

    def test_listed(self) -> None:
        """Zarr's metadata stands in the listing of its folder; other hidden names do not."""
        self.run_zarr(MAKE_ZARR, str(self.data))
        (self.data / "ome0.4.zarr" / ".other").write_text("hidden")
        daemon = self.daemon("--images-dir", str(self.data))
        listing = json.loads(self.get(daemon, "/ome0.4.zarr/?format=json"))
        types = {entry["name"]: entry["media_type"] for entry in listing["entries"]}
        json_type = "application/json"
        self.assertEqual(types, {"0": None, "1": None, ".zattrs": json_type, ".zgroup": json_type})

    def test_passed_over(self) -> None:
        """A collection of images alone says what it passes over of a Zarr."""
        self.run_zarr(MAKE_ZARR, str(self.data))
        done = self.imgd(self.daemon(), "load", str(self.data), "--recursive")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no image, but ", done.stderr)
        self.assertIn("--all-files", done.stderr)
