"""``python -m tools.screenshots DIR`` takes pictures of imgd's pages, over samples that are
computed, in Chromium. docs/pictures/ has those of the README, as WebP.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from tests.chromium import Chromium
from tests.daemons import Daemon, curl_process
from tools import sample_files

USAGE: Final = "Usage: python -m tools.screenshots DIR"
# Waits until every picture in the window has been loaded, or is broken.
_PICTURES: Final = """
Promise.allSettled([...document.images]
    .filter(image => image.getBoundingClientRect().top < innerHeight)
    .map(image => image.decode()))
    .then(() => true)
"""
# Waits until the viewer has drawn what it was asked for.
_VIEWER: Final = """
new Promise(done => {
    const look = () => {
        const panes = [...document.querySelectorAll('.pane:not([hidden])')];
        const isLate = panes.some(pane => pane.matches('.busy, .failed'))
            || document.querySelector('main').innerText.includes('Loading');
        const isDrawn = panes.length && !isLate;
        if (isDrawn) done(true); else setTimeout(look, 50);
    };
    setTimeout(() => done(false), 20000);
    look();
})
"""


class Screenshot(NamedTuple):
    """A page and the window that shows it; ``ready`` is JavaScript that waits for the page."""

    name: str
    path: str
    width: int = 1200
    height: int = 800
    dark: bool = False
    ready: str = _PICTURES


def _in_all_windows(name: str, path: str, ready: str) -> Iterator[Screenshot]:
    yield Screenshot(f"{name}-light", path, ready=ready)
    yield Screenshot(f"{name}-dark", path, dark=True, ready=ready)
    yield Screenshot(f"{name}-phone", path, 390, 844, ready=ready)
    yield Screenshot(f"{name}-phone-dark", path, 390, 844, dark=True, ready=ready)


SCREENSHOTS: Final = (
    *_in_all_windows("gallery", "samples/?view=gallery", _PICTURES),
    *_in_all_windows("list", "samples/?view=list", _PICTURES),
    *_in_all_windows("viewer", "-/view/samples/head_T1w.nii.gz", _VIEWER),
    Screenshot("viewer-photograph", "-/view/samples/evening%201.jpg", ready=_VIEWER),
    Screenshot("viewer-dicom", "-/view/samples/abdomen%20series/IM0010.dcm", ready=_VIEWER),
)


def take(target: Path, work: Path) -> None:
    """Write every screenshot into ``target``; ``work`` is for the daemon and the browser."""
    sample_files.write(work / "output" / "samples")
    daemon = Daemon(work)
    try:
        browser = Chromium(work / "home", daemon.ca)
        try:
            for screenshot in SCREENSHOTS:
                _take_one(target, daemon, browser, screenshot)
        finally:
            browser.close()
    finally:
        daemon.stop()


def _take_one(target: Path, daemon: Daemon, browser: Chromium, screenshot: Screenshot) -> None:
    url = daemon.url + screenshot.path
    if not _is_there(daemon, url):
        sys.stdout.write(f"{screenshot.name}: there is no {screenshot.path} here\n")
        return
    path = target / f"{screenshot.name}.png"
    width, height = screenshot.width, screenshot.height
    browser.open("about:blank")
    # The window has its size before the page is laid out.
    browser.screenshot(path, width, height, dark=screenshot.dark)
    browser.open(url)
    is_ready = browser.evaluate(screenshot.ready)
    browser.screenshot(path, width, height, dark=screenshot.dark)
    Image.open(path).convert("RGB").save(path.with_suffix(".webp"), quality=82, method=6)
    late = "" if is_ready else ", which was not ready after 20 seconds"
    sys.stdout.write(f"{screenshot.name}: {path.stat().st_size:,} bytes{late}\n")


def _is_there(daemon: Daemon, url: str) -> bool:
    command = ("--fail", "--cacert", str(daemon.ca), "--header", "Accept: text/html", url)
    return curl_process(*command).returncode == 0


def main() -> None:
    """Take the screenshots into the folder that is named, which is made if it is missing."""
    if len(sys.argv) != 2:
        raise SystemExit(USAGE)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        take(target, Path(work))


if __name__ == "__main__":
    main()
