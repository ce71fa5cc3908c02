"""Servers that nobody here wrote, in front of a real daemon, each as it stands by default: through
none of them is a stranger local.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.daemons import PATIENCE, Daemon, DaemonCase, curl, environment

GRACE = 10  # seconds that a server has to end by itself
# From the simplest tutorial of each: what forwards, and nothing else.
NGINX = """
user www-data;
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://127.0.0.1:{target}; {more}
  }} }}
}}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://localhost:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{target}
}}
"""
HAPROXY = """
global
  user haproxy
defaults
  mode {more}
  timeout connect 60s
  timeout client 60s
  timeout server 60s
listen imgd
  bind 127.0.0.1:{port}
  server imgd 127.0.0.1:{target}
"""
SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
"""


def free_port() -> int:
    """A port for a server that cannot be told to take a free one and say which."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        number: int = found.getsockname()[1]
        return number


def program(name: str) -> str:
    """Where it lies, Debian's folders for administrators too; SkipTest where it is not there."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise SkipTest(f"{name} is not installed")
    return found


def user(name: str) -> int:
    """A user's id; SkipTest where there is none, or this process cannot become another."""
    if os.geteuid() != 0:
        raise SkipTest("only root can start programs of other users")
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise SkipTest(f"there is no user {name}") from None


class FrontTests(DaemonCase):
    """``POST /links`` by a stranger, through whatever stands in front."""

    def setUp(self) -> None:
        super().setUp()
        # Readable by the servers' own users, which the checkout need not be.
        self.place = Path(tempfile.mkdtemp(prefix="imgd-fronts-"))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)
        self.place.chmod(0o755)

    @contextmanager
    def front(self, *command: str, port: int, **options: Any) -> Iterator[str]:
        """A server that is started and listens, and its URL."""
        errors = (self.place / "errors").open("wb")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd="/", **options
        )
        errors.close()
        try:
            self.wait_for(port, process)
            yield f"http://localhost:{port}/"
        finally:
            process.terminate()  # so that nginx ends its worker as well
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:  # ssh may wait for a channel
                process.kill()
                process.wait(PATIENCE)

    def wait_for(self, port: int, process: subprocess.Popen[bytes]) -> None:
        """Until it listens: each try is a connection, refused at once while nobody does."""
        until = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            except ConnectionRefusedError:
                continue
            return
        raise AssertionError((self.place / "errors").read_text("utf-8", "replace"))

    def configured(self, text: str, daemon: Daemon, more: str = "") -> tuple[str, int]:
        port = free_port()
        path = self.place / "conf"
        values = {"folder": self.place, "port": port, "target": daemon.port, "more": more}
        path.write_text(text.format(**values), "utf-8")
        path.chmod(0o644)
        return str(path), port

    def check(self, daemon: Daemon, url: str, *, read: int = 200) -> None:
        """Through this URL files are read, and without the token nothing is controlled."""
        (daemon.folder / "output" / "a.png").write_bytes(b"png")
        self.assertEqual(self.status(f"{url}a.png"), read)
        for path in (
            "links",
            "load-directory",
            "timeout/5",
            "unload",
            "public-url",
            "links/revoke",
        ):
            self.assertEqual(self.status(url + path, b"{}"), 403, path)
            host = {"Host": "localhost"}  # chosen by the stranger
            self.assertEqual(self.status(url + path, b"{}", host), 403, path)
        bearer = {"Authorization": f"Bearer {daemon.token}"}
        self.assertEqual(self.status(f"{url}timeout/5", b"", bearer), 200)

    def status(
        self, url: str, body: bytes | None = None, more: dict[str, str] | None = None
    ) -> int:
        headers = {"Content-Type": "application/json", **(more or {})}
        request = urllib.request.Request(url, body, headers if body is not None else more or {})
        context = ssl._create_unverified_context() if url.startswith("https") else None
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
                status: int = answer.status
        except urllib.error.HTTPError as error:
            return error.code
        return status

    def test_nginx(self) -> None:
        """nginx's default proxy_pass: another user, HTTP/1.0, Host rewritten, no header added."""
        user("www-data")
        daemon = self.daemon("--no-tls")
        for more in ("", 'proxy_http_version 1.1; proxy_set_header Connection "";'):
            conf, port = self.configured(NGINX, daemon, more)
            with self.front(program("nginx"), "-c", conf, port=port) as url:
                self.check(daemon, url)

    def test_nginx_of_root(self) -> None:
        """Run by root as one process, nginx is root's: HTTP/1.0 alone gives it away."""
        user("root")
        daemon = self.daemon("--no-tls")
        conf, port = self.configured(NGINX.replace("user www-data", "user root"), daemon)
        with self.front(program("nginx"), "-c", conf, port=port) as url:
            self.check(daemon, url)

    def test_private(self) -> None:
        """Through nginx, no link opens a private daemon."""
        user("www-data")
        daemon = self.daemon("--no-tls", "--private")
        conf, port = self.configured(NGINX, daemon)
        with self.front(program("nginx"), "-c", conf, port=port) as url:
            self.check(daemon, url, read=401)

    def test_caddy(self) -> None:
        """Caddy, which adds headers, even where it runs as the daemon's own user."""
        daemon = self.daemon("--no-tls")
        conf, port = self.configured(CADDY, daemon)
        caddy = (program("caddy"), "run", "--adapter", "caddyfile", "--config", conf)
        home = {"HOME": str(self.place), "PATH": os.environ["PATH"]}
        with self.front(*caddy, port=port, env=home) as url:
            self.check(daemon, url)

    def test_haproxy(self) -> None:
        """HAProxy, which adds nothing and speaks HTTP/1.1, or knows nothing of HTTP at all."""
        user("haproxy")
        daemon = self.daemon("--no-tls")
        for mode in ("http", "tcp"):
            conf, port = self.configured(HAPROXY, daemon, mode)
            with self.front(program("haproxy"), "-db", "-f", conf, port=port) as url:
                self.check(daemon, url)

    def test_socat(self) -> None:
        """A raw forward of another user; TLS goes through it unseen."""
        nobody = user("www-data")
        daemon = self.daemon("--http-port", "0")
        for target, scheme in ((daemon.port, "https"), (urlport(daemon.http_url), "http")):
            port = free_port()
            listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
            forward = (program("socat"), listen, f"TCP:127.0.0.1:{target}")
            with self.front(*forward, port=port, user=nobody) as url:
                self.check(daemon, url.replace("http", scheme))

    def test_required(self) -> None:
        """A raw forward of the same user is unseen: --require-token is for that."""
        daemon = self.daemon("--no-tls", "--require-token")
        port = free_port()
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
        forward = (program("socat"), listen, f"TCP:127.0.0.1:{daemon.port}")
        with self.front(*forward, port=port) as url:
            self.check(daemon, url)

    def test_sshd(self) -> None:
        """``ssh -R`` and ``-L`` of another user, through a real sshd."""
        name = "www-data"
        user(name)
        daemon = self.daemon("--no-tls")
        for key in ("host", "client"):
            self.run_it(
                program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", f"{self.place}/{key}"
            )
        shutil.copy(self.place / "client.pub", self.place / "authorized")
        conf, port = self.configured(SSHD, daemon)
        os.makedirs("/run/sshd", exist_ok=True)  # as its service makes it
        sshd = (program("sshd"), "-D", "-e", "-f", conf)
        with self.front(*sshd, port=port):
            forwarded = free_port()
            ssh = (
                *(
                    program("ssh"),
                    "-F",
                    "none",
                    "-N",
                    "-i",
                    f"{self.place}/client",
                    "-p",
                    str(port),
                ),
                *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.place}/known"),
                *("-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes"),
                *("-L", f"127.0.0.1:{forwarded}:127.0.0.1:{daemon.port}", f"{name}@127.0.0.1"),
            )
            with self.front(*ssh, port=forwarded) as url:
                self.check(daemon, url)

    def run_it(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


class UserTests(DaemonCase):
    """Programs of this machine's users, without anything in front."""

    def ask(self, url: str, uid: int, *more: str) -> Any:
        """curl of another user; its status, and what it was told."""
        command = (program("curl"), "-sS", "-X", "POST", "-w", "\n%{http_code}", *more, url)
        done = subprocess.run(
            command,
            env=environment(Path("/")),
            capture_output=True,
            timeout=PATIENCE,
            user=uid,
            cwd="/",
        )
        body, _, status = done.stdout.decode().rpartition("\n")
        return int(status), json.loads(body)

    def test_users(self) -> None:
        """The daemon's own user controls without the token, and no other user does."""
        stranger = user("www-data")
        daemon = self.daemon("--no-tls")
        status, told = self.ask(f"{daemon.url}timeout/5", stranger)
        self.assertEqual((status, "another user" in told["detail"]), (403, True))
        bearer = ("-H", f"Authorization: Bearer {daemon.token}")
        self.assertEqual(self.ask(f"{daemon.url}timeout/5", stranger, *bearer)[0], 200)
        self.assertEqual(self.ask(f"{daemon.url}timeout/5", 0)[0], 200)
        curl("-X", "POST", "--fail", f"{daemon.url}timeout/5")


def urlport(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])
