"""Real input: volumes and DICOM files from installed packages, and pictures that are drawn."""

from __future__ import annotations

import hashlib
import shutil
from importlib import resources
from pathlib import Path

from PIL import Image, ImageDraw
from pydicom.data import get_testdata_file

VOLUMES = ("example4d.nii.gz", "anatomical.nii")
DICOM = ("CT_small.dcm", "MR_small.dcm")
# Names with a meaning to a shell, a browser, a path or a reader; POSIX allows them all.
HOSTILE_NAMES = (
    "a\"b'c<d>&e.png",
    "<img src=x onerror=alert(1)>.png",
    "javascript:alert(1).png",
    "new\nline.png",
    "evil\u202egnp.exe.png",
    "100% sure?#1;a=b+c.png",
    "%2e%2e%2f.png",
    " spaces at both ends.png ",
    "größe-体积-🧠.png",
    "bytes-\udcff\udcfe-not-utf8.png",
    "-rf.png",
    "back\\slash.txt",
)


def volume(name: str) -> Path:
    """One of nibabel's volumes. Not through nibabel.testing, which needs pytest."""
    return Path(str(resources.files("nibabel").joinpath("tests", "data", name)))


def dicom(name: str) -> Path:
    """One of the files in pydicom's package; nothing is downloaded."""
    return Path(str(get_testdata_file(name, download=False)))


def picture(path: Path, number: int = 0, size: tuple[int, int] = (320, 240)) -> Path:
    """Draw a picture in the format of the suffix, a different one for each number."""
    width, height = size
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    draw = ImageDraw.Draw(image)
    x, y = (number * 37) % width, (number * 53) % height
    draw.ellipse((x - 40, y - 40, x + 40, y + 40), fill=(200, number * 29 % 256, 90))
    draw.text((8, 8), f"frame {number}", fill=(255, 255, 255))
    image.save(path)
    return path


def frames(folder: Path, count: int = 12) -> Path:
    """Make a folder of video frames as server B's users have them."""
    folder.mkdir(parents=True)
    for number in range(count):
        picture(folder / f"frame_{number:04}.jpg", number)
    picture(folder / "cover page.png", 99)
    (folder / "notes.txt").write_text("Not an image.\n")
    return folder


def studies(folder: Path) -> Path:
    """Fill a document root with volumes, DICOM files, pictures, and a report in a folder."""
    (folder / "patient 1").mkdir(parents=True)
    for name in VOLUMES:
        shutil.copyfile(volume(name), folder / name)
    for name in DICOM:
        shutil.copyfile(dicom(name), folder / "patient 1" / name)
    picture(folder / "patient 1" / "slice.png", 3)
    picture(folder / "photo.jpg", 7, (1024, 768))
    (folder / "patient 1" / "report.txt").write_text("Nothing remarkable.\n")
    return folder


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
