"""Settings: their defaults, what is wrong between them, and all problems at once."""

import os
from dataclasses import FrozenInstanceError

import platformdirs

from imgd.settings import Settings, SettingsError, load
from tests.settings.settings_case import TOKEN, SettingsCase


class DefaultTests(SettingsCase):
    def test_everything_has_a_default(self) -> None:
        """With nothing given, the settings are these."""
        self.assertEqual(
            load({}, {}, str(self.cwd)),
            Settings(
                compat_b=False,
                port=8888,
                host="localhost",
                http_port=None,
                tls=True,
                images_dir=str(self.cwd / "output"),
                images_dir_is_default=True,
                cert=None,
                key=None,
                tls_names=(),
                generate_certs=False,
                state_dir=platformdirs.user_state_dir("imgd", appauthor=False),
                timeout_minutes=30,
                frame_base_dir=str(self.cwd),
                allow_roots=(),
                token=None,
                allow_hosts=("localhost", "127.0.0.1", "::1"),
                cors_origins=(),
                public_url=None,
                follow_symlinks=False,
                private=False,
                patient_data=False,
                require_token=False,
                header_timeout=20,
                body_timeout=30,
                handshake_timeout=10,
                idle_timeout=75,
                stall_timeout=60,
                disk_timeout=60,
                max_age=0,
                niivue=None,
                max_connections=None,
                max_per_client=None,
                proxies=(),
                grace=30,
                memory_cache=64,
                archive_limit=100_000,
                picture_workers=None,
                picture_pixels=50_000_000,
                picture_timeout=10,
                picture_cache=512,
                access_log=None,
                env_file=None,
                settings_file=None,
                warnings=(),
            ),
        )

    def test_compat_b(self) -> None:
        """One line makes imgd what clients of the older server of frames expect; what is given
        besides counts.
        """
        for options, environ, env_file in (
            ({"compat-b": 1}, {}, ""),
            ({}, {"IMGD_COMPAT_B": "1"}, ""),
            ({}, {}, "IMGD_COMPAT_B=yes\n"),
        ):
            settings = self.load(options, environ, env_file=env_file)
            self.assertEqual((settings.port, settings.host, settings.tls), (7779, "0.0.0.0", False))
        environ = {"IMAGE_SERVER": "https://localhost"}
        settings = self.load({"port": "1"}, environ, env_file="IMGD_COMPAT_B=yes\n")
        self.assertEqual((settings.port, settings.host, settings.tls), (1, "localhost", True))
        self.assert_problems(
            self.problems({"compat-b": 1, "http-port": "7779"}),
            "--http-port: '7779' is the main port already",
        )

    def test_nothing_is_made(self) -> None:
        """Reading settings makes no folder."""
        self.load()
        self.assertEqual(os.listdir(self.cwd), [])
        self.assertFalse(self.state.exists())

    def test_frozen(self) -> None:
        """Settings cannot be changed."""
        with self.assertRaises(FrozenInstanceError):
            self.load().port = 1  # type: ignore[misc]

    def test_the_token_is_not_shown(self) -> None:
        """The token does not appear where settings are shown."""
        settings = self.load({"token": TOKEN})
        self.assertEqual(settings.token, TOKEN)
        self.assertNotIn(TOKEN, repr(settings))


class ConflictTests(SettingsCase):
    def test_certificate_and_key(self) -> None:
        """A certificate needs its key and a key its certificate, whatever gave them."""
        cert, key = self.write("c.pem"), self.write("k.pem")
        settings = self.load({"cert": "c.pem"}, {"IMGD_KEY": key})
        self.assertEqual((settings.cert, settings.key), (cert, key))
        self.assert_problems(self.problems({"cert": cert}), f"--cert: {cert!r} needs its --key")
        self.assert_problems(
            self.problems({}, {"IMGD_KEY": key}), f"IMGD_KEY: {key!r} needs its --cert"
        )
        self.assert_problems(
            self.problems({"cert": "gone", "key": key}), "--cert: 'gone' does not exist"
        )

    def test_certificate_without_tls(self) -> None:
        """--no-tls leaves a certificate that was named unused."""
        pair = {"IMGD_CERT": self.write("c.pem"), "IMGD_KEY": self.write("k.pem")}
        self.assertFalse(self.load({"no-tls": 1}, pair).tls)

    def test_ports(self) -> None:
        """Two listeners need two ports, unless the system chooses them."""
        self.assert_problems(
            self.problems({"http-port": "8888"}), "--http-port: '8888' is the main port already"
        )
        self.assertEqual(self.problems({"http-port": "0", "port": "0"}), [])
        self.assert_problems(self.problems({"port": "x", "http-port": "8888"}), "--port: 'x'")

    def test_state_folder_in_document_root(self) -> None:
        """The state folder is never below the document root, by whatever links it lies there."""
        root = self.make("root")
        os.symlink(root, self.cwd / "link")
        for state in ("root", "root/state", "link/deep/state"):
            self.assert_problems(
                self.problems({"images-dir": "root", "state-dir": state}),
                f"--state-dir: {state!r} lies inside the document root",
            )
        self.assertEqual(self.problems({"images-dir": "root", "state-dir": "rootstate"}), [])

    def test_document_root_in_state_folder(self) -> None:
        """The document root, named or not, is never below the state folder."""
        root = self.make("state", "root")
        self.assert_problems(
            self.problems({"state-dir": "state"}, {"IMGD_IMAGES_DIR": root}),
            f"IMGD_IMAGES_DIR: {root!r} lies inside the state folder",
        )
        self.assert_problems(self.problems({"state-dir": "."}), "--images-dir: its default ")

    def test_allowed_roots_and_state_folder(self) -> None:
        """A root in the state folder is a problem; one that holds it keeps it forbidden anyway."""
        root = self.make("state", "root")
        self.assert_problems(
            self.problems({"state-dir": "state", "allow-root": ["state/root"]}),
            f"--allow-root: {root!r} lies inside the state folder",
        )
        self.assertEqual(self.problems({"allow-root": [str(self.cwd.parent)]}), [])


class AllAtOnceTests(SettingsCase):
    def test_every_problem(self) -> None:
        """Problems of all sources and of the caller's checks are reported together, with names."""

        def check(settings: Settings) -> list[str]:
            return [f"seen with port {settings.port}"]

        problems = self.problems(
            {"port": "99999", "cert": "gone.pem", "tls-name": ["ok.example", "not ok", "nor,this"]},
            {"IMAGE_SERVER_TIMEOUT": "-5", "IMGD_CORS_ORIGINS": "https://ok.example,bad"},
            env_file="IMGD_PUBLIC_URL=images\nIMGD_TOKEN=secret\nIMGD_FOLLOW_SYMLINKS=perhaps\n",
            checks=[check],
        )
        self.assert_problems(
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
        """A check is not given one of certificate and key if the other cannot be read."""
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
