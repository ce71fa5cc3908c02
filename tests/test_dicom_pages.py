"""A collection's DICOM in Chromium: the page of its series, the viewer, and pages of others."""

from __future__ import annotations

import json
import shutil
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.chromium import Chromium, serve_page
from tests.daemons import PATIENCE, Daemon, curl, curl_json
from tests.dicom_files import ROOT, ct_slice, save
from tests.test_gallery_pages import AXE, PHONE, axe
from tests.test_viewer import _LEVELS, ViewerCase, niivue_option, shared_viewer

NAME = "export"
PAGE = f"collections/{NAME}/dicom/"
CT, MR, BLIND = f"{ROOT}.1.1", f"{ROOT}.1.2", f"{ROOT}.1.3"
SIZE = 64  # pixels
SLICES = 6
# Of each slice from the feet on: its name says nothing of that, nor does its number.
NAMES = ("IM3", "IM1", "b/IM5", "IM0", "a/IM2", "IM4")
LOADED = "[...document.images].filter(image => image.complete && image.naturalWidth).length"
DECODED = "Promise.allSettled([...document.images].map(image => image.decode()))"
UNFOLDED = "[...document.querySelectorAll('details')].forEach(element => element.open = true)"
_FETCH = """
(url, headers) => fetch(url, {headers}).then(async r => [r.status, (await r.text()).length > 0],
                                             e => `${e}`)
"""
LINES = "[...document.querySelectorAll('.line')].map(line => line.textContent)"
BLOCKED = "TypeError: Failed to fetch"
# What OHIF sends for an image. The quotes make a browser ask by a preflight first.
OHIF = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax="*"'}


def write(folder: Path) -> None:
    """A CT in no order, an MR in one file, a series without positions, and what is broken."""
    values = np.zeros((SIZE, SIZE), "<i2")
    for place, name in enumerate(NAMES):
        values[:] = 1024  # grey
        values[:, : 8 * (place + 1)] = 2000  # white
        where: dict[str, Any] = {"position": (0.0, 0.0, 3.0 * place), "uid": f"{CT}.{place}"}
        file = ct_slice(series=CT, number=SLICES - place, rows=SIZE, columns=SIZE, **where)
        file.PixelData = values.tobytes()
        save(file, str(folder / name))
    frames: dict[str, Any] = {"NumberOfFrames": 3, "SeriesNumber": 2, "SliceThickness": 1}
    file = ct_slice(series=MR, modality="MR", rows=SIZE, columns=SIZE, more=frames)
    file.PixelData = np.arange(3 * SIZE * SIZE, dtype="<i2").tobytes()
    save(file, str(folder / "frames"))
    nowhere: dict[str, Any] = {
        "SeriesNumber": 3,
        "ImagePositionPatient": None,
        "ImageOrientationPatient": None,
    }
    save(ct_slice(series=BLIND, rows=SIZE, columns=SIZE, more=nowhere), str(folder / "blind"))
    (folder / "broken \N{SNOWMAN}.dcm").write_bytes(b"no DICOM")


def load(daemon: Daemon, folder: Path, name: str = NAME) -> None:
    order = {"directory": str(folder), "name": name, "recursive": True, "timeout_minutes": 0}
    curl(
        *("--cacert", str(daemon.ca), "-H", "Content-Type: application/json"),
        *("-H", f"Authorization: Bearer {daemon.token}"),
        *("-d", json.dumps(order), f"{daemon.url}load-directory"),
    )


def wait_for_index(daemon: Daemon, name: str = NAME) -> None:
    """Ask until it is there; the daemon lets each who asks wait for some seconds."""
    end = time.monotonic() + PATIENCE
    url, bearer = f"{daemon.url}collections/{name}/dicom/", f"Authorization: Bearer {daemon.token}"
    while "studies" not in curl_json("--cacert", str(daemon.ca), "-H", bearer, url):
        assert time.monotonic() < end


@cache
def shared_export() -> None:
    """Load such a folder into the daemon of the viewer's tests, once."""
    daemon, _ = shared_viewer()
    folder = daemon.folder / "output" / "scans"
    write(folder)
    load(daemon, folder)
    wait_for_index(daemon)
    (daemon.folder / "output" / "empty").mkdir(exist_ok=True)
    load(daemon, daemon.folder / "output" / "empty", "nothing")


class ExportCase(ViewerCase):
    def setUp(self) -> None:
        super().setUp()
        shared_export()

    def open(self, path: str, size: tuple[int, int] = (1200, 800), *, dark: bool = False) -> None:
        """Open a page in a window of this size; its thumbnails are there."""
        self.browser.open("about:blank")
        self.browser.screenshot(Path(self.mktemp()), *size, dark=dark)
        self.browser.open(self.daemon.url + path)
        self.browser.evaluate(DECODED)


class PageTests(ExportCase):
    def test_series(self) -> None:
        """Each series has its thumbnail and its size; nothing on the page is refused, or runs."""
        self.open(PAGE)
        self.assertEqual(self.browser.evaluate(LOADED), 3)
        self.assertEqual(self.browser.texts("h3"), ["CT series 1", "MR series 2", "CT series 3"])
        self.assertIn("1 study, 3 series, 8 instances", self.browser.texts("header")[0])
        sizes = [text.replace("\N{NO-BREAK SPACE}", " ") for text in self.browser.texts(".about")]
        by = " \N{MULTIPLICATION SIGN} "
        self.assertTrue(sizes[0].startswith(by.join(("64", "64", "6"))), sizes)
        self.assertIn(f"{by}3 mm", sizes[0])
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.evaluate("document.scripts.length"), 0)

    def test_broken(self) -> None:
        """What is not in the index is named in a list that a click unfolds."""
        self.open(PAGE)
        summary = "document.querySelector('.unindexed summary')"
        self.assertEqual(
            self.browser.evaluate(f"{summary}.innerText"), "1 file is not in the index"
        )
        self.assertFalse(self.browser.evaluate("document.querySelector('.unindexed').open"))
        self.browser.evaluate(f"{summary}.click()")
        self.assertIn("broken \N{SNOWMAN}.dcm", self.browser.texts(".unindexed li")[0])

    def test_copied(self) -> None:
        """One click on a line chooses all of it, and nothing else."""
        self.open(PAGE)
        self.browser.evaluate(UNFOLDED)
        line = (
            f"[...document.querySelectorAll('.line')].find(e => e.innerText.includes('{CT}.nii'))"
        )
        x, y = self.browser.evaluate(
            f"(e => (e.scrollIntoView({{block: 'center'}}), e.getBoundingClientRect()))({line}), "
            f"(box => [box.x + 20, box.y + 12])({line}.getBoundingClientRect())"
        )
        self.drag((x, y), (x, y), "left")
        chosen = self.browser.evaluate("getSelection().toString().trim()")
        self.assertEqual(chosen, f"{self.daemon.url}{PAGE}{CT}.nii")

    def test_from_the_collection(self) -> None:
        """The collection's page leads to it, and its picture to the viewer."""
        self.browser.open(f"{self.daemon.url}collections/{NAME}")
        self.browser.click("a[href$='/dicom/']")
        self.assertEqual(self.browser.url, self.daemon.url + PAGE)
        self.browser.click(".series a.picture")
        self.until_label("Slice 1 of 6")

    def test_widths(self) -> None:
        """No page is wider than its window, with all lines unfolded."""
        for size in ((390, 844), (320, 640), (1200, 800)):
            self.open(PAGE, size)
            self.browser.evaluate(UNFOLDED)
            width = self.browser.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(width, size[0])

    def test_accessible(self) -> None:
        """axe-core finds nothing to say, on a phone and a screen, in the light and in the dark."""
        script = axe()
        for path in (PAGE, "collections/nothing/dicom/", f"collections/{NAME}"):
            for size, dark in ((PHONE, False), ((1200, 800), True)):
                self.open(path, size, dark=dark)
                self.browser.evaluate(UNFOLDED)
                self.browser.evaluate(script)
                self.assertEqual(self.browser.evaluate(AXE), [], (path, size))


class ViewerTests(ExportCase):
    def test_order(self) -> None:
        """The viewer leafs through the slices as they lie in the patient, whatever their names and
        numbers are.
        """
        load(self.daemon, self.daemon.folder / "output" / "scans", "current")
        wait_for_index(self.daemon, "current")
        for page in (PAGE, "collections/current/dicom/"):
            self.view(f"{page}{CT}.nii")
            for place, name in enumerate(NAMES, 1):
                self.until_label(f"Slice {place} of {SLICES}", name)
                self.until_white(8 * place / SIZE)
                self.press("ArrowUp")
            self.assertEqual(self.browser.complaints(), [])

    def until_white(self, part: float) -> None:
        """Wait until so much of the picture that is shown is white, in the window of its file."""
        end = time.monotonic() + PATIENCE
        found = -1.0
        while abs(found - part) > 0.05:
            self.assertLess(time.monotonic(), end, (found, part))
            levels = np.array(self.browser.evaluate(_LEVELS % "axial"))
            found = float((levels > 250).sum() / max(1, (levels > 50).sum()))

    def test_copied_link(self) -> None:
        """The URL keeps which slice is shown."""
        self.view(f"{PAGE}{CT}.nii")
        self.press("PageUp")
        self.until_label(f"Slice {SLICES} of {SLICES}", NAMES[-1])
        self.until(f"location.hash.includes('{NAMES[-1]}')")
        url = self.browser.url
        self.browser.open_tab()
        self.browser.open(url)
        self.until_label(f"Slice {SLICES} of {SLICES}", NAMES[-1])

    def test_frames(self) -> None:
        """The frames of a file are slices of its series; each is another picture."""
        self.view(f"{PAGE}{MR}.nii")
        for number in (1, 2, 3):
            self.until_label(f"Slice {number} of 3", f"frames, frame {number}")
            shown = self.browser.evaluate(
                "performance.getEntriesByType('resource').map(e => e.name)"
                f".filter(name => name.includes('slice=axial:{number - 1}')).length"
            )
            self.assertTrue(shown)
            self.press("ArrowUp")

    def test_without_positions(self) -> None:
        """A series that is no volume is shown all the same."""
        self.view(f"{PAGE}{BLIND}.nii")
        self.until_label("Slice 1 of 1", "blind")

    def test_missing(self) -> None:
        """A series that is not there is said to be, with the way to the others."""
        self.browser.open(f"{self.daemon.url}-/view/{PAGE}1.2.3.nii")
        self.until("document.querySelector('[role=alert]')")
        self.assertIn("There is no series", self.browser.texts("main")[0])
        self.browser.click("main a.button")
        self.assertEqual(self.browser.url, self.daemon.url + PAGE)
        for path in (f"{PAGE}x.nii", f"{PAGE}{CT}.json", PAGE, "collections/none/dicom/1.2.nii"):
            answer = curl_json("--cacert", str(self.daemon.ca), f"{self.daemon.url}-/view/{path}")
            self.assertIn("detail", answer, path)

    def test_three_d(self) -> None:
        """NiiVue opens the series as one volume; of one that is none, the page says why."""
        if not niivue_option():
            raise SkipTest("no @niivue/niivue here")
        self.view(f"{PAGE}{CT}.nii")
        self.browser.click("a[href='?3d']")
        state = "document.querySelector('main').dataset.state"
        self.assertEqual(self.until(state), "ready")
        self.browser.open(f"{self.daemon.url}-/view/{PAGE}{BLIND}.nii?3d")
        self.assertEqual(self.until(state), "failed")
        self.assertIn("blind", self.browser.texts(".message")[0])


class ProgressTests(ExportCase):
    def test_goes_on(self) -> None:
        """The page of an index that is being made asks again until it is there."""
        folder = self.daemon.folder / "output" / "many"
        for number in range(40):
            write(folder / str(number))
        load(self.daemon, folder, "many")
        self.browser.open(f"{self.daemon.url}collections/many/dicom/")
        end = time.monotonic() + PATIENCE
        while not (names := self.names()):
            self.assertLess(time.monotonic(), end)
        self.assertEqual(names, ["CT series 1", "MR series 2", "CT series 3"])

    def names(self) -> list[str]:
        """Those of the series; none if the page is another while they are asked for."""
        try:
            return self.browser.texts("h3")
        except AssertionError:
            return []


class PrivateTests(SynchronousTestCase):
    def test_token(self) -> None:
        """Who enters the token sees the page, its thumbnails and the viewer, all by one link."""
        daemon, browser = shared_viewer()
        browser.open_tab()
        home = Path(self.mktemp()).resolve()
        state = home / "state"
        state.mkdir(0o700, parents=True)
        for path in daemon.ca.parent.glob("ca.*"):  # which the browser trusts
            shutil.copy(path, state)
        private = Daemon(home, "--private", "--allow-root", str(home))
        self.addCleanup(private.stop)
        write(home / "scans")
        load(private, home / "scans")
        wait_for_index(private)
        browser.open(private.url + PAGE)
        browser.type_and_enter("input[name=token]", private.token)
        self.assertRegex(browser.url, rf"/-/s/[^/]+/{PAGE}$")
        link = browser.url.removesuffix(PAGE)
        browser.evaluate(DECODED)
        self.assertEqual(browser.evaluate(LOADED), 3)
        self.assertIn(f"{link}collections/{NAME}/dicomweb", browser.evaluate(LINES))
        browser.click(".series a.picture")
        self.assertEqual(browser.url, f"{link}-/view/{PAGE}{CT}.nii")
        self.wait(browser)
        self.assertIn(NAMES[0], browser.texts(".label")[0])
        self.assertEqual(browser.complaints(), [])

    def wait(self, browser: Chromium) -> None:
        """Wait until the viewer shows its picture."""
        browser.evaluate(
            "new Promise(done => { const look = () => document.querySelector('[data-ready]') ? "
            "done() : setTimeout(look, 50); look(); setTimeout(done, 20000) })"
        )


class OriginTests(SynchronousTestCase):
    """What a page of another origin may read of a daemon on the same machine."""

    LISTS = (PAGE, f"collections/{NAME}/dicom.json", f"collections/{NAME}/dicomweb/studies")
    BY_UID = (
        *(f"{PAGE}{CT}.nii", f"{PAGE}{CT}.json"),
        f"collections/{NAME}/dicomweb/studies/{ROOT}.1/metadata",
    )
    FRAME = f"collections/{NAME}/dicomweb/studies/{ROOT}.1/series/{CT}/instances/{CT}.0/frames/1"

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.viewer = serve_page(self, self.folder / "viewer")
        write(self.folder / "scans")

    def start(self, number: int, *options: str) -> tuple[Daemon, Chromium]:
        home = self.folder / str(number)
        daemon = Daemon(home, "--allow-root", str(self.folder), *options)
        self.addCleanup(daemon.stop)
        load(daemon, self.folder / "scans")
        wait_for_index(daemon)
        browser = Chromium(home / "home", daemon.ca)
        self.addCleanup(browser.close)
        browser.open(self.viewer)
        return daemon, browser

    def call(self, browser: Chromium, url: str, headers: dict[str, str]) -> Any:
        return browser.evaluate(f"({_FETCH})({json.dumps(url)}, {json.dumps(headers)})")

    def test_origins(self) -> None:
        """Any page reads what needs a UID to be known, by OHIF's headers; only one whose origin
        was named learns the UIDs.
        """
        named = ("--cors-origin", self.viewer.rstrip("/"))
        for number, options in enumerate(((), named)):
            daemon, browser = self.start(number, *options)
            for path in self.LISTS:
                found = self.call(browser, daemon.url + path, {})
                self.assertEqual(found, [200, True] if options else BLOCKED, path)
            for path in self.BY_UID:
                found = self.call(browser, daemon.url + path, {})
                self.assertEqual(found, [200, True], path)
            frame = self.call(browser, daemon.url + self.FRAME, OHIF)
            self.assertEqual(frame, [200, True])
