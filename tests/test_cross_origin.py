"""Pages of other origins in Chromium, and what they may ask of a daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import samples
from tests.chromium import Chromium, serve_page
from tests.daemons import Daemon

SIMPLEST = {"Accept": "*/*"}
# What OHIF sends for an image. The quotes make a browser ask by a preflight first.
OHIF = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
EVERY_HEADER = {
    **OHIF,
    "Accept-Language": 'en"',
    "Content-Language": 'en"',
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "X-Requested-With": "XMLHttpRequest",
    "If-Match": "*",
    "If-Unmodified-Since": "Fri, 31 Dec 2100 00:00:00 GMT",
}
# The status, whether the answer is readable with its length; or what the browser says.
_FETCH = """
(url, headers) => fetch(url, {headers}).then(
    async r => [r.status, (await r.arrayBuffer()).byteLength], e => `${e}`)
"""
# Whether the browser tells how long the server took, which it hides from other origins.
_TIMING = """
url => fetch(url).then(r => r.arrayBuffer()).then(
    () => performance.getEntriesByName(url)[0].requestStart > 0)
"""
# How many bytes came over the wire for each of two reads of a file.
_TWICE = """
async url => {
    for (let i = 0; i < 2; i++) await (await fetch(url)).arrayBuffer();
    return performance.getEntriesByName(url).map(entry => entry.transferSize);
}
"""
BLOCKED = "TypeError: Failed to fetch"


class CrossOriginCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.viewer = serve_page(self, self.folder / "viewer")

    def open(self, *options: str, browser: tuple[str, ...] = ()) -> tuple[Daemon, Chromium]:
        """A daemon with a picture, and a browser on the page of another origin."""
        daemon = Daemon(self.folder / "daemon", *options)
        self.addCleanup(daemon.stop)
        self.size = samples.picture(self.folder / "daemon" / "output" / "a.png").stat().st_size
        chromium = Chromium(self.folder / "home", daemon.ca, *browser)
        self.addCleanup(chromium.close)
        chromium.open(self.viewer)
        return daemon, chromium

    def call(self, browser: Chromium, function: str, *arguments: object) -> Any:
        return browser.evaluate(f"({function})({', '.join(map(json.dumps, arguments))})")


class PreflightTests(CrossOriginCase):
    def test_headers(self) -> None:
        """A page may send the headers that viewers send, and read how long a file took."""
        daemon, browser = self.open()
        url = f"{daemon.url}a.png"
        for headers in (SIMPLEST, OHIF, EVERY_HEADER):
            self.assertEqual(self.call(browser, _FETCH, url, headers), [200, self.size])
        for header in ("Authorization", "X-Other"):
            self.assertEqual(self.call(browser, _FETCH, url, {header: "x"}), BLOCKED)
        self.assertTrue(self.call(browser, _TIMING, url))

    def test_private(self) -> None:
        """A page of a listed origin sends the token to a private daemon, and reads every answer;
        a page of another origin can do neither.
        """
        daemon, browser = self.open("--private", "--cors-origin", self.viewer.rstrip("/"))
        bearer = {"Authorization": f"Bearer {daemon.token}"}
        url = f"{daemon.url}a.png"
        self.assertEqual(self.call(browser, _FETCH, url, bearer), [200, self.size])
        self.assertEqual(self.call(browser, _FETCH, f"{url}x", bearer)[0], 404)
        self.assertEqual(self.call(browser, _FETCH, f"{daemon.url}?format=json", bearer)[0], 200)
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            self.assertEqual(self.call(browser, _FETCH, url, headers)[0], 401)
        control = (
            "url => fetch(url, {method: 'POST', headers: %s}).then(r => r.status, e => `${e}`)"
        )
        order = control % json.dumps(bearer)
        self.assertEqual(self.call(browser, order, f"{daemon.url}timeout/77"), BLOCKED)
        self.assertFalse([line for line in daemon.lines if "Traceback" in line])
        browser.open(serve_page(self, self.folder / "other"))
        for headers in ({}, bearer):
            self.assertEqual(self.call(browser, _FETCH, url, headers), BLOCKED)


class CacheTests(CrossOriginCase):
    def test_max_age(self) -> None:
        """A browser reads a file again from its cache, and without ``--max-age`` asks first."""
        for number, (options, asks) in enumerate((((), True), (("--max-age", "600"), False))):
            daemon = Daemon(self.folder / f"{number}", *options)
            self.addCleanup(daemon.stop)
            samples.picture(daemon.folder / "output" / "a.png")
            browser = Chromium(daemon.folder / "home", daemon.ca)
            self.addCleanup(browser.close)
            browser.open(self.viewer)
            first, second = self.call(browser, _TWICE, f"{daemon.url}a.png")
            self.assertGreater(first, 0)
            self.assertEqual(second > 0, asks, (first, second))


class LocalNetworkTests(CrossOriginCase):
    def test_permission(self) -> None:
        """A page of the internet needs the user's permission before it reaches this machine. A
        refusal reads as a CORS error; with the permission, the page reads files.
        """
        address = self.viewer.removeprefix("http://").rstrip("/").replace("localhost", "127.0.0.1")
        from_internet = f"--ip-address-space-overrides={address}=public"
        daemon, browser = self.open(browser=(from_internet,))
        url = f"{daemon.url}a.png"
        if not browser.grant("loopbackNetwork", self.viewer.rstrip("/")):
            raise SkipTest("this Chromium has no Local Network Access")
        self.assertEqual(self.call(browser, _FETCH, url, OHIF), [200, self.size])
        browser.reset_permissions()
        self.assertEqual(self.call(browser, _FETCH, f"{url}?again", OHIF), BLOCKED)
        self.assertIn(
            "blocked by CORS policy: Permission was denied", " ".join(browser.complaints())
        )
