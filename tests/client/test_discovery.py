"""Which server, which CA, which token; URLs, and what is none."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.discovery import find_server, origin_of, redirected, split_url
from imgd.client.errors import ClientError, InvalidResponse
from imgd.core.urls import Origin
from imgd.errors import BadRequest
from imgd.host import instance_lock
from imgd.host.atomic_files import make_private_folder, write_file
from imgd.host.secret_files import TOKEN

PEM = b"a certificate, for these tests"
NO_URLS = (
    "https://a/\r\nX: y",
    "https://a/b c",
    "https://a/\x00",
    "https://a/ü",
    "file:///etc/passwd",
    "https://",
    "",
)


class Discovery(SynchronousTestCase):
    def setUp(self) -> None:
        self.state_dir = os.path.abspath(self.mktemp())
        self.environ = {"IMGD_STATE_DIR": self.state_dir}
        make_private_folder(self.state_dir)
        self.ca = os.path.join(self.state_dir, "ca.pem")
        write_file(self.ca, PEM)
        self.token = TOKEN.read_or_make(self.state_dir)

    def run_daemon(self, *urls: str, ca: bool = True) -> None:
        held = instance_lock.acquire(self.state_dir)
        held.publish(urls, self.ca if ca else None)
        self.addCleanup(held.release)

    def test_the_local_daemon(self) -> None:
        """The daemon that runs here is found, with its CA and its token."""
        self.run_daemon("https://localhost:4711/", "http://localhost:4712/")
        server = find_server(self.environ)
        self.assertEqual(
            (server.url, server.ca, server.token), ("https://localhost:4711", PEM, self.token)
        )
        self.assertTrue(server.is_local)
        self.assertEqual(server.ca_for(Origin("https", "localhost", 4711)), PEM)
        self.assertIsNone(server.ca_for(Origin("https", "tunnel.example", 443)))

    def test_its_other_names(self) -> None:
        """A daemon of every address is found by each URL that it published, and by no other."""
        self.run_daemon("https://localhost:4711/", "https://box.example:4711/")
        server = find_server(self.environ, url="https://Box.example:4711")
        self.assertEqual((server.ca, server.token, server.is_local), (PEM, self.token, True))
        for url in ("http://box.example:4711", "https://box.example", "https://far.example:4711"):
            server = find_server(self.environ, url=url)
            self.assertEqual((server.ca, server.token, server.is_local), (None, None, False))

    def test_its_origins(self) -> None:
        """Where the daemon runs here all its URLs are its own; elsewhere, only the one asked."""
        self.run_daemon("https://localhost:4711/", "http://localhost:4712/")
        https, http = Origin("https", "localhost", 4711), Origin("http", "localhost", 4712)
        other = Origin("https", "127.0.0.1", 4711)
        far = Origin("https", "far.example", 4711)
        for url, origins in (
            (None, {https, http}),
            ("https://127.0.0.1:4711", {https, http, other}),
            ("https://far.example:4711", {far}),
        ):
            self.assertEqual(find_server(self.environ, url=url).origins, origins, url)

    def test_public_urls(self) -> None:
        """A public URL is one that the user names, by option before the environment, or that the
        daemon announces which runs here; no other server's word counts.
        """
        self.run_daemon("https://localhost:4711/")
        tunnel, other = Origin("https", "x.example", 443), Origin("https", "y.example", 443)
        far = "https://far.example"
        for key, value in (
            ("IMGD_PUBLIC_URL", "https://x.example/imgd/"),
            ("NGROK_URL", "https://x.example"),
            ("NGROK_DOMAIN", "x.example"),
        ):
            server = find_server({**self.environ, key: value}, url=far)
            self.assertTrue(server.may_hand_out(tunnel), key)
            self.assertFalse(server.may_hand_out(other))
            server = find_server({**self.environ, key: value}, public_url="https://y.example/z/")
            self.assertFalse(server.may_hand_out(tunnel), key)
            self.assertTrue(server.may_hand_out(other))
        local = find_server({**self.environ, "NGROK_URL": "not a URL"})
        for announced, asked in (("https://x.example/a", True), ("", False), ("/a", False)):
            self.assertEqual(local.announcing(announced).may_hand_out(tunnel), asked)
        elsewhere = find_server(self.environ, url=far).announcing("https://x.example/a")
        self.assertFalse(elsewhere.may_hand_out(tunnel))
        self.assertRaises(ClientError, find_server, self.environ, public_url="x.example")

    def test_none_runs(self) -> None:
        """Where none runs, the error says how to start one."""
        with self.assertRaises(ClientError) as caught:
            find_server(self.environ)
        self.assertIn("no imgd is running: start one with twistd -n imgd", caught.exception.detail)

    def test_named_servers(self) -> None:
        """An option comes before IMGD_SERVER, and that before the local daemon."""
        self.run_daemon("https://localhost:4711/")
        environ = {**self.environ, "IMGD_SERVER": "https://env.example/"}
        self.assertEqual(find_server(environ).url, "https://env.example")
        self.assertEqual(find_server(environ, url="https://opt.example").url, "https://opt.example")

    def test_the_token_stays_here(self) -> None:
        """The token goes to the daemon that runs here, by whatever name, and to nobody else."""
        self.run_daemon("https://localhost:4711/", "http://localhost:4712/")
        for url, sent in (
            ("https://localhost:4711", True),
            ("https://127.0.0.1:4711", True),
            ("http://[::1]:4712", True),
            ("http://localhost:4711", False),
            ("https://localhost:4713", False),
            ("https://far.example:4711", False),
        ):
            found = find_server(self.environ, url=url).token
            self.assertEqual(found, self.token if sent else None, url)

    def test_given_tokens(self) -> None:
        """``--token`` comes before IMGD_TOKEN, and that before the state folder's."""
        self.run_daemon("https://localhost:4711/")
        environ = {**self.environ, "IMGD_TOKEN": "from-env"}
        self.assertEqual(find_server(environ).token, "from-env")
        self.assertEqual(find_server(environ, token="from-option").token, "from-option")
        self.assertNotIn("from-option", repr(find_server(environ, token="from-option")))

    def test_whose_ca(self) -> None:
        """The local CA is for this machine's addresses; others get the system's store."""
        self.assertEqual(find_server(self.environ, url="https://localhost:1").ca, PEM)
        self.assertIsNone(find_server(self.environ, url="https://far.example").ca)
        self.run_daemon("https://localhost:4711/", ca=False)  # its certificate is of its own
        self.assertIsNone(find_server(self.environ).ca)

    def test_a_chosen_ca(self) -> None:
        """``--ca`` is trusted alone, for every URL; a file that is not there is an error."""
        chosen = os.path.join(self.state_dir, "other.pem")
        write_file(chosen, b"other")
        server = find_server(self.environ, url="https://far.example", ca_file=chosen)
        self.assertEqual((server.ca, server.ca_for(Origin("https", "b", 443))), (b"other",) * 2)
        self.assertRaises(BadRequest, find_server, self.environ, url="https://a", ca_file="gone")


class EnvFile(SynchronousTestCase):
    """``.env`` in the working folder names the state folder, as it does for the daemon."""

    def setUp(self) -> None:
        self.cwd = os.path.realpath(self.mktemp())
        make_private_folder(os.path.join(self.cwd, "moved"))
        self.write("IMGD_STATE_DIR=moved\n")
        held = instance_lock.acquire(os.path.join(self.cwd, "moved"))
        held.publish(["https://localhost:4711/"], None)
        self.addCleanup(held.release)

    def write(self, text: str, mode: int = 0o600) -> None:
        path = os.path.join(self.cwd, ".env")
        write_file(path, text.encode("utf-8"))
        os.chmod(path, mode)

    def test_found(self) -> None:
        """The daemon that ``.env`` moved is found, by all that can be written there."""
        for text in (
            "IMGD_STATE_DIR=moved",
            f"export IMGD_STATE_DIR='{self.cwd}/moved'\n",
            "STATE_DIRECTORY=moved:/elsewhere\n",
        ):
            self.write(text)
            self.assertEqual(find_server({}, cwd=self.cwd).url, "https://localhost:4711", text)

    def test_precedence(self) -> None:
        """The environment and ``--state-dir`` come before it, and then it is not even read."""
        elsewhere = os.path.join(self.cwd, "elsewhere")
        self.write("IMGD_STATE_DIR=moved\n", 0o666)
        for environ, state_dir in (({"IMGD_STATE_DIR": elsewhere}, None), ({}, elsewhere)):
            with self.assertRaises(ClientError) as caught:
                find_server(environ, state_dir=state_dir, cwd=self.cwd)
            self.assertIn("no imgd is running", caught.exception.detail)

    def test_writable_by_others(self) -> None:
        """One that others can write is refused as the daemon refuses it; a server that is named
        needs none.
        """
        self.write("IMGD_STATE_DIR=moved\n", 0o666)
        with self.assertRaises(ClientError) as caught:
            find_server({}, cwd=self.cwd)
        self.assertIn("is not read, as every user can write", caught.exception.detail)
        self.assertEqual(find_server({}, url="https://far.example", cwd=self.cwd).token, None)

    def test_no_folder(self) -> None:
        """A state folder that is a file is told with the name of its setting."""
        self.write("IMGD_STATE_DIR=.env\n")
        with self.assertRaises(ClientError) as caught:
            find_server({}, cwd=self.cwd)
        self.assertIn(".env: IMGD_STATE_DIR", caught.exception.detail)


class Urls(SynchronousTestCase):
    def test_split(self) -> None:
        """A URL is split into what stands for its origin and what is asked there."""
        for url, root, target in (
            ("https://a/b?c#d", "https://a", b"/b?c"),
            ("http://a:81", "http://a:81", b"/"),
            ("http://[::1]:81/x", "http://[::1]:81", b"/x"),
            ("https://a?q", "https://a", b"/?q"),
        ):
            self.assertEqual(split_url(url), (root, target))

    def test_origins(self) -> None:
        """Hosts are in lower case, ports those of the scheme if none is written."""
        for url, origin in (
            ("https://A.example/b", Origin("https", "a.example", 443)),
            ("http://[::1]:81", Origin("http", "::1", 81)),
        ):
            self.assertEqual(origin_of(url), origin)
        self.assertEqual(str(Origin("http", "::1", 81)), "http://[::1]:81")
        self.assertEqual(str(Origin("https", "a", 443)), "https://a")

    def test_no_urls(self) -> None:
        """What could end a request line, or is no http URL, is refused."""
        for url in NO_URLS:
            self.assertRaises(InvalidResponse, split_url, url)
        for url in (*NO_URLS, "https://u:p@a", "https://a:x", "//a"):
            self.assertRaises(InvalidResponse, origin_of, url)

    def test_redirects(self) -> None:
        """A redirect stays on its origin."""
        self.assertEqual(redirected("https://a/b/c", "d?e"), "https://a/b/d?e")
        for location in ("//b/c", "http://a/b/c", "https://a:444/", "javascript:x"):
            self.assertRaises(InvalidResponse, redirected, "https://a/b/c", location)
