"""A folder of DICOM in the programs that people open it with: OHIF, NiiVue, and containers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
from twisted.trial.unittest import SkipTest

from tests import dicom_files
from tests.chromium import Chromium, serve_page
from tests.daemons import PATIENCE, Daemon
from tests.dicom_case import DicomCase, load
from tests.dicom_phantoms import (
    SERIES,
    SIZE,
    SLICES,
    STUDY,
    SYNTAXES,
    write_compressed,
    write_frames,
    write_native,
)
from tests.ohif import PICTURES, SOFTWARE_WEBGL, OhifBrowser, OhifSite
from tests.test_viewer import installed


class OhifCase(DicomCase):
    """OHIF at one origin, a daemon at another that names it by --cors-origin."""

    def setUp(self) -> None:
        super().setUp()
        self.site = OhifSite(self)

    def start(self, write: Callable[[Path], None], *options: str) -> Daemon:
        write(self.folder / "export")
        daemon = self.daemon("--cors-origin", self.site.url, *options)
        load(daemon, self.folder / "export", "export")
        self.browser = OhifBrowser(self.folder / "browser", daemon.ca, *SOFTWARE_WEBGL)
        self.addCleanup(self.browser.close)
        self.site.dicomweb = f"{daemon.url}collections/export/dicomweb"
        return daemon

    def check_viewer(self, address: str, slices: int) -> None:
        """The study opens, and each turn of the wheel shows another slice, without an error."""
        self.browser.open(self.site.url + address)
        self.browser.until_shown()
        seen = {self.browser.picture()}
        for _ in range(slices - 1):
            seen.add(self.browser.leaf(seen))
        self.assertEqual(len(seen), slices)
        self.assertEqual(self.browser.errors(), [])


class OhifTests(OhifCase):
    def test_dicomweb(self) -> None:
        """Over HTTPS the study stands in the list, and opens; slices follow each other as they lie,
        whatever the names of their files.
        """
        self.start(write_native)
        self.browser.open(f"{self.site.url}/")
        rows = self.browser.until("document.body.innerText.includes('1-1 of 1')")
        self.assertTrue(rows, self.browser.texts("body"))
        self.assertEqual(self.browser.errors(), [])
        self.check_viewer(f"/viewer?StudyInstanceUIDs={STUDY}", 8)

    def test_dicomjson(self) -> None:
        """The same study opens by its dicom.json."""
        daemon = self.start(write_native)
        url = f"{daemon.url}collections/export/dicom.json"
        self.check_viewer(f"/viewer/dicomjson?url={url}", 8)

    def test_plain_http(self) -> None:
        """Both data sources work over plain HTTP."""
        daemon = self.start(write_native, "--http-port", "0")
        collection = f"{daemon.http_url}collections/export"
        self.site.dicomweb = f"{collection}/dicomweb"
        self.check_viewer(f"/viewer?StudyInstanceUIDs={STUDY}", 3)
        self.check_viewer(f"/viewer/dicomjson?url={collection}/dicom.json", 3)

    def test_private(self) -> None:
        """Of a private daemon, OHIF takes a signed link to the collection for the URL of DICOMweb,
        and needs no token.
        """
        daemon = self.start(write_native, "--private")
        path = "/collections/export/"
        order = json.dumps({"path": path, "prefix": True}).encode()
        headers = {"Authorization": f"Bearer {daemon.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{daemon.url}links", order, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE, context=daemon.tls()) as answer:
            collection = json.load(answer)["url"].rstrip("/")
        self.assertIn("/-/s/", collection)
        self.site.dicomweb = f"{collection}/dicomweb"
        self.check_viewer(f"/viewer?StudyInstanceUIDs={STUDY}", 3)
        self.check_viewer(f"/viewer/dicomjson?url={collection}/dicom.json", 3)

    def test_compressed(self) -> None:
        """OHIF decodes the frames of JPEG 2000, JPEG-LS and RLE, and those of one file of many."""
        studies = [f"{dicom_files.ROOT}.3.{number}" for number in range(4)]

        def write(folder: Path) -> None:
            for study, syntax in zip(studies[1:], SYNTAXES, strict=True):
                write_compressed(folder, study, syntax)
            write_frames(folder, studies[0])

        daemon = self.start(write)
        url = f"{daemon.url}collections/export/dicom.json"
        for study in studies:
            self.check_viewer(f"/viewer?StudyInstanceUIDs={study}", 4)
            self.check_viewer(f"/viewer/dicomjson?url={url}&StudyInstanceUIDs={study}", 2)

    def test_mpr(self) -> None:
        """OHIF makes three planes of a series."""
        self.start(write_native)
        study = f"/viewer?StudyInstanceUIDs={STUDY}&hangingprotocolId=mpr"
        self.browser.open(self.site.url + study)
        self.assertTrue(self.browser.until(f"{PICTURES}.filter(Boolean).length === 3"))
        self.assertEqual(self.browser.errors(), [])


class NiiVueTests(DicomCase):
    # Its own name is what NiiVue tells a volume's format by.
    PAGE = """
    (async url => {
        document.body.innerHTML = '<canvas id="v" width="640" height="480"></canvas>';
        await new Promise(done => {
            const script = document.createElement('script');
            Object.assign(script, {src: 'niivue.umd.js', onload: done});
            document.head.append(script);
        });
        const viewer = new niivue.Niivue();
        await viewer.attachTo('v');
        await viewer.loadVolumes([{url}]);
        const [volume] = viewer.volumes;
        return [volume.dims.slice(1, 4), volume.getValue(48, 48, 0), volume.pixDims.slice(1, 4),
            [...viewer.frac2mm([0.5, 0.5, 0.5]).slice(0, 3)]];
    })(%s)
    """

    def test_volume(self) -> None:
        """A page of any origin opens a series as one volume."""
        bundle = installed("@niivue/niivue", "dist/niivue.umd.js")
        if bundle is None:
            raise SkipTest("no @niivue/niivue here")
        write_native(self.folder / "export")
        daemon = self.daemon()
        load(daemon, self.folder / "export", "export")
        page = serve_page(self, self.folder / "viewer")
        shutil.copy(bundle, self.folder / "viewer")
        browser = Chromium(self.folder / "browser", daemon.ca, *SOFTWARE_WEBGL)
        self.addCleanup(browser.close)
        browser.open(page)
        url = f"{daemon.url}collections/export/dicom/{SERIES}.nii"
        dims, value, spacing, middle = browser.evaluate(self.PAGE % json.dumps(url))
        self.assertEqual(dims, [SIZE, SIZE, SLICES])
        self.assertEqual(value, 1064 - 1024)
        self.assertEqual(spacing, [1, 1, 2])
        for found, expected in zip(middle, (0.5, 0.5, 61), strict=True):
            self.assertAlmostEqual(found, expected, delta=1.01)
        errors = [line for line in browser.complaints() if line.startswith("error")]
        self.assertEqual(errors, [])  # warnings are of software WebGL's speed


# What the container's program does with a URL that it is told: fetch it, look at it, read it.
CONTAINER = """
import gzip, sys, tempfile, urllib.parse
import nibabel, numpy, requests

url, trusted = sys.argv[1:]
path = urllib.parse.urlsplit(url).path
assert path.endswith((".nii", ".nii.gz", ".nrrd")), path
head = requests.head(url, verify=trusted, timeout=30)
head.raise_for_status()
answer = requests.get(url, verify=trusted, timeout=30, stream=True, allow_redirects=False)
answer.raise_for_status()
with tempfile.NamedTemporaryFile(suffix=path[path.rindex("."):]) as file:
    for piece in answer.iter_content(1 << 20):
        file.write(piece)
    file.flush()
    assert file.tell() == int(head.headers["Content-Length"]), file.tell()
    data = open(file.name, "rb").read(348)
    if data[:2] == b"\\x1f\\x8b":
        data = gzip.open(file.name).read(348)
    assert data[344:348] == b"n+1\\0", data[344:348]
    image = nibabel.load(file.name)
    values = numpy.asanyarray(image.dataobj)
    print(*image.shape, int(values.min()), int(values.max()), *image.affine.ravel())
"""


class ContainerTests(DicomCase):
    HOST, GUEST = "10.213.77.1", "10.213.77.2"

    def network(self) -> str:
        """A network namespace with one link to this machine, until the test is over."""
        if shutil.which("ip") is None:
            raise SkipTest("no ip here")
        name = f"imgd{self.folder.stat().st_ino % 100_000}"
        link, inside = f"{name}v", ["ip", "-n", name]
        steps = (
            ["ip", "netns", "add", name],
            ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name],
            ["ip", "address", "add", f"{self.HOST}/30", "dev", link],
            ["ip", "link", "set", link, "up"],
            [*inside, "address", "add", f"{self.GUEST}/30", "dev", "eth0"],
            [*inside, "link", "set", "eth0", "up"],
        )
        for step in steps:
            if subprocess.run(step, capture_output=True, timeout=PATIENCE).returncode:
                raise SkipTest("no network namespaces here")
            if step is steps[0]:
                delete = ["ip", "netns", "del", name]
                self.addCleanup(subprocess.run, delete, check=True, timeout=PATIENCE)
        return name

    def test_fetch(self) -> None:
        """A program in a network of its own fetches a series from its URL, by the CA alone."""
        name = self.network()
        write_native(self.folder / "export")
        daemon = self.daemon("--host", self.HOST)
        load(daemon, self.folder / "export", "export")
        url = f"https://{self.HOST}:{daemon.port}/collections/export/dicom/{SERIES}.nii"
        program = ["ip", "netns", "exec", name, sys.executable, "-c", CONTAINER]
        done = subprocess.run(
            [*program, url, str(daemon.ca)], capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        *shape, low, high = done.stdout.split()[:5]
        self.assertEqual([*map(int, shape)], [SIZE, SIZE, SLICES])
        self.assertEqual((int(low), int(high)), (-1024, 1200 + 10 * SLICES - 1024))
        affine = np.array([*map(float, done.stdout.split()[5:])]).reshape(4, 4)
        np.testing.assert_allclose(affine @ [0, 0, 0, 1], [48, 48, 2, 1], atol=1e-4)
