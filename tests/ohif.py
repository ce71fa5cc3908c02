"""OHIF out of its npm package, served on this machine, and driven in Chromium."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.chromium import PATIENCE, Chromium
from tests.recipes import block, document, replaced
from tests.test_viewer import installed

# What OHIF's WebGL needs without a graphics card.
SOFTWARE_WEBGL = (
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
    *("--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=127.0.0.1;localhost"),
)
# Answers with the value of an expression once it is true, or with null after some seconds.
_UNTIL = """
new Promise(done => {
    const end = performance.now() + %d;
    const look = () => {
        let value = null;
        try { value = %s } catch { }
        if (value || performance.now() > end) done(value || null);
        else setTimeout(look, 100);
    };
    look();
})
"""
# The picture of each viewport as a text that differs if the pictures do; null for an empty one.
PICTURES = """
[...document.querySelectorAll('.cornerstone-canvas')].map(canvas => {
    if (!canvas.width || !canvas.height) return null;
    const context = canvas.getContext('2d');
    const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
    let hash = 0, lit = 0;
    for (let i = 0; i < data.length; i += 4) {
        hash = (hash * 31 + data[i]) | 0;
        lit += data[i] > 60;
    }
    return lit > 500 ? `${lit} ${hash}` : null;
})
"""


def config(dicomweb: str) -> str:
    """The app-config.js of docs/dicom.md for this base URL of a DICOMweb service."""
    documented = "https://localhost:8888/collections/export/dicomweb"
    return replaced(block(document("dicom.md"), "ohif"), (documented, dicomweb))


class OhifSite:
    """OHIF at ``url`` until the test is over; ``dicomweb`` is its DICOMweb service from the next
    page on.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        page = installed("@ohif/app", "dist/index.html")
        if page is None:
            raise SkipTest("no @ohif/app here")
        self.dicomweb = ""
        handler = partial(_Handler, site=self, directory=str(page.parent))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for step in (server.server_close, thread.join, server.shutdown):  # run in reverse
            case.addCleanup(step)


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder, and its page for every other path."""

    def __init__(self, *arguments: Any, site: OhifSite, **more: Any) -> None:
        self._site = site
        super().__init__(*arguments, **more)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/app-config.js":
            self._send_script(config(self._site.dicomweb))
            return
        if not Path(self.translate_path(path)).is_file():
            self.path = "/index.html"
        super().do_GET()

    def _send_script(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode("ascii"))

    def end_headers(self) -> None:
        # With which a page gets SharedArrayBuffer, and may embed only what allows it.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class OhifBrowser(Chromium):
    """Chromium as a user of OHIF has it."""

    def until(self, expression: str, seconds: float = PATIENCE / 2) -> Any:
        """The value of an expression in the page once it is true; None if that never comes."""
        return self.evaluate(_UNTIL % (seconds * 1000, expression))

    def picture(self) -> str | None:
        """What the first viewport shows, to compare; None if it shows next to nothing."""
        shown: str | None = self.evaluate(f"{PICTURES}[0] ?? null")
        return shown

    def until_shown(self) -> None:
        """Wait for a picture in the first viewport; AssertionError if none comes."""
        if not self.until(f"{PICTURES}[0]"):
            raise AssertionError(f"no picture: {self.errors()[:5]}\n{self.texts('body')}")

    def leaf(self, known: Collection[str | None]) -> str:
        """Turn the wheel over the first viewport until it shows a picture that is none of these;
        returns that. AssertionError if it stays.
        """
        box = "document.querySelector('.cornerstone-canvas').getBoundingClientRect()"
        x, y = self.evaluate(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        other = f"(p => {json.dumps([*known])}.includes(p) ? null : p)({PICTURES}[0])"
        for _ in range(20):  # OHIF drops turns while a slice is being drawn
            self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=100)
            if shown := self.until(other, PATIENCE / 20):
                return str(shown)
        raise AssertionError(f"no other picture: {self.errors()[:5]}\n{self.texts('body')}")

    def errors(self) -> list[str]:
        """What the page's console has of errors since it was opened, and exceptions."""
        self.evaluate("0")  # every event before its answer has been read now
        return [text for event in self._events if (text := _error(event))]


def _error(event: dict[str, Any]) -> str:
    method, parameters = event.get("method"), event.get("params", {})
    if method == "Runtime.exceptionThrown":
        details = parameters["exceptionDetails"]
        return str(details.get("exception", {}).get("description") or details["text"])
    if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
        return " ".join(str(a.get("value", a.get("description", ""))) for a in parameters["args"])
    if method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
        return f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}"
    return ""
