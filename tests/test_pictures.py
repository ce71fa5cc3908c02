"""Pictures of a real daemon, made by real workers of real files."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
from twisted.trial.unittest import SynchronousTestCase

try:
    import nibabel
    from PIL import Image
except ImportError as error:  # what imgd[dev] brings
    raise SkipTest(f"no {error.name} here") from error

from tests.daemons import PATIENCE, Daemon


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by lower-case name, and body."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, {n.lower(): v for n, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {n.lower(): v for n, v in error.headers.items()}, error.read()


def voxels() -> Any:
    """A volume of 20 x 30 x 40 whose every slice differs."""
    x, y, z = np.indices((20, 30, 40))
    return (x + 20 * y + 600 * z).astype(np.int16)


class PictureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.images = self.folder / "images"
        self.images.mkdir(parents=True)
        image = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
        image.save(self.images / "photo.jpg")
        nibabel.save(nibabel.Nifti1Image(voxels(), np.eye(4)), self.images / "scan.nii.gz")
        nibabel.save(nibabel.Nifti1Pair(voxels(), np.eye(4)), self.images / "brain.img")
        (self.images / "cut.jpg").write_bytes((self.images / "photo.jpg").read_bytes()[:900])
        (self.images / "notes.txt").write_text("no picture")
        self.daemon = self.start()

    def start(self, *options: str) -> Daemon:
        daemon = Daemon(self.folder, "--no-tls", "--images-dir", str(self.images), *options)
        self.addCleanup(daemon.stop)
        return daemon

    def get(self, target: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        return get(self.daemon.url + target, **headers)

    def workers(self) -> list[int]:
        """The processes that the daemon started."""
        children = Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children")
        if not children.exists():
            raise SkipTest("no list of child processes here")
        return [int(pid) for pid in children.read_text().split()]

    def test_pictures(self) -> None:
        """Photographs and volumes come as pictures of the size that was asked for."""
        for target, format, size in (
            ("photo.jpg?thumb", "JPEG", (256, 192)),
            ("photo.jpg?thumb=512", "JPEG", (512, 384)),
            ("scan.nii.gz?slice=axial:7", "PNG", (20, 30)),
            ("scan.nii.gz?slice=coronal", "PNG", (20, 40)),
            ("scan.nii.gz?slice=sagittal", "PNG", (30, 40)),
            ("brain.hdr?slice=axial:7", "PNG", (20, 30)),
            ("brain.img?slice=axial:7", "PNG", (20, 30)),
            ("-/files/photo.jpg?thumb", "JPEG", (256, 192)),
        ):
            with self.subTest(target=target):
                status, headers, body = self.get(target)
                self.assertEqual(status, 200, body)
                self.assertEqual(headers["content-type"], f"image/{format.lower()}")
                with Image.open(io.BytesIO(body)) as picture:
                    self.assertEqual((picture.format, picture.size), (format, size))

    def test_errors(self) -> None:
        """What cannot be shown gets a status and one sentence, without a path."""
        (self.images / "brain.img").unlink()
        for target, status, words in (
            ("notes.txt?thumb", 415, "Not a picture that can be shown: "),
            ("cut.jpg?thumb", 415, "Not a picture that can be shown: "),
            ("brain.hdr?thumb", 415, "its data, brain.img, is not here"),
            ("scan.nii.gz?slice=axial:40", 400, "from 0 to 39"),
            ("scan.nii.gz?slice=axial&t=1", 400, "'t'"),
            ("none.jpg?thumb", 404, "Not found"),
        ):
            with self.subTest(target=target):
                got, _, body = self.get(target)
                detail = json.loads(body)["detail"]
                self.assertEqual(got, status, detail)
                self.assertIn(words, detail)
                self.assertNotIn(str(self.folder), detail)

    def test_cache(self) -> None:
        """A picture is made once, for this run and the next, and again once its folder is gone."""
        _, headers, body = self.get("photo.jpg?thumb")
        self.until_kept()
        self.daemon.stop()
        self.daemon = self.start()
        self.assertEqual(self.get("photo.jpg?thumb")[2], body)
        status, _, _ = self.get("photo.jpg?thumb", **{"If-None-Match": headers["etag"]})
        self.assertEqual((status, self.workers()), (304, []))
        shutil.rmtree(self.folder / "state" / "pictures")
        self.assertEqual(self.get("photo.jpg?thumb=512")[0], 200)
        self.until_kept()

    def until_kept(self) -> None:
        """Until a picture is on the disk, which it may be after it was sent."""
        deadline = time.monotonic() + PATIENCE
        while not list((self.folder / "state").glob("pictures/*/*.picture")):
            self.assertLess(time.monotonic(), deadline, "no picture was kept")
            self.get("health")

    def test_killed_worker(self) -> None:
        """A worker that was killed is replaced, and files are served all the while. Whose picture
        it was given before its end was known asks again.
        """
        self.get("photo.jpg?thumb")
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.get("photo.jpg")[0], 200)
        self.assertIn(self.get("photo.jpg?thumb=1024")[0], (200, 503))
        self.assertEqual(self.get("photo.jpg?thumb=512")[0], 200)

    def test_off(self) -> None:
        """With --picture-workers 0 each is a 501, and nothing is started."""
        self.daemon.stop()
        self.daemon = self.start("--picture-workers", "0")
        status, _, body = self.get("photo.jpg?thumb")
        self.assertEqual((status, b"--picture-workers 0" in body), (501, True))
        self.assertEqual(self.get("photo.jpg")[0], 200)
        self.assertEqual(self.workers(), [])

    def test_judged_by_others(self) -> None:
        """A thumbnail shows what ImageMagick makes of the same photograph."""
        convert = shutil.which("convert")
        if convert is None:
            raise SkipTest("no ImageMagick here")
        theirs = self.folder / "theirs.png"
        photo = self.images / "photo.jpg"
        subprocess.run([convert, photo, "-resize", "256x256", theirs], check=True)
        with Image.open(io.BytesIO(self.get("photo.jpg?thumb")[2])) as ours:
            pixels = np.asarray(ours.convert("L"), dtype=float)
        with Image.open(theirs) as image:
            difference = np.abs(pixels - np.asarray(image.convert("L"), dtype=float))
        self.assertLess(difference.mean(), 2)
