"""Headless Chromium, driven over a pipe, without a driver program or a socket.

The DevTools protocol sends JSON messages, each ended by a NUL byte, over the browser's descriptors
3 and 4. The CA is imported into the NSS database of the browser's own home, as a user would do it:
no certificate warning is switched off.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

PATIENCE = 60  # seconds: far more than any page here takes
# Puts the pipes at the descriptors that the browser reads, and becomes the browser. Not a shell:
# dash knows only descriptors of one digit.
_EXEC = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
# The point at which to click the first element of a selector, or the reason why it cannot be.
_CLICK_POINT = """
selector => {
    const element = document.querySelector(selector);
    if (!element) return {why: 'is not there'};
    element.scrollIntoView({block: 'center', behavior: 'instant'});
    const box = element.getClientRects()[0];
    if (!box) return {why: 'cannot be seen'};
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    const top = document.elementFromPoint(x, y);
    return element.contains(top) ? {x, y} : {why: 'is covered by ' + (top && top.outerHTML)};
}
"""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find(*names: str) -> str | None:
    """The path of the first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None)


class Chromium:
    """A browser with one tab, which trusts the certificate authority in ``ca``."""

    def __init__(self, home: Path, ca: Path, *options: str) -> None:
        program, certutil = find(*_NAMES), find("certutil")
        if program is None or certutil is None:
            missing = "Chromium" if program is None else "certutil (libnss3-tools)"
            raise SkipTest(f"there is no {missing} on this machine")
        _trust(certutil, home, ca)
        self._message_count = 0
        self._unread = b""
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        self._tab: str | None = None
        self._start(program, home, options)
        self.open_tab()

    def _start(self, program: str, home: Path, more: tuple[str, ...]) -> None:
        ends = [*os.pipe(), *os.pipe()]
        # Away from 3 and 4, which the browser's ends become.
        reads, self._to, self._from, writes = (
            fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends
        )
        for end in ends:
            os.close(end)
        options = [
            *("--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
            *("--disable-extensions", "--disable-background-networking", "--disable-dev-shm-usage"),
            *("--disable-component-update", "--no-default-browser-check", "--hide-scrollbars"),
            f"--user-data-dir={home / 'profile'}",
            *more,
        ]
        if os.getuid() == 0:
            options.append("--no-sandbox")  # which cannot be had as root
        self._process = subprocess.Popen(
            [sys.executable, "-c", _EXEC, str(reads), str(writes), program, *options],
            env={**os.environ, "HOME": str(home), "LANG": "C.UTF-8"},
            pass_fds=(reads, writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)

    def close(self) -> None:
        try:
            self._session = None
            self.call("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait(PATIENCE)
            os.close(self._to)
            os.close(self._from)

    def open_tab(self) -> None:
        """Open a new tab in place of the one before."""
        self._session, closed = None, self._tab
        self._tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        if closed is not None:
            self.call("Target.closeTarget", targetId=closed)
        attached = self.call("Target.attachToTarget", targetId=self._tab, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Security"):
            self.call(f"{domain}.enable")

    # The protocol

    def call(self, method: str, **parameters: Any) -> Any:
        self._message_count += 1
        number = self._message_count
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._next(lambda m: m.get("id") == number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _next(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that matches; events before it are kept."""
        while True:
            message = self._read()
            if matches(message):
                return message
            self._events.append(message)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._from], [], [], PATIENCE)
            data = os.read(self._from, 1 << 16) if readable else b""
            if not data:
                raise AssertionError("Chromium sends no more messages")
            self._unread += data
        raw, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message

    # What a person does

    def _until_loaded(self) -> None:
        def loaded(message: dict[str, Any]) -> bool:
            return message.get("method") == "Page.loadEventFired"

        for index, event in enumerate(self._events):
            if loaded(event):
                del self._events[: index + 1]
                return
        self._next(loaded)

    def open(self, url: str) -> None:
        """Go to an address; AssertionError if the page cannot be loaded."""
        self._events.clear()
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise AssertionError(f"{url}: {answer['errorText']}")
        self._until_loaded()

    def click(self, selector: str) -> None:
        """Click the middle of an element that leads to another page, and wait for that page.

        AssertionError if the element cannot be seen, or another covers it.
        """
        self._events.clear()
        self._press(selector)
        self._until_loaded()

    def _press(self, selector: str) -> None:
        point = self.evaluate(f"({_CLICK_POINT})({json.dumps(selector)})")
        if "why" in point:
            raise AssertionError(f"{selector} {point['why']}")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", **point, clickCount=1)

    def download(self, selector: str) -> None:
        """Click what leads to a file, and wait until it is saved; AssertionError if it is not."""
        self._events.clear()
        self._press(selector)

        def has_ended(message: dict[str, Any]) -> bool:
            state = message.get("params", {}).get("state")
            return message.get("method") == "Browser.downloadProgress" and state != "inProgress"

        state = self._next(has_ended)["params"]["state"]
        if state != "completed":
            raise AssertionError(f"the download is {state}")

    def type_and_enter(self, selector: str, text: str) -> None:
        """Click into a field, type, press Enter, and wait for the next page."""
        self._events.clear()
        self._press(selector)
        self.call("Input.insertText", text=text)
        self.press("Enter")
        self._until_loaded()

    def follow(self, key: str) -> None:
        """Press a key that leads to another page, and wait for that page."""
        self._events.clear()
        self.press(key)
        self._until_loaded()

    def press(self, key: str) -> None:
        """Press a key: Enter or Tab."""
        number, text = {"Enter": (13, {"text": "\r"}), "Tab": (9, {})}[key]
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                **{"type": kind, "key": key, "code": key, **text},
                windowsVirtualKeyCode=number,
            )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def grant(self, permission: str, origin: str) -> bool:
        """Give pages of an origin this permission alone; False if the browser does not know it."""
        try:
            self._call_browser("Browser.grantPermissions", permissions=[permission], origin=origin)
        except AssertionError:
            return False
        return True

    def reset_permissions(self) -> None:
        self._call_browser("Browser.resetPermissions")

    def _call_browser(self, method: str, **parameters: Any) -> None:
        """Call what belongs to the browser and not to a tab."""
        session, self._session = self._session, None
        try:
            self.call(method, **parameters)
        finally:
            self._session = session

    @property
    def url(self) -> str:
        """The address of the page."""
        return str(self.evaluate("location.href"))

    def texts(self, selector: str) -> list[str]:
        """The visible texts of all elements that fit."""
        code = f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)"
        texts: list[str] = self.evaluate(code)
        return texts

    def complaints(self) -> list[str]:
        """The entries of the browser's log since the last page was asked for."""
        self.evaluate("0")  # every event before its answer has been read now
        entries = [
            e["params"]["entry"] for e in self._events if e.get("method") == "Log.entryAdded"
        ]
        return [f"{entry['level']}: {entry['text']}" for entry in entries]

    def screenshot(
        self, path: Path, width: int = 1200, height: int = 800, *, dark: bool = False
    ) -> None:
        """A picture of the page in a window of this size, as a PNG."""
        screen = {"width": width, "height": height, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, **screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def _trust(certutil: str, home: Path, ca: Path) -> None:
    """Import a CA as a user does: older Chromiums read the first folder, newer ones the second."""
    for folder in (home / ".pki" / "nssdb", home / ".local" / "share" / "pki" / "nssdb"):
        folder.mkdir(parents=True)
        base = [certutil, "-d", f"sql:{folder}"]
        subprocess.run([*base, "-N", "--empty-password"], check=True, timeout=PATIENCE)
        add = ["-A", "-n", "imgd", "-t", "C,,", "-i", str(ca)]
        subprocess.run([*base, *add], check=True, timeout=PATIENCE)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def serve_page(case: SynchronousTestCase, folder: Path) -> str:
    """The URL of an empty page of another origin, served on this machine until the test is over."""
    folder.mkdir()
    (folder / "index.html").write_text("<title>viewer</title>", "utf-8")
    (folder / "favicon.ico").touch()
    handler = partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for step in (server.server_close, thread.join, server.shutdown):  # run in reverse
        case.addCleanup(step)
    return f"http://localhost:{server.server_port}/"
