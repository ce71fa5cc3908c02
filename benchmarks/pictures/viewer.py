"""The viewer in Chromium: from the navigation to three painted planes, and to the next slice."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import SkipTest

from benchmarks.pictures.inputs import Inputs
from benchmarks.pictures.report import IMGD, Floor, Row
from benchmarks.pictures.rows import Measurement
from benchmarks.pictures.servers import imgd
from tests.chromium import Chromium

# The viewer marks these moments by performance.mark.
PLANES, SLICE = "imgd:planes", "imgd:slice"
SLICES = 10  # key presses of which each counts
# Milliseconds from the start of navigation to a mark, which may have been set already.
MARK = """
new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("no mark NAME within 60 s")), 60000);
    const look = () => {
        const [mark] = performance.getEntriesByName("NAME");
        mark ? resolve(mark.startTime) : setTimeout(look, 5);
    };
    look();
})
"""
# Milliseconds from a key press to the next mark of a slice.
NEXT = """
new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("no slice within 60 s")), 60000);
    performance.clearMarks("NAME");
    const begun = performance.now();
    const target = document.activeElement || document.body;
    target.dispatchEvent(new KeyboardEvent("keydown", {key: "KEY", bubbles: true}));
    const look = () => {
        const [mark] = performance.getEntriesByName("NAME");
        mark ? resolve(mark.startTime - begun) : setTimeout(look, 1);
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
                url = server.https.replace("127.0.0.1", "localhost")
                browser.open(f"{url}-/view/ct.nii.gz")
                self.first.add(IMGD, browser.evaluate(MARK.replace("NAME", PLANES)))
                press = NEXT.replace("NAME", SLICE).replace("KEY", "ArrowUp")
                times = [browser.evaluate(press) for _ in range(SLICES)]
                self.next.add(IMGD, sorted(times)[len(times) // 2])
            finally:
                browser.close()
