"""The daemon as its users meet it: a real ``twistd``, real files, curl, Python, Node."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import nibabel
import numpy
import pydicom
from twisted.trial.unittest import SkipTest

from tests import samples
from tests.daemons import (
    CHECKOUT,
    PATIENCE,
    Daemon,
    DaemonCase,
    curl,
    curl_json,
    curl_process,
    environment,
    shared_daemon,
)

JSON = "Content-Type: application/json"
STATUS_ONLY = ("-o", os.devnull, "-w", "%{http_code}")


def voxels(path: Path) -> Any:
    image: Any = nibabel.load(path)  # any image type of nibabel: those of volumes have voxels
    return image.get_fdata()


class FramesTests(DaemonCase):
    """The commands in server B's documentation, against imgd."""

    def load(self, url: str, directory: Path) -> Any:
        body = json.dumps({"directory": str(directory)})
        return curl_json("-X", "POST", f"{url}load-directory", "-H", JSON, "-d", body)

    def check_every_image(self, page: Any, frames: Path, *curl_options: str) -> None:
        """Every URL in the answer gives the bytes of the file of its name."""
        names = sorted(p.name for p in frames.iterdir() if p.suffix != ".txt")
        self.assertEqual([image["name"] for image in page["images"]], names)
        for image in page["images"]:
            body = curl(*curl_options, image["url"])
            original = (frames / image["name"]).read_bytes()
            self.assertEqual(samples.digest(body), samples.digest(original), image["name"])

    def test_plain(self) -> None:
        """Over plain HTTP and without a token: load, list, fetch every frame, unload."""
        frames = samples.frames(self.folder / "frames")
        daemon = self.daemon("--no-tls")
        self.assertTrue(daemon.url.startswith("http://localhost:"))

        loaded = self.load(daemon.url, frames)
        self.assertEqual(loaded["status"], "success")
        self.assertEqual(loaded["directory"], str(frames))
        self.assertEqual(loaded["image_count"], 13)
        self.assertEqual(loaded["message"], f"Loaded 13 images from {frames}")
        self.assertRegex(
            loaded["timeout"],
            r"^Directory will be automatically unloaded at [\d-]{10} [\d:]{8} \(30 minutes\)$",
        )
        status = curl_json(daemon.url)
        self.assertEqual(status["current_directory"], str(frames))
        self.assertEqual(status["image_count"], len(status["image_list"]))
        page = curl_json(f"{daemon.url}collections/current/images")
        self.check_every_image(page, frames)
        for name in status["image_list"]:  # B's clients build the URL themselves
            body = curl(f"{daemon.url}images/{urllib.request.pathname2url(name)}")
            self.assertEqual(body, (frames / name).read_bytes())

        self.assertEqual(curl_json(f"{daemon.url}timeout")["timeout_minutes"], 30)
        self.assertEqual(curl_json("-X", "POST", f"{daemon.url}timeout/60")["timeout_minutes"], 60)
        unloaded = curl_json("-X", "POST", f"{daemon.url}unload")
        self.assertEqual(unloaded["message"], "Directory unloaded successfully")
        self.assertIsNone(curl_json(daemon.url)["current_directory"])
        self.assertEqual(curl_json(f"{daemon.url}health")["status"], "healthy")

    def test_documented_commands(self) -> None:
        """The curl lines of docs/configuration.md run as they stand, but for the port, against a
        daemon with one line in its .env: each prints what the older server printed.
        """
        frames = samples.frames(self.folder / "data" / "frames")
        (frames / "frame_0001.jpg").write_bytes(b"frame")
        (self.folder / ".env").write_text("IMGD_COMPAT_B=1\n")
        os.chmod(self.folder, 0o755)
        os.chmod(self.folder / ".env", 0o644)
        daemon = self.daemon()
        self.assertEqual(daemon.listening, [(f"http://localhost:{daemon.port}/", "0.0.0.0")])
        said = (
            "May control: programs of this user on this machine, and everybody who sends the token"
        )
        self.assertEqual(sum(said in line for line in daemon.lines), 1)
        text = (CHECKOUT / "docs" / "configuration.md").read_text("utf-8")
        commands = re.findall(r"(?m)^ *curl (.*localhost:7779.*)$", text)
        answers = []
        for command in commands:
            there = command.replace(":7779", f":{daemon.port}").replace(
                "/data", f"{self.folder}/data"
            )
            answers.append(curl(*shlex.split(there)))
        image = answers.pop(2)
        self.assertEqual(image, b"frame")
        status, loaded, again, timer, default, health, unloaded = map(json.loads, answers)
        self.assertIsNone(status["current_directory"])
        self.assertEqual(loaded["message"], f"Loaded {loaded['image_count']} images from {frames}")
        self.assertIn("(60 minutes)", again["timeout"])
        self.assertEqual(timer["message"], "Timeout set to 60 minutes")
        self.assertEqual(default, {"timeout_minutes": 60, "timeout_enabled": True})
        self.assertEqual((health["status"], unloaded["status"]), ("healthy", "success"))

    def test_beside_https(self) -> None:
        """--http-port takes the same requests; each port hands out its own URLs."""
        frames = samples.frames(self.folder / "frames")
        daemon = self.daemon("--http-port", "0")
        self.load(daemon.http_url, frames)
        for url in (daemon.http_url, daemon.url):
            page = curl_json(f"{url}collections/current/images", "--cacert", str(daemon.ca))
            self.assertTrue(all(image["url"].startswith(url) for image in page["images"]))
            self.check_every_image(page, frames, "--cacert", str(daemon.ca))

    def test_relative(self) -> None:
        """A relative directory is taken below FRAME_BASE_DIR; ``path`` is another name for it."""
        samples.frames(self.folder / "videos" / "one")
        daemon = self.daemon("--no-tls", env={"FRAME_BASE_DIR": str(self.folder / "videos")})
        answer = curl_json(
            *("-X", "POST", f"{daemon.url}load-directory", "-H", JSON),
            *("-d", '{"path": "one", "timeout_minutes": 0}'),
        )
        self.assertEqual(answer["directory"], str(self.folder / "videos" / "one"))
        self.assertEqual(answer["timeout"], "No auto-unload timeout set")

    def test_survives(self) -> None:
        """An acknowledged load survives ``kill -9``, with the time that it had left."""
        frames = samples.frames(self.folder / "frames")
        daemon = self.daemon("--no-tls")
        self.load(daemon.url, frames)
        daemon.kill()
        again = self.daemon("--no-tls")
        status = curl_json(again.url)
        self.assertEqual(status["image_count"], 13)
        self.assertRegex(status["time_remaining"], r"^(30m 0s|29m [0-5]?\ds)$")
        self.assertTrue(any("Restored current: 13 images" in line for line in again.lines))


class VolumeTests(DaemonCase):
    """Server A's use: volumes out of the document root, over HTTPS, verified with the CA."""

    def volumes(self) -> Daemon:
        daemon = shared_daemon("volumes", "--http-port", "0", "--tls-name", "images.example.org")
        output = daemon.folder / "output"
        if not any(output.iterdir()):
            samples.studies(output)
        return daemon

    def test_python(self) -> None:
        """Python's strictest TLS downloads a volume whole, and nibabel reads the same voxels."""
        daemon = self.volumes()
        for name in samples.VOLUMES:
            body = self.get(daemon, name)
            self.assertEqual(body, samples.volume(name).read_bytes())
            (self.folder / name).write_bytes(body)
            numpy.testing.assert_array_equal(
                voxels(self.folder / name), voxels(samples.volume(name))
            )
        for name in samples.DICOM:
            (self.folder / name).write_bytes(self.get(daemon, f"patient%201/{name}"))
            read = pydicom.dcmread(self.folder / name)
            numpy.testing.assert_array_equal(
                read.pixel_array, pydicom.dcmread(samples.dicom(name)).pixel_array
            )

    def test_container(self) -> None:
        """A Python program that has only SSL_CERT_FILE to trust the CA fetches a volume, as a
        VISTA-3D container does.
        """
        daemon = self.volumes()
        program = (
            "import sys, urllib.request as r; "
            "sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=60).read())"
        )
        process = subprocess.run(
            [sys.executable, "-c", program, f"{daemon.url}example4d.nii.gz"],
            env=environment(self.folder, {"SSL_CERT_FILE": str(daemon.ca)}),
            capture_output=True,
            timeout=PATIENCE,
        )
        self.assertEqual(process.stderr, b"")
        self.assertEqual(process.stdout, samples.volume("example4d.nii.gz").read_bytes())

    def test_curl(self) -> None:
        """``curl --cacert`` needs no ``-k``, by every name in the certificate; without the CA curl
        refuses.
        """
        daemon = self.volumes()
        expected = samples.volume("anatomical.nii").read_bytes()
        for name in (
            *("localhost", "127.0.0.1", "host.docker.internal", "host.containers.internal"),
            *("images.example.org", socket.gethostname()),
        ):
            body = curl(
                *("--cacert", str(daemon.ca), "--resolve", f"{name}:{daemon.port}:127.0.0.1"),
                f"https://{name}:{daemon.port}/anatomical.nii",
            )
            self.assertEqual(body, expected, name)
        self.assertEqual(curl_process(f"{daemon.url}anatomical.nii").returncode, 60)

    def test_headers(self) -> None:
        """A page of another origin may read a range of a compressed volume as it is stored."""
        daemon = self.volumes()
        head, _, body = curl(
            *("--include", "--cacert", str(daemon.ca), "-H", "Origin: https://viewer.example"),
            *("-H", "Range: bytes=0-99", "-H", "Accept-Encoding: gzip"),
            f"{daemon.url}example4d.nii.gz",
        ).partition(b"\r\n\r\n")
        self.assertEqual(body, samples.volume("example4d.nii.gz").read_bytes()[:100])
        headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        self.assertEqual(headers["access-control-allow-origin"], "*")
        self.assertEqual(headers["content-range"], "bytes 0-99/346451")
        self.assertEqual(headers["content-type"], "application/gzip")
        self.assertNotIn("content-encoding", headers)

    def test_node(self) -> None:
        """Node's fetch connects with the CA in NODE_EXTRA_CA_CERTS, and gets every byte."""
        node = shutil.which("node")
        if node is None:
            raise SkipTest("there is no node on this machine")
        daemon = self.volumes()
        program = (
            "fetch(process.argv[1]).then(r => r.arrayBuffer()).then(b => "
            "process.stdout.write(require('crypto').createHash('sha256')"
            ".update(Buffer.from(b)).digest('hex')))"
        )
        process = subprocess.run(
            [node, "-e", program, f"{daemon.url}example4d.nii.gz"],
            env=environment(self.folder, {"NODE_EXTRA_CA_CERTS": str(daemon.ca)}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        original = samples.volume("example4d.nii.gz").read_bytes()
        self.assertEqual((process.stdout, process.stderr), (samples.digest(original), ""))

    def test_ca_over_http(self) -> None:
        """``/-/ca.pem`` is the CA in the log, with the fingerprint in the log."""
        daemon = self.volumes()
        pem = curl(f"{daemon.http_url}-/ca.pem")
        self.assertEqual(pem, daemon.ca.read_bytes())
        der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
        fingerprint = samples.digest(der).upper()
        line = next(line for line in daemon.lines if "SHA-256" in line)
        self.assertIn(":".join(re.findall("..", fingerprint)), line)


class ListenerTests(DaemonCase):
    """Where imgd listens, and who may read and control."""

    def test_localhost(self) -> None:
        """By default 127.0.0.1 and, if the machine has it, ::1, with one port number."""
        daemon = self.daemon()
        addresses = {address for _, address in daemon.listening}
        self.assertIn("127.0.0.1", addresses)
        self.assertLessEqual(addresses, {"127.0.0.1", "::1"})
        for address in addresses:
            with socket.create_connection((address, daemon.port), PATIENCE):
                pass

    def test_names(self) -> None:
        """Bound to loopback, it answers to its own names only; the log says who may read."""
        daemon = self.daemon(
            *("--tls-name", "box.example", "--allow-host", "other.example"),
            *("--public-url", "https://demo.example/x"),
        )
        readers = "every page in a browser on this machine"
        self.assertTrue(any("May read" in line and readers in line for line in daemon.lines))
        for host, expected in (
            *(("localhost", 200), ("a.localhost", 200), ("127.0.0.1", 200), ("box.example", 200)),
            *(("other.example", 200), ("demo.example", 200), ("host.docker.internal", 200)),
            *((socket.gethostname(), 200), ("evil.example", 421), ("0.0.0.0", 421)),
        ):
            head = ("--cacert", str(daemon.ca), "-H", f"Host: {host}:{daemon.port}")
            status = curl(*head, *STATUS_ONLY, f"{daemon.url}health")
            self.assertEqual(int(status), expected, host)

    def test_everywhere(self) -> None:
        """--host 0.0.0.0 listens on every address; the log names a URL that works."""
        daemon = self.daemon("--host", "0.0.0.0")
        self.assertEqual(daemon.listening, [(daemon.url, "0.0.0.0")])
        self.assertEqual(json.loads(self.get(daemon, "health"))["status"], "healthy")
        readers = f"everybody who reaches 0.0.0.0:{daemon.port}"
        self.assertTrue(any("May read" in line and readers in line for line in daemon.lines))

    def test_token(self) -> None:
        """A request through a tunnel needs the token, which is never in the log."""
        samples.frames(self.folder / "frames")
        daemon = self.daemon("--no-tls", "--access-log", "-")
        body = json.dumps({"directory": str(self.folder / "frames")})
        base = ("-X", "POST", f"{daemon.url}load-directory", "-H", JSON, "-d", body)
        relayed = (*base, "-H", "X-Forwarded-For: 203.0.113.5")
        self.assertEqual(curl(*relayed, *STATUS_ONLY), b"403")
        self.assertEqual(curl(*relayed, *STATUS_ONLY, "-H", "Authorization: Bearer wrong"), b"401")
        right = f"Authorization: Bearer {daemon.token}"
        self.assertEqual(curl(*relayed, *STATUS_ONLY, "-H", right), b"200")
        self.assertEqual(self.folder.joinpath("state", "token").stat().st_mode & 0o777, 0o600)
        token = daemon.token
        daemon.stop()
        self.assertFalse([line for line in daemon.lines if token in line])

    def test_older_servers(self) -> None:
        """The settings of both older servers work unchanged, from .env and the environment."""
        samples.studies(self.folder / "vista" / "images")
        (self.folder / ".env").write_text(
            f'IMAGE_SERVER="http://127.0.0.1:0"\nPROJECT_ROOT="{self.folder}/vista"\n'
            'LOCAL_IMAGES_PATH="images"\n'
        )
        daemon = self.daemon(port=(), env={"IMAGE_SERVER_TIMEOUT": "180"})
        self.assertTrue(daemon.url.startswith("http://127.0.0.1:"))
        body = curl(f"{daemon.url}example4d.nii.gz")
        self.assertEqual(body, samples.volume("example4d.nii.gz").read_bytes())
        self.assertEqual(curl_json(f"{daemon.url}timeout")["timeout_minutes"], 180)

    def test_first_command(self) -> None:
        """With no setting but a port, ./output is made and served over HTTPS."""
        daemon = self.daemon()
        (self.folder / "output" / "a.txt").write_text("hello")
        self.assertEqual(self.get(daemon, "a.txt"), b"hello")
        self.assertIn("a.txt", self.get(daemon, "", Accept="text/html").decode())
