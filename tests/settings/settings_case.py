"""A working folder to load settings in, and a ``.env`` in it."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.settings import Check, Settings, SettingsError, load

TOKEN = "A-token_with.all~of+the/signs=="
ENV_FILE = "IMAGE_SERVER_PORT=3\n"


class SettingsCase(SynchronousTestCase):
    """A working folder with nothing in it, and a state folder outside of it."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).resolve()
        self.cwd = folder / "work"
        self.cwd.mkdir(parents=True)
        self.state = folder / "state"

    def load(
        self,
        options: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        env_file: str = "",
        checks: Iterable[Check] = (),
    ) -> Settings:
        if env_file:
            (self.cwd / ".env").write_text(env_file, encoding="utf-8")
        chosen = {"state-dir": str(self.state), **(options or {})}
        return load(chosen, environ or {}, str(self.cwd), checks)

    def problems(
        self,
        options: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        env_file: str = "",
        checks: Iterable[Check] = (),
    ) -> list[str]:
        try:
            self.load(options, environ, env_file=env_file, checks=checks)
        except SettingsError as error:
            return list(error.problems)
        return []

    def make(self, *names: str) -> str:
        folder = self.cwd.joinpath(*names)
        folder.mkdir(parents=True)
        return str(folder)

    def write(self, name: str, text: str = "") -> str:
        (self.cwd / name).write_text(text, encoding="utf-8")
        return str(self.cwd / name)

    def assert_problems(self, problems: list[str], *starts: str) -> None:
        self.assertEqual(len(problems), len(starts), problems)
        for problem, start in zip(problems, starts, strict=True):
            self.assertTrue(problem.startswith(start), f"{problem!r} does not start with {start!r}")


class FileCase(SettingsCase):
    def setUp(self) -> None:
        super().setUp()
        if os.name != "posix":
            raise SkipTest("there are no such owners here")
        os.chmod(self.cwd, 0o755)
        self.file = Path(self.write(".env", ENV_FILE))
        os.chmod(self.file, 0o644)

    def assert_read(self, **options: str) -> None:
        settings = self.load({name.replace("_", "-"): path for name, path in options.items()})
        self.assertEqual(settings.port, 3)

    def assert_refused(self, why: str, **options: str) -> None:
        (problem,) = self.problems({n.replace("_", "-"): path for n, path in options.items()})
        self.assertIn("is not read, as ", problem)
        self.assertIn(why, problem)
        self.assertIn("chmod", problem)
