"""The URLs that a real daemon hands out: each real client gets URLs that it can fetch."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.client.certificates import Authority
from tests.daemons import (
    PATIENCE,
    Daemon,
    DaemonCase,
    curl,
    curl_json,
    curl_process,
    environment,
    port_of,
)
from tests.fronts import free_port, program
from tests.samples import frames

COUNT = 4  # images
IMAGES = "collections/current/images"
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{port};
    location {path} {{ proxy_pass http://127.0.0.1:{target}/; {headers} }}
  }}
}}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{target}
}}
"""
# As n8n and viewers page: each page's URL is resolved against the one before.
NODE = """
const seen = [];
let page = process.argv[2];
while (page) {
  const answer = await (await fetch(page)).json();
  for (const image of answer.images) {
    const body = await (await fetch(image.url)).arrayBuffer();
    seen.push([image.url, image.size === body.byteLength]);
  }
  page = answer.next && new URL(answer.next, page).href;
}
console.log(JSON.stringify(seen));
"""


class UrlCase(DaemonCase):
    def loaded(self, *options: str, trust: Path | None = None) -> Daemon:
        """A daemon with a current collection."""
        daemon = self.daemon(*options)
        self.images = self.folder / "frames"
        if not self.images.exists():
            frames(self.images, COUNT - 1)  # and a cover
        order = (
            "-H",
            "Content-Type: application/json",
            "-d",
            json.dumps({"path": str(self.images)}),
        )
        by = f"{daemon.url}load-directory".replace("localhost", "127.0.0.1")
        curl("--fail", "--cacert", str(trust or daemon.ca), *order, by)
        return daemon

    def imgd(self, daemon: Daemon, *words: str) -> str:
        """What the command prints; it finds the daemon by its state folder."""
        done = subprocess.run(
            [sys.executable, "-m", "imgd.client.cli", *words],
            env=environment(self.folder, {"IMGD_STATE_DIR": str(daemon.folder / "state")}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check(self, base: str, *how: str) -> None:
        """Every page and every image is found by curl at the URLs that it is given on this base."""
        page, found = f"{base}/{IMAGES}?limit=2", []
        while page:
            self.assertTrue(page.startswith(f"{base}/"), page)
            answer = curl_json(*how, page)
            found += answer["images"]
            page = answer["next"] and urljoin(page, answer["next"])
        self.assertEqual(len(found), COUNT)
        for image in found:
            self.assertTrue(image["url"].startswith(f"{base}/images/"), image["url"])
            body = curl("--fail", *how, image["url"])
            self.assertEqual(body, (self.images / image["name"]).read_bytes())

    @contextmanager
    def front(self, *command: str, port: int) -> Iterator[None]:
        """A program that listens on a port of 127.0.0.1, until it is not needed any more."""
        errors = self.folder / "errors"
        with errors.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", port), PATIENCE).close()
                    break
                except ConnectionRefusedError:
                    continue
            else:
                raise AssertionError(errors.read_text("utf-8", "replace"))
            yield
        finally:
            process.kill()
            process.wait(PATIENCE)

    def nginx(
        self, daemon: Daemon, path: str = "/", headers: str = ""
    ) -> tuple[tuple[str, ...], int]:
        """The command for an nginx in front of a daemon's plain port, and its own port."""
        port, conf = free_port(), self.folder / "nginx.conf"
        target = port_of(daemon.http_url)
        values = {"folder": self.folder, "port": port, "target": target}
        conf.write_text(NGINX.format(**values, path=path, headers=headers), "utf-8")
        return (program("nginx"), "-c", str(conf)), port


class ClientTests(UrlCase):
    """Clients that reach the daemon itself."""

    def test_curl(self) -> None:
        """By each of its names, over TLS and plain, curl fetches all that it is given."""
        daemon = self.loaded("--http-port", "0", "--tls-name", "box.example")
        plain = port_of(daemon.http_url)
        for name in ("host.docker.internal", "box.example", "localhost", socket.gethostname()):
            for scheme, port in (("https", daemon.port), ("http", plain)):
                here = ("--resolve", f"{name}:{port}:127.0.0.1", "--cacert", str(daemon.ca))
                self.check(f"{scheme}://{name.lower()}:{port}", *here)
        if "::1" in {address for _, address in daemon.listening}:
            self.check(f"https://[::1]:{daemon.port}", "--cacert", str(daemon.ca))

    def test_node(self) -> None:
        """Node's fetch pages to the end and reads every image, plain and with the CA."""
        daemon = self.loaded("--http-port", "0")
        script = self.folder / "page.mjs"
        script.write_text(NODE, "utf-8")
        for url in (daemon.http_url, daemon.url):
            done = subprocess.run(
                [program("node"), str(script), f"{url}{IMAGES}?limit=2"],
                env=environment(self.folder, {"NODE_EXTRA_CA_CERTS": str(daemon.ca)}),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            seen = json.loads(done.stdout)
            self.assertEqual(len(seen), COUNT)
            for found, is_whole in seen:
                self.assertTrue(found.startswith(f"{url}images/") and is_whole, found)

    def test_other_port(self) -> None:
        """A port that leads here from another, as ``docker run -p`` has it, stands in the URLs."""
        daemon = self.loaded()
        port = free_port()
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
        with self.front(program("socat"), listen, f"TCP:127.0.0.1:{daemon.port}", port=port):
            self.check(f"https://localhost:{port}", "--cacert", str(daemon.ca))

    def test_hostile(self) -> None:
        """Who asks for another's name gets nothing of it back, bound here alone or everywhere."""
        for host, status in (("localhost", 421), ("0.0.0.0", 200)):
            daemon = self.loaded("--host", host, "--http-port", "0")
            for name in ("evil.example", "evil.example:443", "localhost.evil.example"):
                for path in (IMAGES, "", "collections", f"{IMAGES}?format=ndjson"):
                    head = ("-H", f"Host: {name}", "-w", "\n%{http_code}")
                    body, _, code = curl(*head, daemon.http_url + path).rpartition(b"\n")
                    self.assertEqual(int(code), status)
                    if status == 200:
                        self.assertNotIn(b"evil", body)
                        self.assertIn(f'"url":"{daemon.url}'.encode(), body)
            old = curl_json("--http1.0", "-H", "Host:", f"{daemon.http_url}{IMAGES}")
            self.assertTrue(old["images"][0]["url"].startswith(daemon.url))
            daemon.stop()

    def test_everywhere(self) -> None:
        """Every URL that the log has for other machines works as it stands, by name and address,
        and finds this daemon for the command.
        """
        daemon = self.loaded("--host", "0.0.0.0", "--http-port", "0", "--tls-name", "box.example")
        pattern = re.compile(r"From other machines: (\S+)/$")
        urls = [match[1] for line in daemon.lines if (match := pattern.search(line))]
        for host in (socket.gethostname().lower(), "box.example"):
            self.assertIn(f"https://{host}:{daemon.port}", urls)
            self.assertIn(f"http://{host}:{port_of(daemon.http_url)}", urls)
        self.assertFalse([url for url in urls if "127.0.0.1" in url or "localhost" in url])
        for url in urls:
            here = ("--connect-to", f"::127.0.0.1:{port_of(url)}", "--cacert", str(daemon.ca))
            self.check(url, *here)
        published = json.loads((daemon.folder / "state" / "daemon.json").read_text())["urls"]
        self.assertEqual(published[:2], [daemon.url, daemon.http_url])
        self.assertEqual(published[2:], [f"{url}/" for url in urls if url.startswith("https:")])
        self.assertIn(f"at {daemon.url.rstrip('/')}\n", self.imgd(daemon, "status"))

    def test_own_certificate(self) -> None:
        """The names of a certificate of the user's own are the daemon's, with its port."""
        authority = Authority()
        certificate, key = authority.certificate("images.example.org", "*.example.net", "127.0.0.1")
        paths = [self.folder / name for name in ("cert.pem", "key.pem", "ca.pem")]
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for path, pem in zip(
            paths, (certificate.public_bytes(Encoding.PEM), private, authority.pem), strict=True
        ):
            path.write_bytes(pem)
            path.chmod(0o600)
        own = ("--cert", str(paths[0]), "--key", str(paths[1]), "--host", "0.0.0.0")
        daemon = self.loaded(*own, "--http-port", "0", trust=paths[2])
        log = "\n".join(daemon.lines)
        self.assertIn(f"From other machines: https://images.example.org:{daemon.port}/\n", log)
        self.assertNotIn("*.", log)
        for name in ("images.example.org", "ct.example.net"):
            here = ("--connect-to", f"::127.0.0.1:{daemon.port}", "--cacert", str(paths[2]))
            self.check(f"https://{name}:{daemon.port}", *here)


class ProxyTests(UrlCase):
    """Clients that reach it through a reverse proxy."""

    def test_path(self) -> None:
        """Below a public URL with a path, pages and images are found there; and so they are by who
        asks the daemon itself. The command loads through it.
        """
        port = free_port()
        public = f"http://localhost:{port}/imgd"
        daemon = self.loaded("--http-port", "0", "--public-url", public)
        command, other = self.nginx(daemon, "/imgd/")
        conf = Path(command[-1])
        conf.write_text(conf.read_text("utf-8").replace(f":{other};", f":{port};"), "utf-8")
        with self.front(*command, port=port):
            self.check(public)
            page = f"{daemon.http_url}{IMAGES}?limit=2"
            following = urljoin(page, curl_json(page)["next"])
            self.assertTrue(following.startswith(f"{daemon.http_url}{IMAGES}?"), following)
            self.assertEqual(len(curl_json(following)["images"]), 2)
            words = ("load", str(self.images), "--server", public, "--token", daemon.token)
            manifest = json.loads(self.imgd(daemon, *words, "--output", "-"))
            self.assertTrue(manifest["image_urls"][0].startswith(f"{public}/images/"))
            self.assertEqual(manifest["failed"], [])

    def test_path_of_the_proxy(self) -> None:
        """A path that only the proxy and the client know is written all the same."""
        daemon = self.loaded("--http-port", "0")
        command, port = self.nginx(daemon, "/imgd/")
        with self.front(*command, port=port):
            server = f"http://localhost:{port}/imgd"
            words = ("load", str(self.images), "--server", server, "--token", daemon.token)
            manifest = json.loads(self.imgd(daemon, *words, "--output", "-"))
            self.assertEqual((manifest["count"], manifest["failed"]), (COUNT, []))
            for url in manifest["image_urls"]:
                self.assertTrue(url.startswith(f"{server}/images/"), url)
                curl("--fail", url)
            link = self.imgd(daemon, "link", "/images/", "--prefix", *words[2:]).strip()
            self.assertTrue(link.startswith(f"{server}/-/s/"), link)
            curl("--fail", f"{link}{manifest['image_urls'][0].rpartition('/')[2]}")

    def test_trusted(self) -> None:
        """nginx and Caddy say what they were asked; it counts if the proxy is trusted."""
        said = (
            "proxy_set_header X-Forwarded-Proto https;"
            " proxy_set_header X-Forwarded-Host $http_host;"
            " proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
        )
        daemon = self.loaded(
            *("--http-port", "0", "--proxy", "127.0.0.1", "--tls-name", "images.example.org")
        )
        command, port = self.nginx(daemon, headers=said)
        ask = ("--connect-to", f"::127.0.0.1:{port}")
        with self.front(*command, port=port):
            for host, base in (
                ("images.example.org", "https://images.example.org"),
                ("evil.example", daemon.url.rstrip("/")),
            ):
                images = curl_json(*ask, f"http://{host}/{IMAGES}")["images"]
                self.assertEqual(images[0]["url"].partition("/images/")[0], base)
        conf, port = self.folder / "Caddyfile", free_port()
        conf.write_text(CADDY.format(port=port, target=port_of(daemon.http_url)), "utf-8")
        caddy = (program("caddy"), "run", "--adapter", "caddyfile", "--config", str(conf))
        with self.front(*caddy, port=port):
            how = ("--connect-to", f"::127.0.0.1:{port}")
            self.check(f"http://images.example.org:{port}", *how)

    def test_not_trusted(self) -> None:
        """What anybody else says of a scheme and a host does not count."""
        daemon = self.loaded("--http-port", "0", "--tls-name", "images.example.org")
        said = ("-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-Host: images.example.org")
        self.check(daemon.http_url.rstrip("/"), *said)
        done = curl_process("-H", "Host: images.example.org:1", f"{daemon.http_url}{IMAGES}")
        self.assertIn(b'"url":"http://images.example.org:1/images/', done.stdout)
