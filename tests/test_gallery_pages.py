"""The gallery in Chromium: what a person sees of it, on a screen and a phone, with keys alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.web.escape import escape_text
from tests import samples
from tests.chromium import Chromium
from tests.daemons import PATIENCE, Daemon, curl
from tests.test_browser import shared_browser, viewer_path

PHONE = (390, 844)
MANY = 150  # pictures: some twenty screens of a phone
LONG = "scan of the same head on another day, " * 7
ODD_NAMES = (
    f"{LONG[:251]}.png",
    "צילום ראש מלמעלה לפני הטיפול ואחריו.png",
    "🧠🫀🦴 volumes 👩🏽‍⚕️.png",
    "zero\u200bwidth\u202egnp.png",
    "W" * 120 + ".png",
    "  two  spaces  .png",
)
LOADED = "[...document.images].filter(image => image.complete && image.naturalWidth).length"
REQUESTED = "performance.getEntriesByType('resource').filter(e => e.name.includes('?thumb')).length"
# How far what was on the page has moved since the page was opened, as browsers measure it.
MOVED = """
new Promise(done => {
    new PerformanceObserver(list => done(list.getEntries().reduce((sum, e) => sum + e.value, 0)))
        .observe({type: 'layout-shift', buffered: true});
    setTimeout(() => done(0), 300);
})
"""
AXE = """
axe.run(document, {resultTypes: ['violations']}).then(results => results.violations.map(
    rule => rule.id + ': ' + rule.nodes.map(node => node.html + ' ' + node.failureSummary)))
"""


def axe() -> str:
    """The script of axe-core, as ``npm install -g axe-core`` puts it."""
    npm = shutil.which("npm")
    if npm is None:
        raise SkipTest("no npm here")
    done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, timeout=PATIENCE)
    path = Path(done.stdout.strip()) / "axe-core" / "axe.min.js"
    if not path.exists():
        raise SkipTest("no axe-core here")
    return path.read_text("utf-8")


class GalleryPageCase(SynchronousTestCase):
    """Each test has a folder of its own below the document root of a shared daemon."""

    def setUp(self) -> None:
        self.daemon, self.browser = shared_browser()
        if not viewer_path():
            raise SkipTest("this imgd makes no pictures")
        # As other tests have left it, the window may be a phone's.
        self.browser.open_tab()
        self.shot = Path(self.mktemp())
        self.name = self.id().rpartition(".")[2]
        self.folder = self.daemon.folder / "output" / self.name
        self.folder.mkdir()
        self.url = f"{self.daemon.url}{self.name}/"

    def pictures(self, count: int) -> None:
        picture = samples.picture(self.folder / "0.jpg")
        for number in range(1, count):
            shutil.copy(picture, self.folder / f"{number}.jpg")

    def open(self, url: str, size: tuple[int, int] = (1200, 800), *, dark: bool = False) -> None:
        """Open a page in a window of this size."""
        self.browser.open("about:blank")
        self.browser.screenshot(self.shot, *size, dark=dark)
        self.browser.open(url)

    def see(self, size: tuple[int, int] = (1200, 800), *, dark: bool = False) -> Image.Image:
        """The window as it looks now."""
        self.browser.screenshot(self.shot, *size, dark=dark)
        return Image.open(self.shot).convert("RGB")

    def focused(self, expression: str) -> Any:
        """What this expression gives for the element that has the focus."""
        return self.browser.evaluate(f"(element => {expression})(document.activeElement)")

    def tab_to(self, selector: str) -> None:
        """Press Tab until an element that fits has the focus."""
        for _ in range(40):
            self.browser.press("Tab")
            if self.focused(f"element.matches({selector!r})"):
                return
        self.fail(f"Tab does not reach {selector}")


class GalleryPageTests(GalleryPageCase):
    def test_opens_by_itself(self) -> None:
        """A folder of pictures opens as a gallery, whose pictures are drawn; nothing on the page
        is refused, moves, or runs.
        """
        self.pictures(6)
        self.open(self.url)
        self.browser.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        self.assertEqual(self.browser.evaluate(LOADED), 6)
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.evaluate(MOVED), 0)
        self.assertEqual(self.browser.evaluate("document.scripts.length"), 0)

    def test_layouts(self) -> None:
        """One click turns the gallery into a list, one more back; order and filter stay."""
        self.pictures(3)
        self.open(f"{self.url}?order=desc&filter=.jpg")
        titles = "[...document.querySelectorAll('.gallery a')].map(a => a.title)"
        self.assertEqual(self.browser.evaluate(titles), ["2.jpg", "1.jpg", "0.jpg"])
        self.browser.click(".layouts a")
        self.assertEqual(
            self.browser.texts("tbody tr:not(.parent) th a"), ["2.jpg", "1.jpg", "0.jpg"]
        )
        self.browser.click(".layouts a")
        self.assertEqual(self.browser.evaluate(titles), ["2.jpg", "1.jpg", "0.jpg"])
        self.browser.click(".orders a")
        self.assertEqual(self.browser.evaluate(titles), ["0.jpg", "1.jpg", "2.jpg"])
        self.assertIn("view=gallery", self.browser.url)

    def test_lazy(self) -> None:
        """Pictures far below the window are asked for when they come near it, and nothing moves."""
        self.pictures(MANY)
        self.open(self.url, PHONE)
        self.assertLess(self.browser.evaluate(REQUESTED), MANY / 2)
        last = "[...document.images].at(-1)"
        self.assertFalse(self.browser.evaluate(f"{last}.complete"))
        height = self.browser.evaluate("document.documentElement.scrollHeight")
        self.browser.evaluate(f"{last}.scrollIntoView({{behavior: 'instant'}})")
        self.browser.evaluate(f"{last}.decode()")
        self.assertTrue(self.browser.evaluate(f"{last}.naturalWidth > 0"))
        self.assertEqual(self.browser.evaluate("document.documentElement.scrollHeight"), height)

    def test_keyboard(self) -> None:
        """Tab reaches the tiles in their order, each is seen to have the focus, and Enter opens it:
        a folder as a gallery, a picture in the viewer.
        """
        self.pictures(2)
        (self.folder / "below").mkdir()
        samples.picture(self.folder / "below" / "a.png")
        samples.picture(self.folder / "below" / "b.png")
        self.open(f"{self.url}?view=gallery")
        self.tab_to(".gallery a")
        titles = []
        for _ in range(3):
            titles.append(self.focused("element.title"))
            self.assertEqual(self.focused("getComputedStyle(element).outlineStyle"), "solid")
            self.browser.press("Tab")
        self.assertEqual(titles, ["below", "0.jpg", "1.jpg"])
        self.open(f"{self.url}?view=gallery")
        self.tab_to(".gallery a")
        self.browser.follow("Enter")
        self.assertEqual(self.browser.url, f"{self.url}below/?view=gallery")
        self.tab_to(".gallery a")
        self.browser.press("Tab")
        self.browser.follow("Enter")
        self.assertEqual(self.browser.url, f"{self.daemon.url}-/view/{self.name}/below/b.png")

    def test_odd_names(self) -> None:
        """Long names, names from right to left, emoji and invisible characters: no page is wider
        than a phone, no name takes more than two lines, and each is whole in its title.
        """
        for name in ODD_NAMES:
            samples.picture(self.folder / name)
        for layout in ("gallery", "list"):
            for size in (PHONE, (320, 640), (1200, 800)):
                self.open(f"{self.url}?view={layout}", size)
                width = self.browser.evaluate("document.documentElement.scrollWidth")
                self.assertLessEqual(width, size[0], layout)
        self.open(f"{self.url}?view=gallery", PHONE)
        lines = "[...document.querySelectorAll('.gallery bdi')].map(e => e.clientHeight / {})"
        height = "parseFloat(getComputedStyle(e).lineHeight)"
        self.assertLessEqual(max(self.browser.evaluate(lines.format(height))), 2.1)
        titles = self.browser.evaluate(
            "[...document.querySelectorAll('.gallery a')].map(a => a.title)"
        )
        self.assertEqual(sorted(titles), sorted(map(escape_text, ODD_NAMES)))
        self.assertIn("zero\\u200bwidth\\u202egnp.png", titles)

    def test_broken(self) -> None:
        """A picture that is broken shows the icon of its kind, as large as that of a folder, and
        not the browser's sign; a picture that can be seen through hides the icon behind it.
        """
        (self.folder / "a.nii.gz").write_bytes(b"this is no volume")
        (self.folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(self.folder / "c.png")
        samples.picture(self.folder / "d.png")
        self.open(f"{self.url}?view=gallery")
        self.browser.evaluate("Promise.allSettled([...document.images].map(i => i.decode()))")
        heights = "[...document.images].map(image => image.getBoundingClientRect().height > 0)"
        self.assertEqual(self.browser.evaluate(heights), [False, False, True, True])
        boxes = "[...document.querySelectorAll('.picture')].map(e => e.getBoundingClientRect())"
        boxes += ".map(box => [box.left + 5, box.top + 5, box.right - 5, box.bottom - 5])"
        screen = self.see()
        shown = []
        for box in self.browser.evaluate(boxes):
            left, top, right, bottom = map(round, box)
            tile = screen.crop((left, top, right, bottom))
            colours = {colour for _, colour in tile.getcolors(100_000) or ()}
            corner = tile.crop((0, 0, 12, 12)).getcolors() or ()
            shown.append((len(colours) > 1, len(corner) == 1))
        self.assertEqual(shown, [(True, True), (True, True), (False, True), (True, True)])

    def test_dark(self) -> None:
        """The gallery follows the system's choice of light or dark, tiles and all."""
        self.pictures(3)
        (self.folder / "notes.txt").write_text("x")
        brightness = []
        for dark in (False, True):
            self.open(f"{self.url}?view=gallery", PHONE, dark=dark)
            screen = np.asarray(self.see(PHONE, dark=dark).convert("L"))
            box = self.browser.evaluate(
                "(box => [box.top + 8, box.left + 8])"
                "(document.querySelector('.picture.file').getBoundingClientRect())"
            )
            row, column = map(round, box)
            brightness.append((int(screen[2, 2]), int(screen[row, column])))
        self.assertGreater(min(brightness[0]), 200)
        self.assertLess(max(brightness[1]), 60)

    def test_dense_screen(self) -> None:
        """A dense screen gets thumbnails of 512 pixels."""
        self.pictures(2)
        self.browser.open("about:blank")
        self.browser.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": 390, "height": 844, "mobile": True, "deviceScaleFactor": 2},
        )
        self.browser.open(f"{self.url}?view=gallery")
        self.browser.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        chosen = self.browser.evaluate("[...document.images].map(image => image.currentSrc)")
        self.assertEqual(chosen, [f"{self.url}{n}.jpg?thumb=512" for n in range(2)])


class PrivateTests(GalleryPageCase):
    def test_token(self) -> None:
        """Who enters the token sees the gallery, whose thumbnails, folders and viewer are below the
        signed link that the form leads to.
        """
        home = self.folder / "private"
        state = home / "state"
        state.mkdir(0o700, parents=True)
        for path in self.daemon.ca.parent.glob("ca.*"):  # which the browser trusts
            shutil.copy(path, state)
        daemon, browser = Daemon(home, "--private"), self.browser
        self.addCleanup(daemon.stop)
        samples.studies(home / "output")
        browser.open(f"{daemon.url}?view=gallery")
        browser.type_and_enter("input[name=token]", daemon.token)
        self.assertRegex(browser.url, r"/-/s/[^/]+/\?view=gallery$")
        link = browser.url.removesuffix("?view=gallery")
        browser.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        self.assertEqual(browser.evaluate(LOADED), 3)
        self.assertEqual(browser.complaints(), [])
        browser.click(".gallery a[title='patient 1']")
        self.assertEqual(browser.url, f"{link}patient%201/?view=gallery")
        browser.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        self.assertEqual(browser.evaluate(LOADED), 3)
        browser.click(".gallery a[title='CT_small.dcm']")
        self.assertEqual(browser.url, f"{link}-/view/patient%201/CT_small.dcm")

    def test_collection(self) -> None:
        """A collection's gallery has the thumbnails of its files."""
        self.pictures(3)
        directory = {"directory": str(self.folder), "name": self.name}
        curl(
            *("--cacert", str(self.daemon.ca), "-H", "Content-Type: application/json"),
            *("-d", json.dumps(directory), f"{self.daemon.url}load-directory"),
        )
        self.open(f"{self.daemon.url}collections/{self.name}/files/")
        self.browser.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        self.assertEqual(self.browser.evaluate(LOADED), 3)
        self.browser.click(".gallery a")
        viewed = f"{self.daemon.url}-/view/collections/{self.name}/files/0.jpg"
        self.assertEqual(self.browser.url, viewed)
        body = json.dumps({"name": self.name})
        curl(
            *("--cacert", str(self.daemon.ca), "-H", "Content-Type: application/json"),
            *("-d", body, f"{self.daemon.url}unload"),
        )


class AccessibilityTests(GalleryPageCase):
    """axe-core finds nothing to say."""

    def violations(self, browser: Chromium) -> Any:
        browser.evaluate(axe())
        return browser.evaluate(AXE)

    def test_pages(self) -> None:
        """Gallery and list, light on a phone and dark on a screen, with odd names, folders, several
        pages, and a filter that finds nothing.
        """
        for name in ODD_NAMES:
            samples.picture(self.folder / name)
        self.pictures(30)
        (self.folder / "below").mkdir()
        (self.folder / "notes.txt").write_text("x")
        axe()
        for layout in ("gallery", "list"):
            for query in ("", "&limit=25", "&filter=zzz"):
                for size, dark in ((PHONE, False), ((1200, 800), True)):
                    self.open(f"{self.url}?view={layout}{query}", size, dark=dark)
                    self.assertEqual(self.violations(self.browser), [], (layout, query, size))
