"""Headless Chromium, driven over a pipe: no driver program, no socket, no further package.

The DevTools protocol speaks JSON messages, each ended by a NUL byte, on the browser's descriptors
3 and 4. The CA is trusted in a NSS database of the browser's own home, as a user would import it:
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

PATIENCE = 60  # seconds: far beyond what a page here takes
# Becomes the browser, with its ends of the pipes where it looks for them. Not a shell: dash knows
# descriptors of one digit alone.
_ENTER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
# Where to click on the first element of a selector, or why nobody could.
_PLACE_OF = """
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
    """The first of these programs that is there."""
    return next(filter(None, map(shutil.which, names)), None)


class Chromium:
    """A browser with one tab, which trusts the certificate authority in ``ca``."""

    def __init__(self, home: Path, ca: Path) -> None:
        program, certutil = find(*_NAMES), find("certutil")
        if program is None or certutil is None:
            missing = "Chromium" if program is None else "certutil (libnss3-tools)"
            raise SkipTest(f"there is no {missing} on this machine")
        _trust(certutil, home, ca)
        self._count = 0
        self._unread = b""
        self._events: list[dict[str, Any]] = []
        self._start(program, home)
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session: str | None = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Security"):
            self.call(f"{domain}.enable")

    def _start(self, program: str, home: Path) -> None:
        self._session = None
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
        ]
        if os.getuid() == 0:
            options.append("--no-sandbox")  # which cannot be had as root
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ENTER, str(reads), str(writes), program, *options],
            env={**os.environ, "HOME": str(home), "LANG": "C.UTF-8"},
            pass_fds=(reads, writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)

    def close(self) -> None:
        """End the browser."""
        try:
            self._session = None
            self._send("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait(PATIENCE)
            os.close(self._to)
            os.close(self._from)

    # The protocol

    def call(self, method: str, **parameters: Any) -> Any:
        """Ask the tab, and give its answer."""
        return self._send(method, **parameters)

    def _send(self, method: str, **parameters: Any) -> Any:
        self._count += 1
        number = self._count
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._next(lambda m: m.get("id") == number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _next(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that is wanted; events before it are kept."""
        while True:
            message = self._read()
            if wanted(message):
                return message
            self._events.append(message)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._from], [], [], PATIENCE)
            data = os.read(self._from, 1 << 16) if readable else b""
            if not data:
                raise AssertionError("Chromium says nothing more")
            self._unread += data
        raw, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message

    # What a person does

    def _until_loaded(self) -> None:
        def loaded(message: dict[str, Any]) -> bool:
            return message.get("method") == "Page.loadEventFired"

        for place, event in enumerate(self._events):
            if loaded(event):
                del self._events[: place + 1]
                return
        self._next(loaded)

    def open(self, url: str) -> None:
        """Type an address. A page that cannot be had is an AssertionError."""
        self._events.clear()
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise AssertionError(f"{url}: {answer['errorText']}")
        self._until_loaded()

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element that leads to another page, and wait for it.

        An element that cannot be seen, or that another covers, is an AssertionError.
        """
        self._events.clear()
        self._press(selector)
        self._until_loaded()

    def _press(self, selector: str) -> None:
        place = self.evaluate(f"({_PLACE_OF})({json.dumps(selector)})")
        if "why" in place:
            raise AssertionError(f"{selector} {place['why']}")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", **place, clickCount=1)

    def type_and_enter(self, selector: str, text: str) -> None:
        """Click into a field, type, press Enter, and wait for the next page."""
        self._events.clear()
        self._press(selector)
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                **{"type": kind, "key": "Enter", "code": "Enter", "text": "\r"},
                windowsVirtualKeyCode=13,
            )
        self._until_loaded()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    @property
    def url(self) -> str:
        """What stands in the address bar."""
        return str(self.evaluate("location.href"))

    def texts(self, selector: str) -> list[str]:
        """The visible texts of all elements that fit."""
        code = f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)"
        found: list[str] = self.evaluate(code)
        return found

    def complaints(self) -> list[str]:
        """What the browser's console says since the last page was asked for."""
        self.evaluate("0")  # everything said before its answer is here now
        entries = [
            e["params"]["entry"] for e in self._events if e.get("method") == "Log.entryAdded"
        ]
        return [f"{entry['level']}: {entry['text']}" for entry in entries]

    def screenshot(
        self, path: Path, width: int = 1200, height: int = 800, *, dark: bool = False
    ) -> None:
        """A picture of the page in a window of this size, as a PNG."""
        self.call(
            *("Emulation.setDeviceMetricsOverride",),
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def _trust(certutil: str, home: Path, ca: Path) -> None:
    """Import a CA as a user does. Chromium reads the first place, and newer ones the second."""
    for folder in (home / ".pki" / "nssdb", home / ".local" / "share" / "pki" / "nssdb"):
        folder.mkdir(parents=True)
        base = [certutil, "-d", f"sql:{folder}"]
        subprocess.run([*base, "-N", "--empty-password"], check=True, timeout=PATIENCE)
        add = ["-A", "-n", "imgd", "-t", "C,,", "-i", str(ca)]
        subprocess.run([*base, *add], check=True, timeout=PATIENCE)
