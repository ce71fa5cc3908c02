"""The viewer in Chromium, over a real daemon: what it shows is what nibabel reads."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.chromium import Chromium
from tests.daemons import PATIENCE, Daemon, curl_json, shared_daemon

HERE = [n for n in ("numpy", "PIL", "isal", "pydicom", "nibabel") if importlib.util.find_spec(n)]
SHAPE = (24, 30, 20)
# Voxels that are not cubes, of a patient who lies the other way: stored from right to left.
AFFINE = ((-2.0, 0, 0, 30), (0, 2, 0, -25), (0, 0, 3, -12), (0, 0, 0, 1))
# Answers once a condition holds, looked at with every frame of the screen.
_UNTIL = """
new Promise(done => {
    const end = performance.now() + %d;
    const look = () => {
        let value;
        try { value = %s } catch { value = null }
        if (value || performance.now() > end) done(typeof value === 'object' ? !!value : value);
        else requestAnimationFrame(look);
    };
    look();
})
"""
SHOWN = "document.querySelector('[data-ready]')"
# Answers once no request was sent for half a second.
_QUIET = """
new Promise(done => {
    let count = -1;
    const look = () => {
        const now = performance.getEntriesByType('resource').length;
        if (now === count) done(count);
        else { count = now; setTimeout(look, 500); }
    };
    look();
})
"""
# Of a canvas the level of each pixel, row by row.
_LEVELS = """
(canvas => {
    const copy = document.createElement('canvas');
    Object.assign(copy, {width: canvas.width, height: canvas.height});
    const context = copy.getContext('2d');
    context.drawImage(canvas, 0, 0);
    const {data} = context.getImageData(0, 0, copy.width, copy.height);
    const rows = [];
    for (let y = 0; y < copy.height; y++) {
        const row = [];
        for (let x = 0; x < copy.width; x++) row.push(data[4 * (y * copy.width + x)]);
        rows.push(row);
    }
    return rows;
})(document.querySelector('.%s canvas'))
"""
_BOX = """
(canvas => {
    const {x, y, width, height} = canvas.getBoundingClientRect();
    return [x, y, width, height];
})(document.querySelector('.%s canvas'))
"""
_KEYS = {
    **{"PageUp": 33, "PageDown": 34, "End": 35, "Home": 36, "Tab": 9, "Enter": 13, "Escape": 27},
    **{"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40},
}


def volumes(folder: Path) -> None:
    """Write volumes and pictures of known values."""
    import nibabel
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(7)
    x, y, z = np.indices(SHAPE)
    values = (40 * x + 7 * y - 11 * z + random.integers(0, 30, SHAPE)).astype(np.int16)
    affine = np.array(AFFINE)
    nibabel.save(nibabel.Nifti1Image(values, affine), folder / "a.nii.gz")
    series = np.stack([values * np.float32(1 + t / 4) for t in range(4)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(series, affine), folder / "b series.nii")
    colours = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["R"], colours["B"] = 10 * x, 5 * y
    nibabel.save(nibabel.Nifti1Image(colours, affine), folder / "c.nii")
    (folder / "d broken.nii").write_bytes(b"not a volume")
    frames = folder / "frames"
    frames.mkdir()
    for number in (1, 2, 10):
        Image.new("RGB", (40, 30), (20 * number, 0, 0)).save(frames / f"f{number}.png")
    (frames / "notes.txt").write_text("no picture", "ascii")
    (folder / "empty").mkdir()


@cache
def shared_viewer() -> tuple[Daemon, Chromium]:
    """A daemon over such files, and a browser that trusts it: for all tests of this process."""
    if len(HERE) < 5:
        raise SkipTest("no imgd[pictures] and nibabel here")
    daemon = shared_daemon("viewed", "--picture-workers", "2", *niivue_option())
    volumes(daemon.folder / "output")
    browser = Chromium(
        daemon.folder / "home",
        daemon.ca,
        *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
    )
    atexit.register(browser.close)
    return daemon, browser


@cache
def global_modules() -> Path | None:
    """Where ``npm install --global`` puts packages; None if there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    command = [npm, "root", "--global"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    return Path(done.stdout.strip())


def installed(package: str, file: str) -> Path | None:
    """A file of an npm package that is installed for everybody; None if it is not."""
    modules = global_modules()
    path = modules / package / file if modules else None
    return path if path and path.is_file() else None


def niivue_option() -> list[str]:
    bundle = installed("@niivue/niivue", "dist/niivue.umd.js")
    return ["--niivue", str(bundle.parent.parent)] if bundle else []


class ViewerCase(SynchronousTestCase):
    """Each test has a tab of its own, 1200 by 800, over verified HTTPS."""

    def setUp(self) -> None:
        self.daemon, self.browser = shared_viewer()
        self.root = self.daemon.folder / "output"
        self.browser.open_tab()
        self.resize(1200, 800)

    def resize(self, width: int, height: int) -> None:
        screen = {"width": width, "height": height, "mobile": width < 600}
        self.browser.call("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, **screen)

    def view(self, path: str, until: str = SHOWN) -> None:
        """Open the page of a file, and wait until all of it is shown."""
        self.browser.open(f"{self.daemon.url}-/view/{path}")
        self.until(until)

    def until(self, condition: str) -> Any:
        """The value of a JavaScript expression once it is true; an error if it never is."""
        value = self.browser.evaluate(_UNTIL % (PATIENCE * 1000, condition.strip()))
        self.assertTrue(value, f"{condition}: {self.browser.texts('main')}")
        return value

    def until_label(self, *parts: str) -> None:
        """Wait until the labels of the planes that are shown hold these texts."""
        has = "&&".join(f"labels.includes({json.dumps(part)})" for part in parts)
        labels = "[...document.querySelectorAll('.label')].map(e => e.innerText).join()"
        self.until(f"{SHOWN} && (labels => {has})({labels})")

    def until_readout(self, text: str) -> None:
        found = f"document.querySelector('.readout').innerText.includes({json.dumps(text)})"
        self.until(f"{SHOWN} && {found}")

    def press(self, key: str) -> None:
        """Press a key, on what has the focus."""
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        code = _KEYS.get(key) or ord(key.upper())
        for kind, more in (("keyDown", text), ("keyUp", {})):
            parameters = {"type": kind, "key": key, "windowsVirtualKeyCode": code, **more}
            self.browser.call("Input.dispatchKeyEvent", **parameters)

    def box(self, plane: str) -> tuple[float, float, float, float]:
        left, top, width, height = self.browser.evaluate(_BOX % plane)
        return left, top, width, height

    def mouse(self, kind: str, x: float, y: float, button: str = "left", **more: Any) -> None:
        buttons = {"left": 1, "right": 2, "none": 0}[button]
        parameters = {"type": kind, "x": x, "y": y, "button": button, "buttons": buttons}
        self.browser.call("Input.dispatchMouseEvent", **parameters, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float], button: str) -> None:
        self.mouse("mousePressed", *start, button, clickCount=1)
        self.mouse("mouseMoved", *end, button)
        self.mouse("mouseReleased", *end, button, clickCount=1)

    def requests(self) -> int:
        """How many requests the page has sent."""
        count: int = self.browser.evaluate("performance.getEntriesByType('resource').length")
        return count

    def volume(self, name: str) -> Any:
        """A volume as nibabel reads it, in the nearest RAS."""
        import nibabel

        return nibabel.as_closest_canonical(nibabel.load(self.root / name))

    def plain(self) -> None:
        """Show each voxel as a pixel, without the crosshair."""
        for key in "xm1":
            self.press(key)
        self.until("new Promise(requestAnimationFrame) && true")
        self.browser.evaluate(
            "new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))"
        )


class VolumeTests(ViewerCase):
    def test_planes(self) -> None:
        """Three planes are shown as nibabel has their voxels, radiologically, through the window
        that the URL names; a voxel that is not a square is shown in its proportions.
        """
        import numpy as np

        self.view("a.nii.gz#at=10,12,7&window=300,900")
        self.plain()
        values = np.asarray(self.volume("a.nii.gz").dataobj).astype(float)
        for plane, cut in (
            ("axial", values[:, :, 7]),
            ("coronal", values[:, 12, :]),
            ("sagittal", values[10, :, :]),
        ):
            expected = np.clip(np.rint((cut.T[::-1, ::-1] + 150) * 255 / 900), 0, 255)
            height = 1 if plane == "axial" else 1.5  # pixels a voxel
            shown = np.array(self.browser.evaluate(_LEVELS % plane))
            self.assertLessEqual(self.difference(shown, expected, height), 1, plane)
        self.assertEqual(self.browser.complaints(), [])

    def difference(self, shown: Any, expected: Any, height: float) -> float:
        """The largest difference of levels, in the middle of each voxel, to a picture in the middle
        of a canvas, to a pixel.
        """
        import numpy as np

        rows, columns = expected.shape
        down = ((np.arange(rows) + 0.5) * height).astype(int)
        top, left = (shown.shape[0] - int(rows * height)) // 2, (shown.shape[1] - columns) // 2
        return min(
            float(np.abs(shown[top + y + down, left + x : left + x + columns] - expected).max())
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
        )

    def test_letters(self) -> None:
        """The patient's right is at the left of axial and coronal planes, the front at that of the
        sagittal one.
        """
        self.view("a.nii.gz")
        sides = [("A", "L", "P", "R"), ("S", "L", "I", "R"), ("S", "P", "I", "A")]
        self.assertEqual(self.browser.texts(".letter"), [side for pane in sides for side in pane])

    def test_crosshair(self) -> None:
        """A click in one plane moves the others, and the value and place there are nibabel's."""
        volume = self.volume("a.nii.gz")
        self.view("a.nii.gz")
        left, top, width, height = self.box("axial")
        at = (left + width * 0.4, top + height * 0.45)
        self.drag(at, at, "left")
        self.until("document.querySelector('.readout').innerText.includes('value')")
        text = self.until(f"{SHOWN} && document.querySelector('.readout').innerText")
        x, y, z = map(int, re.findall(r"voxel (\d+), (\d+), (\d+)", text)[0])
        self.assertNotEqual((x, y), (12, 15))
        self.until_label(f"Coronal {y + 1} of 30", f"Sagittal {x + 1} of 24", "Axial 11 of 20")
        self.assertIn(f"value {volume.dataobj[x, y, z]}", text)
        for sides, length in zip(
            ("LR", "PA", "IS"), (volume.affine @ (x, y, z, 1))[:3], strict=True
        ):
            self.assertIn(f"{sides[int(length >= 0)]} {abs(length):.1f}", text)

    def test_under_the_pointer(self) -> None:
        """The value under the pointer is nibabel's, of floats too."""
        volume = self.volume("b series.nii")
        self.view("b%20series.nii#t=2")
        left, top, width, height = self.box("coronal")
        for part in (0.45, 0.55):
            self.mouse("mouseMoved", left + width * part, top + height * part, "none")
            text = self.until(
                "(document.querySelector('.readout').innerText.match(/.*value.*/) || [])[0]"
            )
            x, y, z = map(int, re.findall(r"voxel (\d+), (\d+), (\d+)", text)[0])
            value = float(re.findall(r"value (-?[0-9.]+)", text)[0])
            self.assertApproximates(value, float(volume.dataobj[x, y, z, 2]), 0.05)
            self.assertIn("volume 3 of 4", text)

    def test_wheel(self) -> None:
        """The wheel leafs through the plane under the pointer."""
        self.view("a.nii.gz")
        left, top, width, height = self.box("coronal")
        for turn, expected in ((120, 17), (120, 18), (-120, 17)):
            middle = (left + width / 2, top + height / 2)
            self.mouse("mouseWheel", *middle, "none", deltaX=0, deltaY=turn)
            self.until_label(f"Coronal {expected} of 30", "Axial 11 of 20", "Sagittal 13 of 24")

    def test_keys(self) -> None:
        """Keys do what the mouse does, on the plane that has the focus."""
        self.view("a.nii.gz")
        for key, expected in (
            *(("ArrowUp", "Axial 12 of 20"), ("ArrowDown", "Axial 11 of 20")),
            *(("PageUp", "Axial 20 of 20"), ("PageDown", "Axial 10 of 20")),
            *(("Home", "Axial 1 of 20"), ("End", "Axial 20 of 20"), ("r", "Axial 11 of 20")),
            *(("a", "Sagittal 14 of 24"), ("d", "Sagittal 13 of 24")),
            *(("w", "Coronal 17 of 30"), ("s", "Coronal 16 of 30")),
        ):
            self.press(key)
            self.until_label(expected)
        self.browser.evaluate("document.querySelector('.coronal canvas').focus()")
        self.press("ArrowUp")
        self.until_label("Coronal 17 of 30", "Axial 11 of 20")
        self.press("v")
        self.until(
            "document.querySelector('.coronal').hidden && !document.querySelector('.axial').hidden"
        )
        self.press("?")
        self.until("document.querySelector('dialog[open]').innerText.includes('Page up')")

    def test_keyboard_alone(self) -> None:
        """Tab reaches every control, each with a name and a focus that can be seen."""
        self.view("a.nii.gz")
        reached = set()
        for _ in range(60):
            self.press("Tab")
            reached.add(
                self.browser.evaluate(
                    "(e => e.getAttribute('aria-label') || e.innerText)(document.activeElement)"
                )
            )
        for name in ("All", "Coronal", "Crosshair", "Fit", "Larger", "Copy link", "Info", "Keys"):
            self.assertIn(name, reached)
        for start in ("Axial, slice 11", "Coronal, slice 16", "Level", "Width", "Window presets"):
            self.assertTrue(any(name.startswith(start) for name in reached), (start, reached))
        unnamed = self.browser.evaluate(
            "[...document.querySelectorAll('button, input, select, a, canvas')]"
            ".filter(e => !(e.ariaLabel || e.innerText.trim())).map(e => e.outerHTML)"
        )
        self.assertEqual(unnamed, [])

    def test_window(self) -> None:
        """Dragging with the right button changes the window without a request."""
        self.view("a.nii.gz#window=300,900")
        self.browser.evaluate(_QUIET)
        before, levels = self.requests(), self.browser.evaluate(_LEVELS % "axial")
        left, top, _, _ = self.box("axial")
        self.drag((left + 60, top + 90), (left + 20, top + 60), "right")
        self.until("location.hash.includes('window=') && !location.hash.includes('window=300,900')")
        self.assertNotEqual(self.browser.evaluate(_LEVELS % "axial"), levels)
        self.assertEqual(self.requests(), before)

    def test_time(self) -> None:
        """The slider and the arrows lead through the volumes of a series."""
        volume = self.volume("b series.nii")
        self.view("b%20series.nii")
        for t in (1, 2):
            self.press("ArrowRight")
            self.until_readout(f"volume {t + 1} of 4")
            text = self.browser.texts(".readout")[0]
            value = float(re.findall(r"value (-?[0-9.]+)", text)[0])
            self.assertApproximates(value, float(volume.dataobj[12, 15, 10, t]), 0.05)
        self.browser.evaluate(
            "(e => { e.value = 3; e.dispatchEvent(new Event('input')) })"
            "(document.querySelector('.time input'))"
        )
        self.until_readout("volume 4 of 4")

    def test_colours(self) -> None:
        """A volume in colours is shown in them, without a window."""
        self.view("c.nii#at=20,10,5")
        self.assertEqual(self.browser.texts(".number"), [])
        self.plain()
        reddest = max(map(max, self.browser.evaluate(_LEVELS % "axial")))
        self.assertEqual(reddest, 230)

    def test_copied_link(self) -> None:
        """The link that is copied opens the same view; the URL of the picture is its slice."""
        browser, origin = self.browser, self.daemon.url.rstrip("/")
        granted = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
        browser._call_browser("Browser.grantPermissions", origin=origin, **granted)
        self.addCleanup(browser.reset_permissions)
        self.view("a.nii.gz#at=3,4,5&window=100,50&plane=coronal")
        self.press("PageUp")
        self.until_label("Coronal 15 of 30")
        self.press("c")
        self.until_readout("is copied")
        link = browser.evaluate("navigator.clipboard.readText()")
        self.press("u")
        self.until("navigator.clipboard.readText().then(text => text.includes('slice='))")
        picture = browser.evaluate("navigator.clipboard.readText()")
        self.assertEqual(picture, f"{origin}/a.nii.gz?slice=coronal:14&window=100,50")
        size = "fetch(%s).then(r => r.blob()).then(createImageBitmap).then(b => b.width)"
        self.assertGreaterEqual(browser.evaluate(size % json.dumps(picture)), 24)
        levels = browser.evaluate(_LEVELS % "coronal")
        browser.open_tab()
        self.resize(1200, 800)
        browser.open(link)
        self.until_label("Coronal 15 of 30")
        self.assertEqual(browser.evaluate(_LEVELS % "coronal"), levels)
        hidden = browser.evaluate("document.querySelector('.axial').hidden")
        self.assertTrue(hidden)

    def test_neighbours(self) -> None:
        """The files before and after are a click away, in the order of the listing."""
        self.view("c.nii")
        names = "[...document.querySelectorAll('a[rel]')].map(e => e.rel + ' ' + e.title).join()"
        self.until(f"{names} === 'prev b series.nii,next d broken.nii'")
        self.browser.click("a[rel=prev]")
        self.until(SHOWN)
        self.assertTrue(self.browser.url.startswith(f"{self.daemon.url}-/view/b%20series.nii"))

    def test_touch(self) -> None:
        """One finger moves the crosshair, two enlarge."""
        self.resize(390, 780)
        self.browser.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        self.addCleanup(self.browser.call, "Emulation.setTouchEmulationEnabled", enabled=False)
        self.view("a.nii.gz")
        left, top, width, height = self.box("axial")
        points = [(left + width * part, top + height * part) for part in (0.5, 0.4)]
        for kind, point in (("touchStart", points[0]), ("touchMove", points[1])):
            self.touch(kind, point)
        self.touch("touchEnd")
        self.until("location.hash.includes('at=') && !location.hash.includes('at=12,15')")
        before = self.browser.evaluate(_LEVELS % "axial")
        middle = (left + width / 2, top + height / 2)
        for kind, apart in (("touchStart", 20), ("touchMove", 30), ("touchMove", 60)):
            self.touch(kind, (middle[0] - apart, middle[1]), (middle[0] + apart, middle[1]))
        self.touch("touchEnd")
        self.browser.evaluate(
            "new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))"
        )
        self.assertGreater(self.lit(self.browser.evaluate(_LEVELS % "axial")), self.lit(before))
        overflow = "document.documentElement.scrollWidth - innerWidth"
        self.assertLessEqual(self.browser.evaluate(overflow), 0)

    def lit(self, rows: list[list[int]]) -> int:
        """How many pixels are not black."""
        return sum(level > 0 for row in rows for level in row)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=touches)


class OtherTests(ViewerCase):
    def test_picture(self) -> None:
        """A picture is shown as it is; the keys zoom."""
        self.view("frames/f10.png")
        self.plain()
        levels = self.browser.evaluate(_LEVELS % "axial")
        self.assertLessEqual(abs(max(map(max, levels)) - 200), 3)
        self.assertEqual(sum(level > 100 for row in levels for level in row), 1200)
        self.assertEqual(self.browser.complaints(), [])

    def test_to_the_stack(self) -> None:
        """From one picture a click leads to the stack of its folder, at this picture."""
        self.view("frames/f2.png")
        self.until("document.querySelector('header nav a[href*=file]')")
        self.browser.click("header nav a[href*=file]")
        self.until_label("Stack 2 of 3", "f2.png")

    def test_stack(self) -> None:
        """A folder's pictures are a stack, in natural order, without what is none."""
        self.view("frames/")
        for key, name in (("ArrowUp", "f2.png"), ("ArrowUp", "f10.png"), ("Home", "f1.png")):
            self.press(key)
            self.until_label(name)
        self.until("location.hash.includes('file=f1.png')")
        self.browser.open_tab()
        self.view("frames/#file=f10.png")
        self.until_label("Stack 3 of 3", "f10.png")

    def test_folders_without_frames(self) -> None:
        """A folder of volumes leads to each; an empty one says that nothing can be shown."""
        self.view("", "document.querySelector('.problem-box')")
        self.assertIn("a.nii.gz", self.browser.texts(".problem-box a"))
        self.view("empty/", "document.querySelector('.problem-box')")
        self.assertIn("no picture", self.browser.texts(".problem-box")[0])

    def test_hostile_name(self) -> None:
        """A name with markup is text, and a character that turns the direction of text is seen."""
        folder = self.root / "hostile"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        for name in ("<b onload=x>.png", "\u202egnp.exe.png"):
            shutil.copy(self.root / "frames" / "f1.png", folder / name)
        self.view("hostile/")
        self.until_label("<b onload=x>.png")
        self.press("End")
        self.until_label("\\u{202e}gnp.exe.png")
        self.assertEqual(self.browser.complaints(), [])

    def test_signed(self) -> None:
        """A link to the page of one file shows it, and asks for nothing that the link does not
        cover.
        """
        link = curl_json(
            *("-H", f"Authorization: Bearer {self.daemon.token}", "--cacert", str(self.daemon.ca)),
            *("-H", "Content-Type: application/json", "-d", '{"path": "/-/view/a.nii.gz"}'),
            f"{self.daemon.url}links",
        )["url"]
        self.assertRegex(link, r"/-/s/[^/]+/-/view/a\.nii\.gz$")
        self.browser.open(link)
        self.until(SHOWN)
        self.browser.evaluate(_QUIET)
        prefix = link.removesuffix("/-/view/a.nii.gz")
        urls = "performance.getEntriesByType('resource').map(e => e.name)"
        names = self.browser.evaluate(urls)
        self.assertEqual([name for name in names if not name.startswith(f"{prefix}/")], [])
        self.assertEqual(self.browser.complaints(), [])

    def test_errors(self) -> None:
        """What cannot be shown is said in the server's own sentence, with a way to the file."""
        problem = "document.querySelector('.problem-box')"
        for path, said in (
            ("d%20broken.nii", "Not a picture that can be shown"),
            ("frames/notes.txt", "Not a picture that can be shown"),
        ):
            self.view(path, problem)
            (text,) = self.browser.texts(".problem-box")
            self.assertIn(said, text)
            link = self.browser.evaluate("document.querySelector('.problem-box a').href")
            self.assertEqual(link, self.daemon.url + path)

    def test_gone(self) -> None:
        """A server that is gone, or a file, is said in the plane; it is asked again later."""
        path = self.root / "moved.nii.gz"
        shutil.copy(self.root / "a.nii.gz", path)
        self.addCleanup(path.unlink, missing_ok=True)
        self.view("moved.nii.gz")
        path.unlink()
        self.press("Home")
        self.until("document.querySelector('.axial.failed .message').innerText === 'Not found'")
        self.browser.evaluate(_QUIET)  # what the browser says of it is said now

    def test_policy(self) -> None:
        """Neither markup of strings nor code of strings is possible on the page."""
        self.view("a.nii.gz")
        for code in (
            "document.body.innerHTML = '<b>x</b>'",
            "document.createElement('script').src = 'x'",
        ):
            outcome = self.browser.evaluate(
                f"(() => {{ try {{ {code}; return '' }} catch (e) {{ return e.name }} }})()"
            )
            self.assertIn(outcome, ("TypeError", "EvalError"), code)

    def test_accessible(self) -> None:
        """axe-core finds nothing, light and dark, on a phone and on a desk."""
        axe = installed("axe-core", "axe.min.js")
        if axe is None:
            raise SkipTest("no axe-core here")
        for width, path in ((1200, "a.nii.gz"), (390, "b%20series.nii"), (1200, "d%20broken.nii")):
            for scheme in ("light", "dark"):
                feature = {"name": "prefers-color-scheme", "value": scheme}
                self.browser.call("Emulation.setEmulatedMedia", features=[feature])
                self.resize(width, 800)
                shown = "document.querySelector('.problem-box')" if "broken" in path else SHOWN
                self.view(path, shown)
                self.browser.evaluate(axe.read_text("utf-8") + "; 0")
                found = self.browser.evaluate(
                    "axe.run().then(r => r.violations.map(v => v.id + ' ' + v.nodes[0].html))"
                )
                self.assertEqual(found, [], (path, scheme))


class NiiVueTests(ViewerCase):
    def test_3d(self) -> None:
        """NiiVue opens the volume under the page's policy, with nothing of another origin."""
        if not niivue_option():
            raise SkipTest("no @niivue/niivue here")
        from PIL import Image

        self.view("a.nii.gz")
        self.browser.click(".tools a[href='?3d']")
        state = self.until("document.getElementById('main').dataset.state")
        self.assertEqual(state, "ready", self.browser.texts("main"))
        picture = Path(self.mktemp())
        self.browser.screenshot(picture, 1200, 800)
        left, top, width, height = self.box("viewer")
        canvas = Image.open(picture).convert("L").crop((left, top, left + width, top + height))
        self.assertGreater(sum(canvas.histogram()[40:]), 10_000)
        refused = [line for line in self.browser.complaints() if "Content Security" in line]
        self.assertEqual(refused, [])

    def test_too_large(self) -> None:
        """A file of over 1 GB is not read into the browser: the page says so."""
        if not niivue_option():
            raise SkipTest("no @niivue/niivue here")
        import nibabel

        header = nibabel.Nifti1Header()
        header.set_data_dtype("int16")
        header.set_data_shape((1100, 1000, 500))
        header["vox_offset"], header["magic"] = 352, b"n+1"
        path = self.root / "large.nii"
        path.write_bytes(header.binaryblock + bytes(4))
        self.addCleanup(path.unlink)
        os.truncate(path, 352 + 2 * 1100 * 1000 * 500)
        self.view("large.nii?3d", "document.getElementById('main').dataset.state === 'failed'")
        (message,) = self.browser.texts(".message")
        self.assertIn("The file has 1.1 GB", message)
