"""Other projects' proxies in front of a real daemon, each with its default configuration: a client
that comes through one of them never counts as local.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.daemons import PATIENCE, Daemon, DaemonCase, curl, environment, port_of, shared_daemon
from tests.fronts import FrontCase, free_port, program, user_id

# As in the simplest tutorial of each: they forward, and nothing else.
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


class FrontTests(FrontCase):
    """Control requests without the token, through each proxy."""

    def configure(self, template: str, daemon: Daemon, more: str = "") -> tuple[str, int]:
        """Write a configuration; returns its path, and the port to listen on."""
        port = free_port()
        path = self.readable / "conf"
        values = {"folder": self.readable, "port": port, "target": daemon.port, "more": more}
        path.write_text(template.format(**values), "utf-8")
        path.chmod(0o644)
        return str(path), port

    def check(self, daemon: Daemon, url: str, *, read_status: int = 200) -> None:
        """Through this URL files are read, and nothing is controlled without the token."""
        (daemon.folder / "output" / "a.png").write_bytes(b"png")
        self.assertEqual(self.status(f"{url}a.png"), read_status)
        paths = ("load-directory", "timeout/5", "unload", "public-url", "links", "links/revoke")
        for path in paths:
            self.assertEqual(self.status(url + path, b"{}"), 403, path)
            host = {"Host": "localhost"}  # a header that the client chooses
            self.assertEqual(self.status(url + path, b"{}", host), 403, path)
        bearer = {"Authorization": f"Bearer {daemon.token}"}
        self.assertEqual(self.status(f"{url}timeout/5", b"", bearer), 200)

    def status(
        self, url: str, body: bytes | None = None, more: dict[str, str] | None = None
    ) -> int:
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(url, body, {**headers, **(more or {})})
        context = ssl._create_unverified_context() if url.startswith("https") else None
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
                status: int = answer.status
        except urllib.error.HTTPError as error:
            return error.code
        return status

    def test_nginx(self) -> None:
        """nginx's default proxy_pass: another user, HTTP/1.0, Host rewritten, no header added."""
        user_id("www-data")
        daemon = shared_daemon("plain", "--no-tls")
        for more in ("", 'proxy_http_version 1.1; proxy_set_header Connection "";'):
            conf, port = self.configure(NGINX, daemon, more)
            with self.front(program("nginx"), "-c", conf, port=port) as url:
                self.check(daemon, url)

    def test_nginx_of_root(self) -> None:
        """nginx run by root as one process is root's: only HTTP/1.0 shows that it is a proxy."""
        user_id("root")
        daemon = shared_daemon("plain", "--no-tls")
        conf, port = self.configure(NGINX.replace("user www-data", "user root"), daemon)
        with self.front(program("nginx"), "-c", conf, port=port) as url:
            self.check(daemon, url)

    def test_private(self) -> None:
        """Through nginx, a private daemon is not read without the token."""
        user_id("www-data")
        daemon = self.daemon("--no-tls", "--private")
        conf, port = self.configure(NGINX, daemon)
        with self.front(program("nginx"), "-c", conf, port=port) as url:
            self.check(daemon, url, read_status=401)

    def test_caddy(self) -> None:
        """Caddy, which adds headers, even if it runs as the daemon's own user."""
        daemon = shared_daemon("plain", "--no-tls")
        conf, port = self.configure(CADDY, daemon)
        caddy = (program("caddy"), "run", "--adapter", "caddyfile", "--config", conf)
        home = {"HOME": str(self.readable), "PATH": os.environ["PATH"]}
        with self.front(*caddy, port=port, env=home) as url:
            self.check(daemon, url)

    def test_haproxy(self) -> None:
        """HAProxy, which adds nothing and sends HTTP/1.1, or forwards raw TCP."""
        user_id("haproxy")
        daemon = shared_daemon("plain", "--no-tls")
        for mode in ("http", "tcp"):
            conf, port = self.configure(HAPROXY, daemon, mode)
            with self.front(program("haproxy"), "-db", "-f", conf, port=port) as url:
                self.check(daemon, url)

    def test_socat(self) -> None:
        """A raw forward by another user, also of TLS."""
        nobody = user_id("www-data")
        daemon = self.daemon("--http-port", "0")
        for target, scheme in ((daemon.port, "https"), (port_of(daemon.http_url), "http")):
            port = free_port()
            listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
            forward = (program("socat"), listen, f"TCP:127.0.0.1:{target}")
            with self.front(*forward, port=port, user=nobody) as url:
                self.check(daemon, url.replace("http", scheme))

    def test_required(self) -> None:
        """A raw forward by the same user cannot be recognised: --require-token is for that."""
        daemon = self.daemon("--no-tls", "--require-token")
        port = free_port()
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
        forward = (program("socat"), listen, f"TCP:127.0.0.1:{daemon.port}")
        with self.front(*forward, port=port) as url:
            self.check(daemon, url)

    def test_sshd(self) -> None:
        """``ssh -L`` of another user, through a real sshd."""
        name = "www-data"
        user_id(name)
        daemon = shared_daemon("plain", "--no-tls")
        with self.sshd() as ssh:
            forwarded = free_port()
            forward = ("-L", f"127.0.0.1:{forwarded}:127.0.0.1:{daemon.port}")
            with self.front(*ssh, *forward, f"{name}@127.0.0.1", port=forwarded) as url:
                self.check(daemon, url)


class UserTests(DaemonCase):
    """Programs of this machine's users, without a proxy."""

    def ask(self, url: str, uid: int, *more: str) -> tuple[int, Any]:
        """POST with another user's curl; returns the status and the JSON."""
        command = (program("curl"), "-sS", "-X", "POST", "-w", "\n%{http_code}", *more, url)
        process = subprocess.run(
            command,
            env=environment(Path("/")),
            capture_output=True,
            timeout=PATIENCE,
            user=uid,
            cwd="/",
        )
        body, _, status = process.stdout.decode().rpartition("\n")
        return int(status), json.loads(body)

    def test_users(self) -> None:
        """The daemon's own user controls without the token, and no other user does."""
        other_user = user_id("www-data")
        daemon = shared_daemon("plain", "--no-tls")
        status, answer = self.ask(f"{daemon.url}timeout/5", other_user)
        self.assertEqual((status, "another user" in answer["detail"]), (403, True))
        bearer = ("-H", f"Authorization: Bearer {daemon.token}")
        self.assertEqual(self.ask(f"{daemon.url}timeout/5", other_user, *bearer)[0], 200)
        self.assertEqual(self.ask(f"{daemon.url}timeout/5", 0)[0], 200)
        curl("-X", "POST", "--fail", f"{daemon.url}timeout/5")
