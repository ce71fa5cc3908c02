"""The ways to install imgd that the documents give: a container and a systemd unit."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from urllib.error import HTTPError

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.settings.table import TABLE
from tests import samples
from tests.daemons import CHECKOUT, PATIENCE, Daemon, DaemonCase, environment

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text("utf-8")
DOCUMENTS = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md"), CHECKOUT / "Dockerfile"]
UNIT = re.compile(r"```ini\n(\[Unit\].*?)```", re.DOTALL)


def instructions(name: str) -> list[str]:
    """What follows each instruction of this name in the Dockerfile."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


class NameTests(SynchronousTestCase):
    def test_no_foreign_package(self) -> None:
        """No command installs by the name imgd, which anybody could take in the package index."""
        for path in DOCUMENTS:
            blocks = re.findall(r"```\w*\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
            text = "\n".join(blocks) if path.suffix == ".md" else DOCKERFILE
            for line in re.findall(r"pip install ([^&|;\n]*)", text):
                self.assertNotRegex(line, r"(^|\s)['\"]?imgd\b", path)


class ContainerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)

    def test_sources(self) -> None:
        """What the Dockerfile copies is all that imgd is made of: the wheel has every file."""
        if importlib.util.find_spec("hatchling") is None:
            raise SkipTest("there is no hatchling here")
        source = self.folder / "source"
        source.mkdir()
        for words in map(str.split, instructions("COPY")):
            if words[0].startswith("--from"):
                continue
            for name in words[:-1]:
                path = CHECKOUT / name
                copy = shutil.copytree if path.is_dir() else shutil.copyfile
                copy(path, source / name)
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", *options, "-w", str(self.folder), str(source)],
            check=True,
            timeout=PATIENCE,
            env=environment(self.folder),
        )
        [wheel] = self.folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            packed = {name for name in archive.namelist() if ".dist-info" not in name}
        files = [*(CHECKOUT / "imgd").rglob("*"), *(CHECKOUT / "twisted").rglob("*.py")]
        expected = {
            str(path.relative_to(CHECKOUT))
            for path in files
            if path.is_file() and "__pycache__" not in path.parts
        }
        self.assertEqual(packed, expected)

    def test_settings(self) -> None:
        """Its variables are settings; its user is not root, and its state is a volume."""
        known = {variable.name for row in TABLE for variable in row.variables}
        given = dict(word.split("=", 1) for words in instructions("ENV") for word in words.split())
        self.assertLessEqual(given.keys() - {"PATH"}, known)
        self.assertEqual(instructions("VOLUME"), [given["IMGD_STATE_DIR"]])
        self.assertEqual(instructions("USER"), ["imgd"])
        [command] = (json.loads(words) for words in instructions("CMD"))
        self.assertEqual(command[0], "twistd")

    def test_health(self) -> None:
        """Its health check succeeds while imgd serves, privately too, and fails when it is gone."""
        daemon = Daemon(self.folder, "--private")
        self.addCleanup(daemon.stop)
        [check] = re.findall(r"^HEALTHCHECK .*CMD (.+)$", DOCKERFILE, re.MULTILINE)
        program, *words = json.loads(check)
        self.assertEqual(program, "imgd")
        command = [sys.executable, "-m", "imgd.client.cli", *words]
        env = environment(self.folder, {"IMGD_STATE_DIR": str(self.folder / "state")})

        def status() -> int:
            done = subprocess.run(command, env=env, capture_output=True, timeout=PATIENCE)
            return done.returncode

        self.assertEqual(status(), 0)
        daemon.stop()
        self.assertEqual(status(), 1)


# trial -j gives its workers the folders of every package by PYTHONPATH.
OWN_PACKAGES = {"PYTHONPATH": str(CHECKOUT)}


class BaseTests(DaemonCase):
    """imgd without the packages of its extra ``pictures``."""

    def python(self) -> Path:
        """The interpreter of an environment that has every package but those."""
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
        extra = project["optional-dependencies"]["pictures"]
        names = [re.split("[<>=]", requirement)[0] for requirement in extra]
        imported = {"pillow": "PIL", "pylibjpeg-openjpeg": "openjpeg", "pyjpegls": "jpeg_ls"}
        modules = {imported.get(name, name) for name in names}
        command = [sys.executable, "-m", "venv", "--without-pip", str(self.folder / "venv")]
        subprocess.run(command, check=True, timeout=PATIENCE)
        python = self.folder / "venv" / "bin" / "python"
        [packages] = (self.folder / "venv" / "lib").glob("python*/site-packages")
        for installed in map(Path, site.getsitepackages()):
            for path in installed.iterdir():
                if path.name not in modules and not (packages / path.name).exists():
                    (packages / path.name).symlink_to(path)
        for module in modules:
            command = [str(python), "-c", f"import {module}"]
            missing = subprocess.run(command, stderr=subprocess.PIPE, env=OWN_PACKAGES)
            self.assertIn(b"ModuleNotFoundError", missing.stderr, module)
        return python

    def test_serves(self) -> None:
        """The daemon starts, serves files and lists folders, and says how pictures are had."""
        (self.folder / "output").mkdir()
        samples.picture(self.folder / "output" / "photo.png")
        twistd = (str(self.python()), "-c", "from twisted.scripts.twistd import run; run()")
        daemon = self.daemon(program=twistd, env=OWN_PACKAGES)
        photo = (self.folder / "output" / "photo.png").read_bytes()
        self.assertEqual(self.get(daemon, "/photo.png"), photo)
        self.assertIn(b"photo.png", self.get(daemon, "/?view=gallery", Accept="text/html"))
        with self.assertRaises(HTTPError) as refused:
            self.get(daemon, "/photo.png?thumb")
        self.assertEqual(refused.exception.code, 501)
        self.assertIn(b"imgd[pictures]", refused.exception.read())
        health = json.loads(self.get(daemon, "/health"))
        self.assertEqual(health["status"], "healthy")
        daemon.stop()
        self.assertEqual([line for line in daemon.lines if "Traceback" in line], [])


class UnitTests(SynchronousTestCase):
    def setUp(self) -> None:
        text = (CHECKOUT / "docs" / "configuration.md").read_text("utf-8")
        [self.unit] = UNIT.findall(text)
        self.commands = text.partition("### A systemd unit")[2].partition("```ini")[0]

    def test_verify(self) -> None:
        """systemd finds nothing wrong with the unit, but that its program is not installed here."""
        if shutil.which("systemd-analyze") is None:
            raise SkipTest("there is no systemd-analyze here")
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        path = folder / "imgd.service"
        path.write_text(self.unit.replace("/opt/imgd/bin/twistd", sys.executable), "utf-8")
        command = ["systemd-analyze", "verify", "--man=no", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        about_it = [line for line in done.stderr.splitlines() if "imgd" in line]
        self.assertEqual((done.returncode, about_it), (0, []))

    def test_environment(self) -> None:
        """The program and the user of the unit are those that the lines above it make."""
        settings = dict(re.findall(r"^(\w+)=(.*)$", self.unit, re.MULTILINE))
        program, *_, root = shlex.split(settings["ExecStart"])
        venv = program.removesuffix("/bin/twistd")
        self.assertIn(f"python3 -m venv {venv}\n", self.commands)
        self.assertIn(f'{venv}/bin/pip install ".[pictures]"\n', self.commands)
        self.assertRegex(self.commands, rf"useradd .* {settings['User']}\n")
        self.assertIn(f"mkdir -p {root}\n", self.commands)
