"""The lines of docs/clients.md, as they stand, by the clients that they are for."""

from __future__ import annotations

import atexit
import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy
import zarr
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests import samples
from tests.chromium import Chromium
from tests.daemons import CHECKOUT, PATIENCE, Daemon, environment, port_of
from tests.dicom_phantoms import write_native
from tests.recipes import block, document

DOCUMENT = document("clients.md")
FRAMES = tuple(f"frame_{number:04}.jpg" for number in range(12))
IN_A_FOLDER = tuple(f"frames/{name}" for name in FRAMES)
PART = "206 bytes 0-347/346451"  # the document's range of scan.nii.gz


class Client(NamedTuple):
    """What the lines of a section need, and what they must give.

    ``prints``: a pattern in what they print; ``gets``: files that are, byte for byte, those of the
    document root with that name, or that name in its folder ``frames``; ``makes``: other files.
    """

    needs: tuple[str, ...] = ()
    prints: str = ""
    gets: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()


def python(*modules: str) -> tuple[str, ...]:
    return tuple(f"python:{module}" for module in modules)


CLIENTS = {
    "curl": Client(
        ("curl", "jq"),
        "scan.nii.gz",
        ("scan.nii.gz", "photo.jpg", *FRAMES),
        ("header", "small.jpg"),
    ),
    "wget": Client(("wget",), gets=("scan.nii.gz", "photo.jpg", *IN_A_FOLDER)),
    "aria2c": Client(("aria2c", "curl", "jq"), gets=("scan.nii.gz", *IN_A_FOLDER)),
    "rclone": Client(("rclone",), r"(?m)^patient 1/$[\s\S]*n\+1", IN_A_FOLDER),
    "lftp": Client(("lftp",), gets=IN_A_FOLDER),
    "HTTPie": Client(("http",), '"entries"', ("scan.nii.gz",)),
    "dcm2niix": Client(("curl", "dcm2niix"), "Convert 60 DICOM", makes=("series.nii",)),
    "GDAL": Client(("gdalinfo",), "Size is 1024, 768", makes=("corner.png",)),
    "ffmpeg and ffprobe": Client(("ffmpeg", "ffprobe"), "width=320", makes=("frame.png",)),
    "mpv": Client(("mpv",), "320x240"),
    "ImageMagick": Client(("convert-im6.q16", "curl"), makes=("small.png",)),
    "urllib": Client((), PART, ("scan.nii.gz",)),
    "requests": Client(python("requests"), gets=FRAMES),
    "urllib3": Client(python("urllib3"), gets=("scan.nii.gz",)),
    "httpx": Client(python("httpx"), gets=FRAMES),
    "aiohttp": Client(python("aiohttp"), gets=FRAMES),
    "fsspec": Client(python("fsspec", "aiohttp"), r"^[0-9a-f]{8}\n", IN_A_FOLDER),
    "nibabel": Client(python("nibabel"), r"\(128, 96, 24, 2\)"),
    "SimpleITK": Client(python("SimpleITK"), r"\(128, 96, 24, 2\)"),
    "pydicom": Client(python("pydicom", "fsspec", "aiohttp"), "CT 128 128"),
    "dicomweb-client": Client(python("dicomweb_client", "requests"), "CT 60 1210"),
    "Pillow": Client(python("PIL", "requests"), r"JPEG \(1024, 768\)"),
    "OpenCV": Client(python("cv2", "requests"), r"\(768, 1024, 3\)"),
    "imageio": Client(python("imageio"), r"\(768, 1024, 3\)"),
    "zarr-python": Client(python("zarr", "fsspec", "aiohttp"), r"\(16, 16\) 136\b"),
    "rasterio": Client(python("rasterio"), r"\(768, 1024\)"),
    "DuckDB": Client(python("duckdb", "fsspec", "aiohttp"), r"\[\(13, \d+\)\]"),
    "Hugging Face datasets": Client(python("datasets"), r"13 \(320, 240\)"),
    "MONAI": Client(python("monai"), r"\(128, 96, 24, 2\)", ("scan.nii.gz",)),
    "PyTorch": Client(python("torch", "torchvision"), r"torch.Size\(\[6, 3, 240, 320\]\)"),
    "OpenAI's client, for its endpoint or another of that kind": Client(
        python("openai", "requests"), "This is photo.jpg"
    ),
    "Node": Client(("node",), PART, FRAMES),
    "axios": Client(("node", "node:axios"), r"13 images, the next page is \S+limit=5\S+\n206 348"),
    "Deno": Client(("deno",), f"{PART} 348"),
    "Bun": Client(("bun",), f"{PART} 348"),
    "zarrita": Client(("node", "node:zarrita"), r"\[ 16, 16 \] 136\b"),
    "Go": Client(("go",), f"{PART} 348"),
    "Java": Client(("java", "keytool"), PART),
    "R": Client(("Rscript",), r"\[1\] 348", ("scan.nii.gz",)),
    "PHP": Client(("php",), "348 bytes", ("scan.nii.gz",)),
    "Ruby": Client(("ruby",), r"^348$", ("scan.nii.gz",)),
    "Chromium and Chrome on Linux": Client(("chromium", "certutil"), r">scan\.nii\.gz<"),
    "NiiVue": Client(("chromium", "certutil", "node:@niivue/niivue"), "128 x 96 x 24"),
    "Firefox": Client(("firefox", "certutil"), makes=("page.png",)),
}
# Chromium has no sandbox for root.
FOR_ROOT = 'chromium() { command chromium --no-sandbox "$@"; }' if os.geteuid() == 0 else ""
OTHERS = {"n8n", "OHIF"}  # sections without lines to run


@cache
def shared_home() -> tuple[Path, Daemon]:
    """A home with the document's folder, and a daemon over it, for all tests of this process."""
    home = Path("clients").resolve()
    root = samples.studies(home / "volumes")
    shutil.copyfile(root / "example4d.nii.gz", root / "scan.nii.gz")
    samples.frames(root / "frames")
    array = zarr.create_array(root / "brain.zarr", shape=(16, 16), chunks=(4, 4), dtype="u1")
    array[:] = numpy.arange(256, dtype="u1").reshape(16, 16)
    film(root)
    write_native(home / "export")
    state = ("--state-dir", str(home / ".local/state/imgd"))
    daemon = Daemon(home, "--images-dir", str(root), "--http-port", "0", *state)
    atexit.register(daemon.stop)
    run("sh", block(DOCUMENT, "before"), home, daemon, home)
    return home, daemon


class Model(BaseHTTPRequestHandler):
    """A model that knows one picture, the document root's ``photo.jpg``."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        url = asked["messages"][0]["content"][1]["image_url"]["url"]
        photo = (shared_home()[0] / "volumes" / "photo.jpg").read_bytes()
        is_photo = base64.b64decode(url.removeprefix("data:image/jpeg;base64,")) == photo
        text = "This is photo.jpg" if is_photo else "I do not know"
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"]}
        body = json.dumps({**answer, "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@cache
def shared_model() -> str:
    """The base URL of a model, for all tests of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    atexit.register(server.server_close)
    atexit.register(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}/v1"


def film(root: Path) -> None:
    """Make a film of the frames, if there is an ffmpeg."""
    if shutil.which("ffmpeg") is not None:
        frames = str(root / "frames" / "frame_%04d.jpg")
        command = ["ffmpeg", "-v", "error", "-framerate", "6", "-i", frames, str(root / "film.mp4")]
        subprocess.run(command, check=True, timeout=PATIENCE)


def sections() -> dict[str, str]:
    """The text below each heading of the third level."""
    parts = re.split(r"^### (.+)\n", DOCUMENT, flags=re.M)
    return {
        heading: re.split(r"^## ", text, flags=re.M)[0]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def blocks(section: str) -> list[tuple[str, str]]:
    """The language and the text of each block to run."""
    return re.findall(r"^```(sh|python|html)\n(.*?)^```$", section, re.M | re.S)


@cache
def node_modules() -> Path:
    """Where ``npm install -g`` puts packages."""
    npm = shutil.which("npm")
    if npm is None:
        raise SkipTest("no npm here")
    done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, timeout=PATIENCE)
    return Path(done.stdout.strip())


def require(need: str) -> None:
    """SkipTest without this program, ``python:`` module or ``node:`` package."""
    kind, _, name = need.rpartition(":")
    if kind == "python":
        is_here = importlib.util.find_spec(name) is not None
    elif kind == "node":
        is_here = (node_modules() / name).is_dir()
    else:
        is_here = shutil.which(name) is not None
    if not is_here:
        raise SkipTest(f"no {name} here")


class ClientTests(SynchronousTestCase):
    """Each client, in an empty folder, gets what the lines of its section say."""

    def check(self, heading: str) -> None:
        client = CLIENTS[heading]
        for need in client.needs:
            require(need)
        home, daemon = shared_home()
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        if any(need.startswith("node:") for need in client.needs):
            (folder / "node_modules").symlink_to(node_modules())
        printed = "".join(
            run(language, text, home, daemon, folder)
            for language, text in blocks(sections()[heading])
        )
        if client.prints:
            self.assertRegex(printed, client.prints)
        for name in client.gets:
            served = home / "volumes" / name
            if not served.exists():
                served = home / "volumes" / "frames" / name
            self.assertEqual((folder / name).read_bytes(), served.read_bytes(), name)
        for name in client.makes:
            self.assertGreater((folder / name).stat().st_size, 100, name)

    def test_every_section(self) -> None:
        """Every section of the document is run by a test of this class, or says that it is not."""
        self.assertEqual(set(sections()), CLIENTS.keys() | OTHERS)
        for heading, text in sections().items():
            self.assertEqual(bool(blocks(text)), heading in CLIENTS, heading)

    def test_by_hand(self) -> None:
        """What a section needs is installed for the tests, or the document says who ran it."""
        for heading, client in CLIENTS.items():
            missing = [need for need in client.needs if not is_installed(need)]
            by_hand = re.match(r"\nRun by hand with .+, \d{4}-\d\d-\d\d\.\n", sections()[heading])
            self.assertEqual(bool(missing), by_hand is not None, (heading, missing))


def is_installed(need: str) -> bool:
    """Whether .ci/run or the extra ``dev`` installs it."""
    kind, _, name = need.rpartition(":")
    if kind == "python":
        package = {"PIL": "pillow", "SimpleITK": "simpleitk"}.get(name, name.replace("_", "-"))
        return f'"{package}>=' in (CHECKOUT / "pyproject.toml").read_text("utf-8")
    wanted = f" {name}@" if kind == "node" else f"command -v {name} "
    return wanted in (CHECKOUT / ".ci" / "run").read_text("utf-8")


def run(language: str, text: str, home: Path, daemon: Daemon, folder: Path) -> str:
    """What the lines print; AssertionError if they fail."""
    text = text.replace("localhost:8888", f"localhost:{daemon.port}")
    text = text.replace("localhost:8880", f"localhost:{port_of(daemon.http_url)}")
    if language == "html":
        return title(text, home, daemon, folder)
    if language == "python":
        (folder / "lines.py").write_text(text, "utf-8")
        command = [sys.executable, "lines.py"]
    else:
        before = block(DOCUMENT, "before").partition("\n")[0]
        command = ["bash", "-euo", "pipefail", "-c", f"{before}\n{FOR_ROOT}\n{text}"]
    model = {"OPENAI_BASE_URL": shared_model(), "OPENAI_API_KEY": "none"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Not this Python's own folders, which trial's workers inherit: other Pythons run as well.
    more = {**model, "PATH": path, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(home, more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=2 * PATIENCE,
    )
    if done.returncode:
        raise AssertionError(f"{text}\ngave {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def title(page: str, home: Path, daemon: Daemon, folder: Path) -> str:
    """The title that a page in this folder gives itself, in a browser that trusts the daemon."""
    (folder / "page.html").write_text(page, "utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Where there is no graphics card.
    browser = Chromium(folder / "home", daemon.ca, "--enable-unsafe-swiftshader")
    try:
        browser.open(f"http://localhost:{server.server_port}/page.html")
        named = "new Promise(done => setInterval(() => document.title && done(document.title)))"
        return str(browser.evaluate(named))
    finally:
        browser.close()
        server.shutdown()
        server.server_close()


def add_test(heading: str) -> None:
    def test(self: ClientTests) -> None:
        self.check(heading)

    name = "_".join(re.findall(r"\w+", heading.lower()))
    setattr(ClientTests, f"test_{name}", test)


for _heading in CLIENTS:
    add_test(_heading)
