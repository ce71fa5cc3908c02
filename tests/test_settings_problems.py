"""Settings: what is wrong between them, all problems at once, and what documents say."""

import os
import re
from dataclasses import replace
from pathlib import Path

from dotenv import dotenv_values

from imgd.settings import Settings, SettingsError
from imgd.settings.table import TABLE, Setting
from tests.test_settings import FolderListings

PROJECT = Path(__file__).resolve().parent.parent


class Conflicts(FolderListings):
    def test_certificate_and_key(self) -> None:
        """A certificate needs its key and a key its certificate, whatever gave them."""
        cert, key = self.write("c.pem"), self.write("k.pem")
        settings = self.load({"cert": "c.pem"}, {"IMGD_KEY": key})
        self.assertEqual((settings.cert, settings.key), (cert, key))
        self.assert_told(self.problems({"cert": cert}), f"--cert: {cert!r} needs its --key")
        self.assert_told(
            self.problems({}, {"IMGD_KEY": key}), f"IMGD_KEY: {key!r} needs its --cert"
        )
        self.assert_told(
            self.problems({"cert": "gone", "key": key}), "--cert: 'gone' does not exist"
        )

    def test_certificate_without_tls(self) -> None:
        """--no-tls leaves a certificate that was named unused."""
        pair = {"IMGD_CERT": self.write("c.pem"), "IMGD_KEY": self.write("k.pem")}
        self.assertFalse(self.load({"no-tls": 1}, pair).tls)

    def test_ports(self) -> None:
        """Two listeners need two ports, unless the system chooses them."""
        self.assert_told(
            self.problems({"http-port": "8888"}), "--http-port: '8888' is the main port already"
        )
        self.assertEqual(self.problems({"http-port": "0", "port": "0"}), [])
        self.assert_told(self.problems({"port": "x", "http-port": "8888"}), "--port: 'x'")

    def test_state_folder_in_document_root(self) -> None:
        """The state folder is never below the document root, by whatever links it lies there."""
        root = self.make("root")
        os.symlink(root, self.cwd / "link")
        for state in ("root", "root/state", "link/deep/state"):
            self.assert_told(
                self.problems({"images-dir": "root", "state-dir": state}),
                f"--state-dir: {state!r} lies inside the document root",
            )
        self.assertEqual(self.problems({"images-dir": "root", "state-dir": "rootstate"}), [])

    def test_document_root_in_state_folder(self) -> None:
        """Nor is the document root, named or not, below the state folder."""
        root = self.make("state", "root")
        self.assert_told(
            self.problems({"state-dir": "state"}, {"IMGD_IMAGES_DIR": root}),
            f"IMGD_IMAGES_DIR: {root!r} lies inside the state folder",
        )
        self.assert_told(self.problems({"state-dir": "."}), "--images-dir: its default ")

    def test_allowed_roots_and_state_folder(self) -> None:
        """A root in the state folder is a problem; one that holds it keeps it forbidden anyway."""
        root = self.make("state", "root")
        self.assert_told(
            self.problems({"state-dir": "state", "allow-root": ["state/root"]}),
            f"--allow-root: {root!r} lies inside the state folder",
        )
        self.assertEqual(self.problems({"allow-root": [str(self.cwd.parent)]}), [])


class AllAtOnce(FolderListings):
    def test_every_problem(self) -> None:
        """Problems of all sources and of the caller's checks are told together, with keys."""

        def check(settings: Settings) -> list[str]:
            return [f"seen with port {settings.port}"]

        problems = self.problems(
            {"port": "99999", "cert": "gone.pem", "tls-name": ["ok.example", "not ok", "nor,this"]},
            {"IMAGE_SERVER_TIMEOUT": "-5", "IMGD_CORS_ORIGINS": "https://ok.example,bad"},
            env_file="IMGD_PUBLIC_URL=images\nIMGD_TOKEN=secret\nIMGD_FOLLOW_SYMLINKS=perhaps\n",
            checks=[check],
        )
        self.assert_told(
            problems,
            "--port: '99999' is not a port; give a whole number from 0 to 65535",
            "--cert: 'gone.pem' does not exist",
            "--tls-name: 'not ok' is not",
            "--tls-name: 'nor,this' is not",
            "IMAGE_SERVER_TIMEOUT: '-5' is not",
            ".env: IMGD_TOKEN: it must be",
            "IMGD_CORS_ORIGINS: 'bad' is not",
            ".env: IMGD_PUBLIC_URL: 'images' is not",
            ".env: IMGD_FOLLOW_SYMLINKS: 'perhaps' is neither",
            "seen with port 8888",
        )
        self.assertNotIn("secret", "".join(problems))

    def test_checks_alone(self) -> None:
        """A caller's check alone refuses settings that are right by themselves."""
        self.assertEqual(self.problems(checks=[lambda _: ["no", "no", "never"]]), ["no", "never"])

    def test_checks_see_no_half_pair(self) -> None:
        """A check is not given one of certificate and key where the other cannot be read."""
        seen: list[tuple[str | None, str | None]] = []

        def check(settings: Settings) -> list[str]:
            seen.append((settings.cert, settings.key))
            return []

        self.problems({"cert": self.write("c.pem"), "key": "gone"}, checks=[check])
        self.assertEqual(seen, [(None, None)])

    def test_one_line_each(self) -> None:
        """A value with control characters does not break its line."""
        (problem,) = self.problems({"host": "a\r\nb\x1b[31m"})
        self.assertTrue(problem.isprintable())

    def test_the_error_itself(self) -> None:
        """The error reads as all its problems."""
        with self.assertRaises(SettingsError) as caught:
            self.load({"port": "x", "timeout": "y"})
        self.assertEqual(caught.exception.detail, "; ".join(caught.exception.problems))


class Documents(FolderListings):
    """What is written about settings says what the table says."""

    def keys(self) -> set[str]:
        keys = [key for setting in TABLE for key in setting.keys]
        return {key.name for key in keys} | {key.base for key in keys if key.base}

    def test_the_table_fills_settings(self) -> None:
        """Every field has its row, but for those that tell how others were found."""
        told = {"images_dir_is_default", "settings_file"}
        fields = set(Settings.__dataclass_fields__) - told
        self.assertEqual([setting.field for setting in TABLE].count("port"), 1)
        self.assertEqual({setting.field for setting in TABLE}, fields)
        self.assertEqual(len(TABLE), len(fields))

    def test_reference(self) -> None:
        """docs/configuration.md has exactly the table's rows, in its order and words."""
        text = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| `--")]
        self.assertEqual(rows, [_row(setting) for setting in TABLE])

    def test_example_has_every_key(self) -> None:
        """.env.example has a line for each key and for no other, each after a comment."""
        text = (PROJECT / ".env.example").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"(?m)^#([A-Z_]+)=", text)), self.keys())
        for block in text.split("\n\n"):
            self.assertTrue(block.startswith("# "), block)

    def test_example_as_it_is(self) -> None:
        """A copy of .env.example changes nothing."""
        text = (PROJECT / ".env.example").read_text(encoding="utf-8")
        plain = self.load()
        self.assertEqual(self.load(env_file=text), plain)

    def test_example_uncommented(self) -> None:
        """With every line in effect, it still says the defaults."""
        self.make("output")
        plain = self.load()
        text = (PROJECT / ".env.example").read_text(encoding="utf-8")
        settings = self.load(env_file=re.sub(r"(?m)^#(?=[A-Z_]+=)", "", text))
        self.assertEqual(set(dotenv_values(self.cwd / ".env")), self.keys())
        self.assertEqual(settings, replace(plain, images_dir_is_default=False))


def _row(setting: Setting) -> str:
    names = [f"`--{setting.options[0]}`", *([f"`-{setting.short}`"] if setting.short else [])]
    names += [f"`--{alias}`" for alias in setting.options[1:]]
    names += ["repeatable"] if setting.many else []
    keys = ", ".join(re.sub(r"\b[A-Z]+_[A-Z_]+\b", r"`\g<0>`", k.describe()) for k in setting.keys)
    return (
        f"| {', '.join(names)} |{f' {keys} ' if keys else ' '}| {setting.shown} | {setting.help} |"
    )
