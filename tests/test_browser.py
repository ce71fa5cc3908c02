"""The listing in Chromium, with a mouse and a CA that the browser trusts."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import samples
from tests.certificates.folder_case import forge
from tests.chromium import Chromium, serve_page
from tests.daemons import PATIENCE, Daemon, curl, shared_daemon

NAMES = "tbody tr:not(.parent) th a"
# The width of a film, once the browser has read its head.
_PLAYED = """
(film => new Promise(done => {
    film.onloadedmetadata = () => done(film.videoWidth);
    film.onerror = () => done(film.error.message);
    if (film.readyState) done(film.videoWidth);
}))(%s)
"""
_SUBTITLE = """
((film, subtitles) => new Promise(done => {
    document.body.innerHTML = `<video crossorigin=anonymous src="${film}">
        <track default src="${subtitles}"></video>`;
    const track = document.querySelector('track');
    track.onload = () => done(track.track.cues[0].text);
    track.onerror = () => done('the subtitles are not read');
}))('%s')
"""
WIDTH = "document.images.length && document.images[0].naturalWidth"


@cache
def shared_browser() -> tuple[Daemon, Chromium]:
    """A daemon over medical files, and a browser that trusts it: for all tests of this process."""
    daemon = shared_daemon("browsed")
    samples.studies(daemon.folder / "output")
    browser = Chromium(daemon.folder / "home", daemon.ca)
    atexit.register(browser.close)
    return daemon, browser


@cache
def viewer_path() -> str:
    """Below which path the list opens what can be shown; "" if imgd makes no pictures."""
    daemon, _ = shared_browser()
    front = curl("--cacert", str(daemon.ca), f"{daemon.url}?view=gallery")
    return "" if b"There are no thumbnails here." in front else "-/view/"


class BrowserTests(SynchronousTestCase):
    """Each test clicks through a real daemon's pages in a tab of its own, over verified HTTPS."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.daemon, self.browser = shared_browser()
        self.root = self.daemon.folder / "output"
        self.browser.open_tab()

    def names(self) -> list[str]:
        """The names on the page, from the top."""
        return self.browser.texts(NAMES)

    def click_name(self, name: str) -> None:
        """Click the row of this name as it is shown."""
        row = self.names().index(name) + 1
        has_parent = bool(self.browser.texts("tbody tr.parent"))
        self.browser.click(f"tbody tr:nth-child({row + has_parent}) th a")

    def test_trusted(self) -> None:
        """The page comes over a connection that Chromium calls secure; no script, style or picture
        on it fails.
        """
        self.browser.open(f"{self.daemon.url}?view=list")
        self.assertEqual(self.browser.url, f"{self.daemon.url}?view=list")
        self.assertTrue(self.browser.evaluate("isSecureContext"))
        self.assertEqual(self.browser.evaluate("document.title"), "Files \u2013 imgd")
        self.assertEqual(self.browser.complaints(), [])
        styled = "getComputedStyle(document.querySelector('table')).borderCollapse"
        self.assertEqual(self.browser.evaluate(styled), "collapse")
        self.assertEqual(self.browser.evaluate("document.scripts.length"), 0)

    def test_untrusted(self) -> None:
        """A daemon with another CA is refused: no certificate warning is switched off."""
        other = Daemon(self.folder / "other")
        self.addCleanup(other.stop)
        with self.assertRaisesRegex(AssertionError, "ERR_CERT_AUTHORITY_INVALID"):
            self.browser.open(other.url)

    def viewer(self) -> str:
        """A page of another origin: its URL."""
        return serve_page(self, self.folder / "viewer")

    def test_pages_of_other_origins(self) -> None:
        """A page of another origin reads files, whole and in part, but no names, and cannot
        control, with or without a preflight.
        """
        daemon, browser = self.daemon, self.browser
        size = (self.root / "anatomical.nii").stat().st_size
        browser.open(self.viewer())
        for path, options, expected in (
            ("anatomical.nii", "{}", [200, size]),
            ("anatomical.nii", "{headers: {Range: 'bytes=0-3'}}", [206, 4]),
            ("patient%201/none.dcm", "{}", [404, len('{"detail":"Not found"}')]),
            ("", "{}", "blocked"),
            ("?format=json", "{}", "blocked"),
            ("patient%201/", "{}", "blocked"),
            ("collections", "{}", "blocked"),
            ("health", "{}", "blocked"),
            ("timeout/5", "{method: 'POST'}", "blocked"),
            ("links", "{method: 'POST', body: '{}', headers: {Authorization: 'x'}}", "blocked"),
        ):
            outcome = browser.evaluate(
                f"fetch('{daemon.url}{path}', {options}).then("
                "r => r.arrayBuffer().then(b => [r.status, b.byteLength]), e => 'blocked')"
            )
            self.assertEqual(outcome, expected, path)

    def test_name_below_localhost(self) -> None:
        """A name below localhost that the operator gave is trusted as localhost is, with a CA that
        was made without it.
        """
        state = self.folder / "state"
        state.mkdir(0o700)
        for path in self.daemon.ca.parent.glob("ca.*"):
            shutil.copy(path, state)
        named = Daemon(self.folder, "--tls-name", "foo.localhost")
        self.addCleanup(named.stop)
        self.assertEqual(named.ca.read_bytes(), self.daemon.ca.read_bytes())
        self.browser.open(f"https://foo.localhost:{named.port}/")
        self.assertTrue(self.browser.evaluate("isSecureContext"))
        self.assertEqual(self.browser.evaluate("document.title"), "Files \u2013 imgd")

    def test_public_site(self) -> None:
        """A certificate for a public site is refused, even one signed with the trusted CA's key."""
        state = self.daemon.ca.parent
        cert, key = forge(str(state), "example.com", datetime.now(UTC))
        other = Daemon(self.folder / "other", "--cert", cert, "--key", key)
        self.addCleanup(other.stop)
        with self.assertRaisesRegex(AssertionError, "ERR_CERT_INVALID"):
            self.browser.open(other.url)

    def test_to_a_file(self) -> None:
        """Folder, sort, filter, picture, and back up by the breadcrumbs, all by clicking, in the
        list that was asked for.
        """
        browser = self.browser
        browser.open(f"{self.daemon.url}?view=list")
        self.click_name("patient 1")
        self.assertEqual(browser.url, f"{self.daemon.url}patient%201/?view=list")
        self.assertEqual(browser.texts("h1"), ["patient 1"])
        by_size = sorted(
            (self.root / "patient 1").iterdir(), key=lambda path: path.stat().st_size, reverse=True
        )
        browser.click("th.size a")
        if browser.evaluate("document.querySelector('th.size').ariaSort") == "ascending":
            browser.click("th.size a")
        self.assertEqual(self.names(), [path.name for path in by_size])

        browser.type_and_enter("input[name=filter]", "*.PNG")
        self.assertEqual(self.names(), ["slice.png"])
        self.click_name("slice.png")
        path = "patient%201/slice.png"
        self.assertEqual(browser.url, self.daemon.url + viewer_path() + path)
        browser.open(self.daemon.url + path)
        self.assertEqual(browser.evaluate(WIDTH), 320)

        browser.open(f"{self.daemon.url}patient%201/")
        browser.click("nav.trail a")
        self.assertEqual(browser.url, self.daemon.url)

    def test_photograph(self) -> None:
        """A photograph is shown at its full size; its row has name, kind and size."""
        self.browser.open(f"{self.daemon.url}?view=list")
        row = self.browser.texts("tbody tr")[self.names().index("photo.jpg")]
        self.assertIn("JPEG", row)
        self.assertIn("kB", row)
        self.click_name("photo.jpg")
        self.assertEqual(self.browser.url, f"{self.daemon.url}{viewer_path()}photo.jpg")
        self.browser.open(f"{self.daemon.url}photo.jpg")
        self.assertEqual(self.browser.evaluate(WIDTH), 1024)

    def test_films(self) -> None:
        """Films are played when opened, and in a page of another origin, with subtitles."""
        ffmpeg = shutil.which("ffmpeg")
        if ffmpeg is None:
            raise SkipTest("there is no ffmpeg on this machine")
        folder = self.root / "films"
        folder.mkdir()
        for name in ("a.mp4", "a.m4v", "a.mov", "a.webm", "a.mkv"):
            command = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x48:r=5"]
            command += ["-pix_fmt", "yuv420p", *(("-f", "mp4") if name == "a.m4v" else ())]
            subprocess.run([*command, str(folder / name)], check=True, timeout=PATIENCE)
        (folder / "a.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nBrain\n", "utf-8")
        url = f"{self.daemon.url}films/"
        for name in ("a.mp4", "a.m4v", "a.webm", "a.mkv"):
            self.browser.open(url + name)
            film = "document.querySelector('video')"
            self.assertEqual(self.browser.evaluate(_PLAYED % film), 64, name)
        self.browser.open(self.viewer())
        for name in ("a.mp4", "a.m4v", "a.mov", "a.webm", "a.mkv"):
            film = f"Object.assign(document.createElement('video'), {{src: '{url}{name}'}})"
            self.assertEqual(self.browser.evaluate(_PLAYED % film), 64, name)
        self.assertEqual(self.browser.evaluate(_SUBTITLE % f"{url}a.mp4', '{url}a.vtt"), "Brain")

    def test_hostile_names(self) -> None:
        """Every file, whatever its name, opens by a click on its row, and runs nothing."""
        folder = self.root / "hostile"
        folder.mkdir()
        pictures = [name for name in samples.HOSTILE_NAMES if name.endswith(".png")]
        for number, name in enumerate(pictures):
            picture = samples.picture(folder / "picture.png", size=(100 + number, 50))
            os.rename(picture, os.fsencode(folder) + b"/" + os.fsencode(name))
        self.browser.open(f"{self.daemon.url}hostile/?view=list")
        self.assertEqual(len(self.names()), len(pictures))
        widths = []
        for row in range(len(pictures)):
            self.browser.open(f"{self.daemon.url}hostile/?view=list")
            self.browser.click(f"tbody tr:nth-child({row + 2}) th a")
            viewer = self.daemon.url + viewer_path()
            self.assertTrue(self.browser.url.startswith(f"{viewer}hostile/"))
            self.browser.open(self.daemon.url + self.browser.url.removeprefix(viewer))
            widths.append(self.browser.evaluate(WIDTH))
        self.assertEqual(sorted(widths), [100 + number for number in range(len(pictures))])

    def test_pages(self) -> None:
        """2,500 files are three pages, turned by clicking; each file is on one of them."""
        folder = self.root / "many"
        folder.mkdir()
        for number in range(2500):
            (folder / f"slice_{number:04}.dcm").touch()
        self.browser.open(f"{self.daemon.url}many/?view=list")
        names = self.names()
        self.assertEqual(len(names), 1000)
        for _ in range(2):
            self.browser.click("a[rel=next]")
            names += self.names()
        self.assertEqual(names, [f"slice_{number:04}.dcm" for number in range(2500)])
        self.assertEqual(self.browser.texts("a[rel=next]"), [])
        self.browser.click("a[rel=prev]")
        self.assertEqual(self.names(), names[1000:2000])

    def test_narrow(self) -> None:
        """On a phone no page is wider than the screen, in light and in dark."""
        browser = self.browser
        for path in ("", "patient%201/", "no/such/page", "collections", "-/trust"):
            for dark in (False, True):
                browser.open(self.daemon.url + path)
                browser.screenshot(self.folder / "phone.png", 390, 844, dark=dark)
                self.assertLessEqual(
                    browser.evaluate("document.documentElement.scrollWidth"), 390, path
                )
                colour = browser.evaluate("getComputedStyle(document.documentElement).colorScheme")
                self.assertIn("dark", colour)

    def test_breadcrumbs(self) -> None:
        """On a phone, the way to a deep folder is one line until it is unfolded; each folder of it
        is reached then. On a wide screen, it is all there.
        """
        browser, names = self.browser, [f"folder {number} of a long way" for number in range(7)]
        names.append("x" * 100)
        (self.root / "deep").joinpath(*names).mkdir(parents=True)
        browser.open(f"{self.daemon.url}deep/{'/'.join(names)}/".replace(" ", "%20"))
        height = "document.querySelector('.trail').getBoundingClientRect().height"
        shown = (
            "[...document.querySelectorAll('.trail li:not(.unfold)')]"
            ".filter(item => item.checkVisibility()).length"
        )
        browser.screenshot(self.folder / "wide.png")
        self.assertEqual(browser.evaluate(shown), 10)
        browser.screenshot(self.folder / "phone.png", 390, 844)
        self.assertEqual(browser.evaluate(shown), 3)
        self.assertLess(browser.evaluate(height), 30)
        browser.evaluate("document.querySelector('.unfold a').click()")
        self.assertEqual(browser.evaluate(shown), 10)
        self.assertLessEqual(browser.evaluate("document.documentElement.scrollWidth"), 390)
        browser.click(".trail li:nth-child(4) a")
        self.assertEqual(browser.texts("h1"), [names[0]])

    def test_skip_link(self) -> None:
        """The first Tab shows a link past the navigation, and nothing of it shows before."""
        browser = self.browser
        browser.open(self.daemon.url)
        width = "document.querySelector('.skip').getBoundingClientRect().width"
        self.assertLessEqual(browser.evaluate(width), 1)
        browser.press("Tab")
        self.assertGreater(browser.evaluate(width), 100)
        browser.press("Enter")
        browser.press("Tab")
        inside = "!!document.activeElement.closest('main')"
        self.assertTrue(browser.evaluate(inside))

    def test_trust(self) -> None:
        """The front page leads to the page about the CA, which has its fingerprint, and leads on to
        the certificate.
        """
        browser = self.browser
        browser.open(self.daemon.url)
        browser.click("footer a[href$='-/trust']")
        self.assertEqual(browser.url, f"{self.daemon.url}-/trust")
        certificate = x509.load_pem_x509_certificate(self.daemon.ca.read_bytes())
        fingerprint = certificate.fingerprint(SHA256()).hex(":").upper()
        self.assertEqual(browser.texts(".fingerprint"), [fingerprint])
        self.assertEqual(browser.complaints(), [])
        url = browser.evaluate("document.querySelector('main a').href")
        self.assertEqual(curl("--cacert", str(self.daemon.ca), url), self.daemon.ca.read_bytes())

    def test_icon(self) -> None:
        """A picture that is opened by itself has imgd's icon in the browser, without an error."""
        browser = self.browser
        browser.open(f"{self.daemon.url}photo.jpg")
        icon = (
            "fetch('/favicon.ico').then(r => r.blob()).then(createImageBitmap).then(i => i.width)"
        )
        self.assertIn(browser.evaluate(icon), (16, 32, 48))
        self.assertEqual(browser.complaints(), [])

    def test_another_origin(self) -> None:
        """A page of another origin reads a part of a volume with fetch, and cannot load a
        directory.
        """
        self.browser.open(self.viewer())
        volume = f"{self.daemon.url}example4d.nii.gz"
        part = self.browser.evaluate(
            f"fetch({json.dumps(volume)}, {{headers: {{Range: 'bytes=0-9'}}}}).then(async r => "
            "[r.status, r.headers.get('Content-Range'), (await r.arrayBuffer()).byteLength])"
        )
        self.assertEqual(part, [206, "bytes 0-9/346451", 10])
        body = json.dumps({"directory": str(self.root)})
        for options, outcome in (
            ({"headers": {"Content-Type": "application/json"}}, "refused"),
            ({"mode": "no-cors"}, "opaque"),
        ):
            request = json.dumps({"method": "POST", "body": body, **options})
            answer = self.browser.evaluate(
                f"fetch({json.dumps(self.daemon.url)} + 'load-directory', {request})"
                ".then(r => r.type, () => 'refused')"
            )
            self.assertEqual(answer, outcome)
        self.browser.open(f"{self.daemon.url}collections?format=json")
        text = self.browser.evaluate("document.body.innerText")
        self.assertEqual(json.loads(text), {"collections": []})


class VisitorTests(SynchronousTestCase):
    """What a person does who was sent a link: enter the token, look around, take a folder home."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        shared, self.browser = shared_browser()
        state = self.folder / "state"
        state.mkdir(0o700, parents=True)
        for path in shared.ca.parent.glob("ca.*"):  # which the browser trusts
            shutil.copy(path, state)
        self.browser.open_tab()

    def daemon(self, *options: str) -> Daemon:
        daemon = Daemon(self.folder, *options)
        self.addCleanup(daemon.stop)
        samples.studies(self.folder / "output")
        return daemon

    def take_home(self, button: str) -> Path:
        """Click what downloads, and wait for the file."""
        saved = self.folder / "saved"
        self.browser.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(saved),
            eventsEnabled=True,
        )
        self.browser.download(button)
        [path] = saved.iterdir()
        return path

    def test_token(self) -> None:
        """A wrong token shows the form again; the right one leads to the folder, its files and an
        archive of it, and never shows in an address.
        """
        daemon, browser = self.daemon("--private"), self.browser
        browser.open(f"{daemon.url}patient%201/?sort=size&view=list")
        self.assertEqual(browser.texts("h1"), ["Reading is private here"])
        browser.type_and_enter("input[name=token]", "not the token")
        self.assertEqual(browser.texts("[role=alert]"), ["That is not imgd's token."])
        self.assertEqual(browser.url, f"{daemon.url}-/token")
        browser.type_and_enter("input[name=token]", daemon.token)
        self.assertEqual(browser.texts("h1"), ["patient 1"])
        self.assertRegex(browser.url, r"/-/s/[^/]+/patient%201/\?sort=size&view=list$")
        self.assertNotIn(daemon.token, browser.url)
        self.assertEqual(browser.evaluate("document.cookie"), "")
        self.assertEqual(browser.complaints(), [])
        with zipfile.ZipFile(self.take_home("button[value=zip]")) as archive:
            self.assertIsNone(archive.testzip())
            names = {Path(name).name for name in archive.namelist() if not name.endswith("/")}
        self.assertEqual(
            names, {path.name for path in (daemon.folder / "output/patient 1").iterdir()}
        )
        browser.click("tbody tr:nth-child(2) th a")
        self.assertIn("/-/s/", browser.url)

    def test_collections(self) -> None:
        """From the front page over the list of collections to one, its files, and an archive."""
        daemon, browser = self.daemon(), self.browser
        browser.open(daemon.url)
        browser.click("footer a[href$=collections]")
        self.assertIn("Nothing is loaded.", browser.texts("main")[0])
        curl(
            *("--cacert", str(daemon.ca), "-H", "Content-Type: application/json"),
            *("-d", json.dumps({"directory": str(self.folder / "output"), "recursive": True})),
            f"{daemon.url}load-directory",
        )
        browser.open(f"{daemon.url}collections")
        browser.click(".collections a")
        for dark in (False, True):
            browser.screenshot(self.folder / "phone.png", 390, 844, dark=dark)
            width = browser.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(width, 390)
        self.assertEqual(browser.url, f"{daemon.url}collections/current")
        with tarfile.open(self.take_home("button[value=tar]")) as archive:
            self.assertIn("current/photo.jpg", archive.getnames())
        browser.click(".actions a")
        self.assertEqual(browser.url, f"{daemon.url}collections/current/files/")
        self.assertEqual(browser.complaints(), [])
