"""Settings: where they come from, and which source comes first."""

import os

import platformdirs
from twisted.trial.unittest import SkipTest

from imgd.settings import SettingsError, find_state_dir, load
from tests.settings.settings_case import FileCase, SettingsCase


class PrecedenceTests(SettingsCase):
    def test_options_environment_file_default(self) -> None:
        """An option comes before the environment, that before .env, that before the default."""
        environ = {"IMAGE_SERVER_PORT": "2"}
        self.assertEqual(self.load(env_file="IMAGE_SERVER_PORT=3").port, 3)
        self.assertEqual(self.load({}, environ).port, 2)
        self.assertEqual(self.load({"port": "1"}, environ).port, 1)
        self.assertEqual(self.load({"port": None}, environ).port, 2)

    def test_environment_before_file_whatever_the_key(self) -> None:
        """Any key of the environment comes before the first key of .env."""
        environ = {"NIFTI_IMAGE_SERVER": "https://b:2"}
        settings = self.load({}, environ, env_file="IMAGE_SERVER_PORT=3\nIMAGE_SERVER_HOST=c")
        self.assertEqual((settings.port, settings.host), (2, "b"))

    def test_keys_in_the_order_of_the_table(self) -> None:
        """Within one source, the keys of a setting are tried in the table's order."""
        environ = {"NIFTI_IMAGE_SERVER": "c:3", "IMAGE_SERVER": "b:2", "IMAGE_SERVER_HOST": "a"}
        settings = self.load({}, environ)
        self.assertEqual((settings.port, settings.host), (2, "a"))

    def test_empty_is_unset(self) -> None:
        """An empty value of the environment or of .env lets the next source speak."""
        environ = {"IMAGE_SERVER_PORT": "", "IMGD_CORS_ORIGINS": " , ", "IMGD_TOKEN": " "}
        settings = self.load({}, environ, env_file="IMAGE_SERVER_PORT=3\nIMAGE_SERVER_HOST=\nX")
        self.assertEqual((settings.port, settings.host), (3, "localhost"))
        self.assertEqual((settings.cors_origins, settings.token), ((), None))

    def test_an_empty_option_is_a_problem(self) -> None:
        """A script whose variable is not set must not open what it meant to close."""
        problems = self.problems({"allow-root": [""], "images-dir": " ", "token": ""})
        self.assert_problems(
            problems,
            "--images-dir: '' is empty",
            "--allow-root: '' is empty",
            "--token: it is empty",
        )

    def test_options_replace_lists(self) -> None:
        """Values of a repeated option replace the environment's, in their order."""
        environ = {"IMGD_TLS_NAMES": "a.example, b.example,a.example"}
        self.assertEqual(self.load({}, environ).tls_names, ("a.example", "b.example"))
        given = {"tls-name": ["z.example", "y.example"]}
        self.assertEqual(self.load(given, environ).tls_names, ("z.example", "y.example"))

    def test_the_environment_is_left_alone(self) -> None:
        """.env is read without changing the process's environment."""
        before = dict(os.environ)
        self.load(env_file="IMAGE_SERVER_PORT=1\nIMGD_NEVER_SEEN=2\n")
        self.assertEqual(dict(os.environ), before)

    def test_a_bad_value_that_is_not_used_is_no_problem(self) -> None:
        """Only what is in effect is judged."""
        self.assertEqual(self.load({"port": "1"}, {"IMAGE_SERVER_PORT": "x"}).port, 1)


class EnvFileTests(SettingsCase):
    def test_named_file(self) -> None:
        """--env-file names another file, relative to the working folder, instead of .env."""
        self.write("other.env", "IMAGE_SERVER_PORT=4")
        settings = self.load({"env-file": "other.env"}, env_file="IMAGE_SERVER_TIMEOUT=1")
        self.assertEqual((settings.port, settings.timeout_minutes), (4, 30))
        self.assertEqual(settings.env_file, str(self.cwd / "other.env"))

    def test_missing_named_file(self) -> None:
        """A named file that is missing is a problem; a missing .env is none."""
        self.assert_problems(
            self.problems({"env-file": "gone.env", "port": "x"}),
            "--env-file: 'gone.env' does not exist",
            "--port: 'x' is not a port",
        )
        self.assertEqual(self.problems(), [])

    def test_a_folder(self) -> None:
        """A folder named .env, as virtual environments are, is not read."""
        self.make(".env")
        self.assertEqual(self.load().port, 8888)
        self.assert_problems(self.problems({"env-file": ".env"}), "--env-file: '.env' is a folder")

    def test_quotes_comments_references_and_bom(self) -> None:
        """Lines are read as python-dotenv reads them, with a byte order mark before the first."""
        text = (
            "\ufeffIMAGE_SERVER_PORT=\"12\"\nexport N='34' # a number\nIMAGE_SERVER_TIMEOUT=${N}\n"
        )
        settings = self.load(env_file=text)
        self.assertEqual((settings.port, settings.timeout_minutes), (12, 34))

    def test_not_utf_8(self) -> None:
        """A file that is not UTF-8 is a problem."""
        (self.cwd / ".env").write_bytes(b"IMAGE_SERVER_HOST=\xff\xfe")
        (problem,) = self.problems()
        self.assertIn(".env' cannot be read: it is not UTF-8", problem)

    def test_unreadable(self) -> None:
        """A file without permission to read is a problem."""
        name = self.write(".env")
        os.chmod(name, 0)
        if os.access(name, os.R_OK):
            raise SkipTest("this user may read every file")
        (problem,) = self.problems()
        self.assertIn("cannot be read", problem)

    def test_problems_name_the_file(self) -> None:
        """A problem of a line names the file and the key."""
        self.assert_problems(
            self.problems(env_file="IMAGE_SERVER_PORT=x"), ".env: IMAGE_SERVER_PORT: 'x' is not"
        )
        self.write("other.env", "IMGD_CERT=gone.pem")
        (problem,) = self.problems({"env-file": "other.env"})
        self.assertEqual(problem, "other.env: IMGD_CERT: 'gone.pem' does not exist")


class OlderServerTests(SettingsCase):
    def test_volumes(self) -> None:
        """The settings of the HTTPS server of volumes work unchanged."""
        root = self.make("vista", "output")
        settings = self.load(
            env_file=f'IMAGE_SERVER="https://localhost:9443"\nNIFTI_IMAGE_SERVER="https://x:1"\n'
            f'PROJECT_ROOT="{self.cwd / "vista"}"\nLOCAL_IMAGES_PATH="output"\n'
        )
        self.assertEqual((settings.port, settings.host, settings.tls), (9443, "localhost", True))
        self.assertEqual((settings.images_dir, settings.images_dir_is_default), (root, False))

    def test_frames(self) -> None:
        """The settings of the server of frames work unchanged."""
        frames = self.make("frames")
        environ = {
            "IMAGE_SERVER_HOST": "0.0.0.0",
            "IMAGE_SERVER_PORT": "7779",
            "IMAGE_SERVER_TIMEOUT": "180",
            "FRAME_BASE_DIR": frames,
            "NGROK_DOMAIN": "demo.ngrok.app",
        }
        settings = self.load({}, environ)
        self.assertEqual(
            (settings.host, settings.port, settings.timeout_minutes, settings.frame_base_dir),
            ("0.0.0.0", 7779, 180, frames),
        )
        self.assertEqual(settings.public_url, "https://demo.ngrok.app")

    def test_addresses(self) -> None:
        """IMAGE_SERVER is a URL or HOST:PORT; what it does not say comes from others."""
        for text, port, host, tls in (
            ("http://localhost:8080", 8080, "localhost", False),
            ("HTTPS://0.0.0.0:8443/", 8443, "0.0.0.0", True),
            ("https://Box.local:1/output", 1, "box.local", True),
            ("localhost:7000", 7000, "localhost", True),
            ("http://[::1]:5", 5, "::1", False),
            ("http://box", 3, "box", False),
        ):
            environ = {"IMAGE_SERVER": text, "NIFTI_IMAGE_SERVER": "http://other:3"}
            settings = self.load({}, environ)
            self.assertEqual((settings.port, settings.host, settings.tls), (port, host, tls), text)

    def test_only_image_server_turns_tls_off(self) -> None:
        """The scheme of NIFTI_IMAGE_SERVER does not matter."""
        self.assertTrue(self.load({}, {"NIFTI_IMAGE_SERVER": "http://localhost:1"}).tls)
        self.assertFalse(self.load({"no-tls": 1}, {"IMAGE_SERVER": "https://localhost"}).tls)

    def test_no_address(self) -> None:
        """An IMAGE_SERVER that is no address is one problem, though three settings look there."""
        for text in ("ftp://localhost:8888", "://x", "https://", "a b", "host:port", "h:99:1"):
            self.assert_problems(
                self.problems({}, {"IMAGE_SERVER": text}),
                f"IMAGE_SERVER: {text!r} is not a server's address",
            )

    def test_project_root(self) -> None:
        """LOCAL_IMAGES_PATH is relative to PROJECT_ROOT, else to the working folder."""
        below, here = self.make("project", "images"), self.make("images")
        environ = {"LOCAL_IMAGES_PATH": "images"}
        self.assertEqual(self.load({}, environ).images_dir, here)
        self.assertEqual(self.load({}, {**environ, "PROJECT_ROOT": "project"}).images_dir, below)
        self.assertEqual(self.load({}, environ, env_file="PROJECT_ROOT=project").images_dir, below)
        absolute = {"LOCAL_IMAGES_PATH": here, "PROJECT_ROOT": "project"}
        self.assertEqual(self.load({}, absolute).images_dir, here)
        self.assertEqual(
            self.load({}, {**absolute, "IMGD_IMAGES_DIR": "project/images"}).images_dir, below
        )

    def test_ngrok(self) -> None:
        """NGROK_URL and NGROK_DOMAIN may have a scheme or not; IMGD_PUBLIC_URL comes first."""
        for environ, url in (
            ({"NGROK_DOMAIN": "a.ngrok.app"}, "https://a.ngrok.app"),
            ({"NGROK_DOMAIN": "http://a.ngrok.app/"}, "http://a.ngrok.app"),
            ({"NGROK_URL": "https://b.ngrok.app/", "NGROK_DOMAIN": "a"}, "https://b.ngrok.app"),
            ({"NGROK_URL": "b.ngrok.app"}, "https://b.ngrok.app"),
            ({"IMGD_PUBLIC_URL": "http://c/x/", "NGROK_URL": "https://b"}, "http://c/x"),
        ):
            self.assertEqual(self.load({}, environ).public_url, url)


class StateFolderTests(FileCase):
    """What a client asks, who has none of the daemon's options."""

    def state_dir(self, **environ: str) -> str:
        return find_state_dir(environ, str(self.cwd))

    def test_precedence(self) -> None:
        """The environment comes first, then .env in the working folder, then the default."""
        self.assertEqual(self.state_dir(), platformdirs.user_state_dir("imgd", appauthor=False))
        self.file.write_text("IMGD_STATE_DIR=state\n")
        self.assertEqual(self.state_dir(), str(self.cwd / "state"))
        self.assertEqual(self.state_dir(), load({}, {}, str(self.cwd)).state_dir)
        self.assertEqual(self.state_dir(STATE_DIRECTORY="/a:/b"), "/a")

    def test_refused(self) -> None:
        """A .env that others can write is refused if the environment names no state folder."""
        os.chmod(self.cwd, 0o777)
        self.assertEqual(self.state_dir(IMGD_STATE_DIR="/a"), "/a")
        with self.assertRaises(SettingsError) as caught:
            self.state_dir()
        self.assertIn(f"every user can write {self.cwd}:", caught.exception.detail)

    def test_unusable(self) -> None:
        """A state folder that cannot be one is an error that names the key."""
        with self.assertRaises(SettingsError) as caught:
            self.state_dir(IMGD_STATE_DIR=str(self.file))
        self.assertEqual(
            caught.exception.detail, f"IMGD_STATE_DIR: {str(self.file)!r} is not a folder"
        )
