"""The commands of docs/dicom.md, as they stand there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.chromium import Chromium, serve_page
from tests.daemons import CHECKOUT, PATIENCE, Daemon, environment
from tests.dicom_case import DicomCase, ask
from tests.dicom_phantoms import SERIES, SIZE, SLICES, STUDY, write_native
from tests.fronts import FrontCase, free_port, program
from tests.ohif import SOFTWARE_WEBGL, OhifBrowser, config
from tests.recipes import block, document, replaced
from tests.test_viewer import installed

DOCUMENT = document("dicom.md")
STATE = ".local/state/imgd"
OHIF = "http://localhost:3000"
# Around the document's block, what keeps nginx to itself.
NGINX = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  {block}
}}
"""


class DocumentCase(DicomCase, FrontCase):
    """A home with the folder ``export``, loaded as the document says."""

    def start(self, origin: str = OHIF) -> Daemon:
        write_native(self.folder / "export")
        state = ("--state-dir", str(self.folder / STATE))
        daemon = self.daemon("--cors-origin", origin, *state)
        self.run_lines(daemon, "sh", block(DOCUMENT, "load"))
        self.told = self.errors
        return daemon

    def here(self, daemon: Daemon, text: str) -> str:
        """Lines of the document for this daemon and its series."""
        return text.replace("localhost:8888", f"localhost:{daemon.port}").replace("SERIES", SERIES)

    def run_lines(self, daemon: Daemon, language: str, text: str) -> str:
        """What the lines print; AssertionError if they fail."""
        command = {"sh": ["bash", "-euc"], "python": [sys.executable, "-c"]}[language]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        server = {"IMGD_URL": daemon.url}
        done = subprocess.run(
            [*command, self.here(daemon, text)],
            cwd=self.folder,
            env=environment(self.folder, {"PATH": path, **server}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, f"{text}\n{done.stdout}{done.stderr}")
        self.errors = done.stderr
        return done.stdout


class CommandTests(DocumentCase):
    def test_load_and_list(self) -> None:
        """The load says what was found, and the list has the study."""
        daemon = self.start()
        self.assertRegex(self.told, rf"1 study.*1 series.*{SLICES}")
        told = json.loads(self.run_lines(daemon, "sh", block(DOCUMENT, "list")))
        self.assertIn(STUDY, json.dumps(told))

    def test_readme(self) -> None:
        """The README has the same commands."""
        readme = (CHECKOUT / "README.md").read_text("utf-8")
        for mark in ("load", "list"):
            command = block(DOCUMENT, mark).splitlines()[-1].replace("$CA", f"~/{STATE}/ca.pem")
            self.assertIn(f"\n{command}\n", readme)

    def test_python(self) -> None:
        """nibabel reads the series as a volume."""
        printed = self.run_lines(self.start(), "python", block(DOCUMENT, "python"))
        self.assertIn(f"({SIZE}, {SIZE}, {SLICES})", printed)

    def test_statuses(self) -> None:
        """Errors that the document names come as it says."""
        daemon = self.start()
        web = "collections/export/dicomweb"
        for path, accept, status in (
            (f"{web}/studies?PatientName=Doe", "*/*", 400),
            (f"{web}/studies/1.2.3/metadata", "*/*", 404),
            (f"{web}/studies/{STUDY}/metadata", "application/dicom+xml", 406),
            ("collections/export/dicom/1.2.3.nii", "*/*", 404),
        ):
            reply = ask(daemon, path, Accept=accept)
            self.assertEqual(reply.status, status, (path, reply))
            self.assertTrue(reply.json["detail"].endswith("."), reply)


class PageTests(DocumentCase):
    def test_niivue(self) -> None:
        """The page shows the volume's size as its title."""
        package = installed("@niivue/niivue", "dist/index.js")
        if package is None:
            raise SkipTest("no @niivue/niivue here")
        url = serve_page(self, self.folder / "page")
        daemon = self.start(url.rstrip("/"))
        (self.folder / "page" / "node_modules").symlink_to(package.parents[3])
        page = self.here(daemon, block(DOCUMENT, "niivue"))
        (self.folder / "page" / "page.html").write_text(page, "utf-8")
        browser = Chromium(self.folder / "browser", daemon.ca, *SOFTWARE_WEBGL)
        self.addCleanup(browser.close)
        browser.open(f"{url}page.html")
        named = "new Promise(done => setInterval(() => document.title && done(document.title)))"
        self.assertEqual(browser.evaluate(named), f"{SIZE} x {SIZE} x {SLICES}")

    def test_ohif(self) -> None:
        """OHIF, served by nginx as the document says, opens the study by both addresses."""
        page = installed("@ohif/app", "dist/index.html")
        if page is None:
            raise SkipTest("no @ohif/app here")
        origin = f"http://localhost:{free_port()}"
        daemon = self.start(origin)
        dist = self.folder / "dist"
        shutil.copytree(page.parent, dist, copy_function=os.symlink)
        (dist / "app-config.js").unlink()
        collection = f"{daemon.url}collections/export"
        (dist / "app-config.js").write_text(config(f"{collection}/dicomweb"), "utf-8")
        browser = OhifBrowser(self.folder / "browser", daemon.ca, *SOFTWARE_WEBGL)
        self.addCleanup(browser.close)
        with self.nginx(origin, dist):
            for line in ("viewer?StudyInstanceUIDs=STUDY", "viewer/dicomjson?url=https://"):
                self.assertIn(f"{OHIF}/{line}", DOCUMENT)
            for address in (
                f"viewer?StudyInstanceUIDs={STUDY}",
                f"viewer/dicomjson?url={collection}/dicom.json",
            ):
                browser.open(f"{origin}/{address}")
                browser.until_shown()
                self.assertEqual(browser.errors(), [])

    def nginx(self, origin: str, dist: Path) -> AbstractContextManager[str]:
        """OHIF by the document's block, until the context ends."""
        port = int(origin.rpartition(":")[2])
        text = replaced(
            block(DOCUMENT, "nginx"),
            ("127.0.0.1:3000", f"127.0.0.1:{port}"),
            ("/srv/package/dist", str(dist)),
        )
        user = "user root;" if os.geteuid() == 0 else ""
        conf = self.readable / "conf"
        conf.write_text(NGINX.format(user=user, folder=self.readable, block=text), "utf-8")
        return self.front(program("nginx"), "-c", str(conf), port=port)
