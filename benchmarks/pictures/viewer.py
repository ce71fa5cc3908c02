"""The viewer in Chromium: from the navigation to three painted planes, and to the next slice."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from benchmarks.pictures.inputs import Inputs
from benchmarks.pictures.report import IMGD, Floor, Row
from benchmarks.pictures.rows import Measurement
from benchmarks.pictures.servers import imgd
from tests.chromium import Chromium

SLICES = 10  # key presses of which each counts
LOOK = 2.0  # seconds that a person looks before the first of them
PLANES = 3
# Notes when each canvas of the page was painted with the picture that it shall show.
NOTE = """
window.painted = new Map();
const draw = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    draw.apply(this, args);
    const isShown = this.canvas.isConnected && !this.canvas.closest('.busy');
    if (isShown) window.painted.set(this.canvas, performance.now());
};
"""
# Milliseconds from the start of navigation, or from a key press, to so many painted canvases.
PAINTED = """
new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("nothing is painted within 60 s")), 60000);
    const begun = KEY ? performance.now() : 0;
    if (KEY) {
        window.painted.clear();
        document.body.dispatchEvent(new KeyboardEvent("keydown", {key: KEY, bubbles: true}));
    }
    const look = () => {
        const times = [...window.painted.values()];
        times.length < COUNT ? setTimeout(look, 1) : resolve(Math.max(...times) - begun);
    };
    look();
})
"""


class Viewer(Measurement):
    """A new daemon, a new browser, and a volume that was never asked for."""

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        x, y, z = inputs.sizes.volume
        name = f"viewer: three planes of a {x}x{y}x{z} .nii.gz, cold"
        self.first = Row(name, "ms", (Floor(plus=1500),))
        self.next = Row("viewer: the next slice, warm", "ms", (Floor(plus=100),))
        self.rows = (self.first, self.next)

    def measure(self) -> None:
        """Nothing is measured if there is no Chromium."""
        self.inputs.renewed("ct.nii.gz")
        with (
            tempfile.TemporaryDirectory(prefix="chromium-", dir=self.work) as home,
            imgd(self.work, self.inputs.root, is_pinned=False) as server,
        ):
            try:
                browser = Chromium(Path(home), Path(server.notes["state"]) / "ca.pem")
            except SkipTest as reason:
                print(f"The viewer is not measured: {reason}.")
                return
            try:
                browser.call("Page.addScriptToEvaluateOnNewDocument", source=NOTE)
                browser.open(server.https.replace("127.0.0.1", "localhost") + "-/view/ct.nii.gz")
                self.first.add(IMGD, browser.evaluate(painted(PLANES)))
                time.sleep(LOOK)
                times = [browser.evaluate(painted(1, "ArrowUp")) for _ in range(SLICES)]
                self.next.add(IMGD, statistics.median(times))
            finally:
                browser.close()


def painted(count: int, key: str = "") -> str:
    """The script that waits for so many canvases."""
    return PAINTED.replace("KEY", json.dumps(key)).replace("COUNT", str(count))
