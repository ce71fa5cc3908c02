"""Programs that copy whole folders get every file: from the document root and from a collection.

``IMGD_TEST_FILES=20000`` makes the folder larger; each program then takes a minute or two.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from twisted.trial.unittest import SkipTest

from tests import samples
from tests.daemons import PATIENCE, DaemonCase, environment

FILES = int(os.environ.get("IMGD_TEST_FILES", "2500"))  # more than a page of the listing has
# As a file system has them; every program here can write each of these names.
ODD = (
    *(b"a b.png", b"100%.png", b"what?.png", b"#1.png", b"R&D.png", b"it's.png", b'say "hi".png'),
    *("fünf.png".encode(), b"caf\xe9.png", b"-rf.png", b"--help.png", b"a:b.png", b"https:x.png"),
    *(b"http_notes.png", b"a+b.png", b"[1].png", b"x=y;z.png", b"<b>.png", b"name.png ", b"$x.png"),
)
SUFFIXED = tuple(name for name in ODD if name.endswith(b".png"))  # what a collection serves
OLD = 1_600_000_000  # when every file was changed, in seconds since the epoch
FSSPEC = """
import json, sys, fsspec
fs, base = fsspec.filesystem("http"), sys.argv[1]
found = fs.find(base)
listed = len(fs.ls(base)), len(fs.glob(base + "frame_*.png"))
print(json.dumps([found, [fs.cat(url).decode("latin-1") for url in found[-40:]], listed]))
"""
GDAL = """
import json, sys
from osgeo import gdal
gdal.UseExceptions()
base = "/vsicurl/" + sys.argv[1]
names, size = gdal.ReadDir(base), gdal.VSIStatL(base + "frame_1.png").size
raster = gdal.Open(base + "picture.png")
folder = gdal.ReadDir(base + "R%26D%20%231%20%C3%BC/")
missing = gdal.VSIStatL(base + "none.png")
print(json.dumps([names, folder, size, raster.RasterXSize, missing is None]))
"""


def tree(folder: Path) -> dict[bytes, tuple[bytes, int]]:
    """Every file below a folder: its bytes and its time, without what else wget keeps."""
    top = os.fsencode(folder)
    found = {}
    for path, _, names in os.walk(top):
        for name in names:
            if not name.startswith((b"index.html", b"robots.txt")):
                file = os.path.join(path, name)
                with open(file, "rb") as stream:
                    found[os.path.relpath(file, top)] = stream.read(), int(os.stat(file).st_mtime)
    return found


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise SkipTest(f"there is no {program} on this machine")
    return found


class CopyTests(DaemonCase):
    def setUp(self) -> None:
        super().setUp()
        self.files = self.folder / "output" / "study"
        odd_folder = self.files / "R&D #1 ü"
        odd_folder.mkdir(parents=True)
        self.write(*(b"frame_%d.png" % n for n in range(FILES)), *SUFFIXED)
        for name in SUFFIXED[:5]:
            self.write(os.path.join(os.fsencode(odd_folder.name), name))
        samples.picture(self.files / "picture.png")
        os.utime(self.files / "picture.png", (OLD, OLD))
        self.imgd = self.daemon("--http-port", "0")
        body = {"directory": str(self.files), "name": "c", "recursive": True}
        request = urllib.request.Request(
            self.imgd.url + "load-directory",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=PATIENCE, context=self.imgd.tls()).close()

    def write(self, *names: bytes) -> None:
        for name in names:
            path = os.path.join(os.fsencode(self.files), name)
            with open(path, "wb") as file:
                file.write(os.path.basename(name))
            os.utime(path, (OLD, OLD))

    def bases(self) -> Iterator[str]:
        """The folder below the document root over HTTPS, and as a collection over plain HTTP."""
        yield self.imgd.url + "-/files/study/"
        yield self.imgd.http_url.rstrip("/") + "/collections/c/files/"

    def run_client(self, *command: str, **more: str) -> str:
        """What a program writes; AssertionError if it fails."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(self.folder, more),
            capture_output=True,
            timeout=5 * PATIENCE + FILES / 20,
            check=False,
        )
        self.assertEqual(done.returncode, 0, (command, done.stderr.decode("utf-8", "replace")))
        return done.stdout.decode("utf-8", "surrogateescape")

    def assert_copied(self, copy: Path, *, times: bool = True) -> None:
        expected, got = tree(self.files), tree(copy)
        self.assertEqual((sorted(expected.keys() ^ got.keys()), len(got)), ([], len(expected)))
        for name, (content, changed) in expected.items():
            self.assertEqual(got[name], (content, changed if times else got[name][1]), name)

    def test_rclone(self) -> None:
        """rclone copies every file, with its time, and finds nothing to do the second time."""
        rclone = needs("rclone")
        for number, base in enumerate(self.bases()):
            copy = self.folder / f"rclone{number}"
            options = ("--http-url", base, "--ca-cert", str(self.imgd.ca), "--transfers", "8")
            self.run_client(rclone, "copy", *options, ":http:", str(copy))
            self.assert_copied(copy)
            self.run_client(rclone, "check", *options, "--one-way", ":http:", str(copy))
            names = self.run_client(rclone, "lsf", *options, "--files-only", ":http:").splitlines()
            self.assertEqual(len(names), FILES + len(SUFFIXED) + 1)

    def test_lftp(self) -> None:
        """lftp mirrors every file, with its time."""
        lftp = needs("lftp")
        for number, base in enumerate(self.bases()):
            copy = self.folder / f"lftp{number}"
            script = f"set ssl:ca-file {self.imgd.ca}; open {base}; mirror --parallel=4 . {copy}"
            self.run_client(lftp, "-c", script)
            self.assert_copied(copy)

    def test_wget(self) -> None:
        """``wget -r`` gets every file, with its time, and ends."""
        wget = needs("wget")
        for number, base in enumerate(self.bases()):
            copy = self.folder / f"wget{number}"
            options = ("--ca-certificate", str(self.imgd.ca), "-q", "-r", "-l", "inf", "-np", "-nH")
            self.run_client(wget, *options, "--cut-dirs=3", "-P", str(copy), base)
            self.assert_copied(copy)

    def test_wget_of_pages(self) -> None:
        """``wget -r`` gets every file from pages as well, and ends: it follows no other order."""
        wget = needs("wget")
        copy = self.folder / "pages"
        options = ("--header", "Accept: text/html", "-q", "-r", "-l", "inf", "-np", "-nH")
        base = self.imgd.http_url.rstrip("/") + "/study/"
        self.run_client(wget, *options, "--cut-dirs=1", "-P", str(copy), base)
        self.assert_copied(copy)
        pages = [path.name for path in copy.glob("index.html*")]
        self.assertLess(len(pages), 30 + FILES / 200)
        self.assertFalse([name for name in pages if "sort=" in name and "after=" in name])

    def test_fsspec(self) -> None:
        """fsspec finds every file, reads it, and lists and globs the folder."""
        if (
            importlib.util.find_spec("fsspec") is None
            or importlib.util.find_spec("aiohttp") is None
        ):
            raise SkipTest("there is no fsspec with aiohttp here")
        for base in self.bases():
            output = self.run_client(
                *(sys.executable, "-c", FSSPEC, base), SSL_CERT_FILE=str(self.imgd.ca)
            )
            found, contents, listed = json.loads(output)
            expected = tree(self.files)
            names = [unquote_to_bytes(self.below(base, url)) for url in found]
            self.assertEqual(sorted(names), sorted(expected))
            self.assertEqual(
                [content.encode("latin-1") for content in contents],
                [expected[name][0] for name in names[-40:]],
            )
            self.assertEqual(listed, [FILES + len(SUFFIXED) + 2, FILES])

    def below(self, base: str, url: str) -> str:
        self.assertTrue(url.startswith(base), url)
        return url.removeprefix(base).replace("./", "")

    def test_gdal(self) -> None:
        """GDAL lists the folder, one with an odd name too, and reads a picture in it."""
        python = self.python_with_gdal()
        for base in self.bases():
            output = self.run_client(*(python, "-c", GDAL, base), CURL_CA_BUNDLE=str(self.imgd.ca))
            names, folder, size, width, is_missing = json.loads(output)
            listed = {unquote_to_bytes(quote(name, safe="%")) for name in names}
            expected = {os.fsencode(name) for name in os.listdir(self.files)}
            self.assertEqual(listed ^ expected, set())
            self.assertEqual(len(folder), 5)
            self.assertEqual((size, is_missing), (len("frame_1.png"), True))
            self.assertGreater(width, 0)
            gdalinfo = self.run_client(
                needs("gdalinfo"), f"/vsicurl/{base}picture.png", CURL_CA_BUNDLE=str(self.imgd.ca)
            )
            self.assertTrue(re.search(rf"Size is {width}, ", gdalinfo))

    def python_with_gdal(self) -> str:
        for python in (sys.executable, "/usr/bin/python3"):
            done: Any = shutil.which(python) and subprocess.run(
                [python, "-c", "import osgeo.gdal"], capture_output=True, check=False
            )
            if done and not done.returncode:
                return python
        raise SkipTest("there is no Python with GDAL here")
