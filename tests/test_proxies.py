"""The configurations of docs/proxies.md, run as they stand there by the programs they are for."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests import samples
from tests.client.certificates import Authority
from tests.daemons import PATIENCE, Daemon, environment
from tests.fronts import FrontCase, free_port, program, user_id
from tests.recipes import block, document, replaced

DOCUMENT = document("proxies.md")
SITE = "images.example.org"
GATEWAY = "gateway.example.org"
NAMES = [name for name in samples.HOSTILE_NAMES if "\\" not in name]  # which imgd hides
CLIENT = "127.0.0.2"  # every client's address here: another one than the proxy's
STATE = ".local/state/imgd"
PATH = "imgd/"  # the path of the site that the document gives to imgd
# Around the document's block, what keeps nginx to itself.
NGINX = """
user www-data;
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  {block}
}}
"""
CADDY = """
{{
  admin off
  auto_https disable_redirects
  https_port {port}
  default_bind 127.0.0.1
}}
{block}
"""


class Answer(NamedTuple):
    """What curl got; the names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ProxyCase(FrontCase):
    """A daemon by a command of the document, and clients that know only the proxy's name."""

    def setUp(self) -> None:
        super().setUp()
        self.frames = samples.frames(self.folder / "frames", 5)
        self.make_documents()
        authority = Authority()
        (self.readable / "authority.pem").write_bytes(authority.pem)
        certificate, key = authority.certificate(SITE, GATEWAY)
        pem = certificate.public_bytes(Encoding.PEM)
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.readable / "pem").write_bytes(pem + key_pem)  # HAProxy takes both in one file
        (self.readable / "key").write_bytes(key_pem)

    def make_documents(self) -> None:
        self.root = self.folder / "output"
        (self.root / "a folder").mkdir(parents=True)
        (self.root / "scan.nii.gz").write_bytes(os.urandom(3_000_000))
        for name in NAMES:
            Path(self.root, "a folder", name).write_bytes(name.encode("utf-8", "surrogateescape"))

    def start(self, mark: str, *changes: tuple[str, str]) -> Daemon:
        """imgd by the command below this mark, with these changes to it."""
        words = shlex.split(replaced(block(DOCUMENT, mark), *changes))
        self.assertEqual(words[:3], ["twistd", "-n", "imgd"])
        own = ("--state-dir", str(self.folder / STATE), "--access-log", str(self.folder / "log"))
        daemon = self.daemon(*words[3:], *own)
        (self.readable / "imgd-ca.pem").write_bytes(
            b"" if "--no-tls" in words else daemon.ca.read_bytes()
        )
        return daemon

    def configure(self, text: str, target: int) -> tuple[str, int]:
        """A configuration in which the document's places are this test's; its path and port."""
        port = free_port()
        for old, new in (
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("bind :443", f"bind 127.0.0.1:{port}"),
            (f"/etc/ssl/{SITE}.pem", f"{self.readable}/pem"),
            (f"/etc/ssl/{SITE}.key", f"{self.readable}/key"),
            ("/etc/ssl/imgd-ca.pem", f"{self.readable}/imgd-ca.pem"),
            ("127.0.0.1:8888", f"127.0.0.1:{target}"),
        ):
            text = text.replace(old, new)
        conf = self.readable / "conf"
        conf.write_text(text.replace("PORT", str(port)), "utf-8")
        return str(conf), port

    def reach(self, name: str, port: int, ca: Path) -> None:
        """Let every curl in the folder find ``name`` at the proxy, and come from CLIENT."""
        (self.folder / ".curlrc").write_text(
            f'cacert = "{ca}"\ninterface = "{CLIENT}"\nconnect-to = "{name}::127.0.0.1:{port}"\n'
            f"silent\nshow-error\nmax-time = {PATIENCE}\n"
        )

    @contextmanager
    def nginx(self, text: str, target: int) -> Iterator[None]:
        user_id("www-data")
        wrapped = NGINX.format(folder=self.readable, block=text)
        conf, port = self.configure(wrapped, target)
        self.reach(SITE, port, self.readable / "authority.pem")
        with self.front(program("nginx"), "-c", conf, port=port):
            yield

    @contextmanager
    def caddy(self, text: str, target: int) -> Iterator[None]:
        wrapped = CADDY.format(port="PORT", block=text)
        conf, port = self.configure(wrapped, target)
        self.reach(SITE, port, self.readable / "authority.pem")
        home = {"HOME": str(self.readable), "PATH": os.environ["PATH"]}
        caddy = (program("caddy"), "run", "--adapter", "caddyfile", "--config", conf)
        with self.front(*caddy, port=port, env=home):
            yield

    @contextmanager
    def haproxy(self, text: str, target: int) -> Iterator[None]:
        conf, port = self.configure(text, target)
        self.reach(SITE, port, self.readable / "authority.pem")
        with self.front(program("haproxy"), "-db", "-f", conf, port=port):
            yield

    def run_block(self, mark: str, *changes: tuple[str, str]) -> str:
        """What the lines below this mark print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", replaced(block(DOCUMENT, mark), *changes)],
            cwd=self.folder,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def ask(self, url: str, *more: str) -> Answer:
        """By curl, with the headers of the last answer if redirects are followed."""
        body = self.folder / "body"
        body.write_bytes(b"")
        done = subprocess.run(
            [program("curl"), "-D", "-", "-o", str(body), *more, url],
            env=environment(self.folder),
            capture_output=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        head = done.stdout.decode("latin-1").strip().split("\r\n\r\n")[-1]
        status, *fields = head.splitlines()
        pairs = (field.partition(":") for field in fields)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Answer(int(status.split()[1]), headers, body.read_bytes())

    def clients(self) -> set[str]:
        """The addresses in the access log."""
        return set(re.findall(r"^(\S+) - - \[", (self.folder / "log").read_text(), re.M))


class SiteCase(ProxyCase):
    """Through a proxy, a client gets what it would get from imgd."""

    def check(self, daemon: Daemon, base: str, *, client: str = CLIENT) -> None:
        """Everything that the document promises, for the site whose URL is ``base``."""
        self.check_control(daemon, base)
        self.check_bytes(base)
        self.check_names(base)
        self.check_urls(daemon, base)
        self.assertEqual(self.clients(), {client})

    def check_control(self, daemon: Daemon, base: str) -> None:
        """No stranger controls, whatever it says; who bears the token does."""
        for path in (
            "load-directory",
            "timeout/5",
            "unload",
            "public-url",
            "links",
            "links/revoke",
        ):
            posted = (f"{base}{path}", "-X", "POST", "--json", "{}", "--http1.1")
            for more in ((), ("-H", "X-Forwarded-For: 127.0.0.1"), ("-H", "Forwarded: for=::1")):
                self.assertEqual(self.ask(*posted, *more).status, 403, (path, more))
            # Some proxies answer to names that they do not serve by themselves, even with 200.
            other_name = self.ask(*posted, "-H", "Host: localhost")
            self.assertNotIn(b"success", other_name.body, path)
        self.assertEqual(self.ask(f"{base}timeout").json["timeout_minutes"], 30)
        bearer = ("-H", f"Authorization: Bearer {daemon.token}")
        self.assertEqual(self.ask(f"{base}timeout/5", "-X", "POST", *bearer).status, 200)

    def check_bytes(self, base: str) -> None:
        """The whole file, ranges of it, and what a client that has it already needs."""
        url, whole = f"{base}scan.nii.gz", (self.root / "scan.nii.gz").read_bytes()
        answer = self.ask(url, "-H", "Accept-Encoding: gzip, br, zstd")
        self.assertEqual((answer.status, answer.body == whole), (200, True))
        self.assertNotIn("content-encoding", answer.headers)
        self.assertEqual(answer.headers["accept-ranges"], "bytes")
        self.assertEqual(self.ask(url, "-I").headers["content-length"], str(len(whole)))
        self.check_ranges(url, whole, answer.headers["etag"])
        self.assertEqual(
            self.ask(url, "-H", f"If-None-Match: {answer.headers['etag']}").status, 304
        )

    def check_ranges(self, url: str, whole: bytes, etag: str) -> None:
        for spec, first, end in (("0-347", 0, 348), ("2999999-", 2_999_999, 3_000_000)):
            answer = self.ask(url, "-H", f"Range: bytes={spec}", "-H", f"If-Range: {etag}")
            self.assertEqual((answer.status, answer.body), (206, whole[first:end]))
        several = self.ask(url, "-H", "Range: bytes=0-1,5-6")
        self.assertEqual(several.status, 206)
        self.assertIn("multipart/byteranges", several.headers["content-type"])
        past = self.ask(url, "-H", "Range: bytes=3000000-")
        self.assertEqual((past.status, past.headers["content-range"]), (416, "bytes */3000000"))
        changed = self.ask(url, "-H", "Range: bytes=0-1", "-H", 'If-Range: "other"')
        self.assertEqual((changed.status, changed.body == whole), (200, True))

    def check_names(self, base: str) -> None:
        """Every name arrives as it was written, and folders and their pages are reached."""
        for name in NAMES:
            data = name.encode("utf-8", "surrogateescape")
            answer = self.ask(f"{base}a%20folder/{quote(data, safe='')}")
            self.assertEqual((answer.status, answer.body), (200, data), name)
        page = self.ask(f"{base}a%20folder", "-L", "-H", "Accept: text/html", "-w", "")
        self.assertEqual(page.status, 200)
        style = re.search(r'rel="stylesheet" href="([^"]+)"', page.body.decode())
        assert style is not None
        self.assertEqual(self.ask(urljoin(f"{base}a%20folder/", style[1])).status, 200)

    def check_urls(self, daemon: Daemon, base: str) -> None:
        """What imgd hands out begins with the site's URL, and is what it says."""
        bearer = ("-H", f"Authorization: Bearer {daemon.token}")
        load = json.dumps({"directory": str(self.frames), "name": "frames"})
        loaded = self.ask(f"{base}load-directory", "--json", load, *bearer)
        self.assertEqual(loaded.status, 200, loaded)
        url, names = f"{base}collections/frames/images?limit=2", set()
        self.assertEqual(loaded.json["collection"]["url"], url.partition("?")[0])
        while url:
            page = self.ask(url).json
            for image in page["images"]:
                self.assertTrue(image["url"].startswith(base), image)
                self.assertEqual(
                    self.ask(image["url"]).body, (self.frames / image["name"]).read_bytes()
                )
                names.add(image["name"])
            url = page["next"] and urljoin(url, page["next"])
        self.assertEqual(len(names), 6)
        evil = ("-H", "X-Forwarded-Host: evil.example", "-H", "X-Forwarded-Proto: ftp")
        forged = self.ask(f"{base}collections", *evil, "-H", "X-Forwarded-Prefix: /evil")
        self.assertEqual(forged.json["collections"][0]["url"], f"{base}collections/frames/images")
        link = self.ask(f"{base}links", "--json", '{"path": "/scan.nii.gz"}', *bearer).json["url"]
        self.assertTrue(link.startswith(f"{base}-/s/"), link)
        self.assertEqual(self.ask(link, "-r", "0-9").status, 206)


class RecipeTests(SiteCase):
    """imgd has the site for itself."""

    def check_site(self, front: Any, text: str) -> None:
        """The lines that the document tries, too."""
        daemon = self.start("imgd")
        with front(text, daemon.port):
            self.run_block("try")
            whole = (self.root / "scan.nii.gz").read_bytes()
            self.assertEqual((self.folder / "scan.nii.gz").read_bytes(), whole)
            self.assertEqual((self.folder / "header").read_bytes(), whole[:348])
            self.assertEqual(self.run_block("test").split(), ["206", "403"])
            self.assertEqual(json.loads(self.run_block("control"))["timeout_minutes"], 30)
            self.check(daemon, f"https://{SITE}/")

    def test_nginx(self) -> None:
        """nginx, another user's."""
        self.check_site(self.nginx, block(DOCUMENT, "nginx"))

    def test_caddy(self) -> None:
        """Caddy, with HTTP/2."""
        self.check_site(self.caddy, block(DOCUMENT, "caddy"))

    def test_haproxy(self) -> None:
        """HAProxy, with HTTP/2."""
        self.check_site(self.haproxy, block(DOCUMENT, "haproxy"))


class PathTests(SiteCase):
    """imgd at a path of the site."""

    def check_site(self, front: Any, text: str) -> None:
        daemon = self.start("imgd-path")
        with front(text, daemon.port):
            top = self.ask(f"https://{SITE}/imgd", "-L")
            self.assertEqual((top.status, "image_count" in top.json), (200, True))
            outside = self.ask(f"https://{SITE}/scan.nii.gz")
            self.assertNotEqual(outside.headers.get("content-length"), "3000000")
            self.check(daemon, f"https://{SITE}/{PATH}")

    def test_nginx(self) -> None:
        """nginx, which takes the path away."""
        server = block(DOCUMENT, "nginx")
        location = re.search(r"^  location .*?^  }\n", server, re.M | re.S)
        assert location is not None
        path = block(DOCUMENT, "nginx-path")
        self.check_site(self.nginx, server.replace(location[0], path))

    def test_caddy(self) -> None:
        """Caddy, which takes the path away."""
        self.check_site(self.caddy, block(DOCUMENT, "caddy-path"))

    def test_haproxy(self) -> None:
        """HAProxy, which takes the path away."""
        defaults = block(DOCUMENT, "haproxy").partition("frontend ")[0]
        self.check_site(self.haproxy, defaults + block(DOCUMENT, "haproxy-path"))


class TlsTests(SiteCase):
    """A proxy that speaks HTTPS to imgd, and verifies it."""

    def check_site(self, front: Any, text: str) -> None:
        here = (("--host 0.0.0.0", "--host 127.0.0.1"), ("192.0.2.7", "127.0.0.1"))
        daemon = self.start("imgd-tls", *here)
        with front(text, daemon.port):
            self.check(daemon, f"https://{SITE}/")
        (self.readable / "imgd-ca.pem").write_bytes((self.readable / "authority.pem").read_bytes())
        with front(text, daemon.port):
            self.assertIn(self.ask(f"https://{SITE}/scan.nii.gz").status, (502, 503))

    def test_nginx(self) -> None:
        """nginx refuses another CA's certificate."""
        server, tls = block(DOCUMENT, "nginx"), block(DOCUMENT, "nginx-tls")
        line = "    proxy_pass http://imgd;\n"
        self.check_site(self.nginx, replaced(server, (line, tls)))

    def test_caddy(self) -> None:
        """Caddy refuses another CA's certificate."""
        site, tls = block(DOCUMENT, "caddy"), block(DOCUMENT, "caddy-tls")
        line = "\treverse_proxy 127.0.0.1:8888\n"
        self.check_site(self.caddy, replaced(site, (line, tls)))

    def test_haproxy(self) -> None:
        """HAProxy refuses another CA's certificate."""
        site, tls = block(DOCUMENT, "haproxy"), block(DOCUMENT, "haproxy-tls")
        line = "  server imgd 127.0.0.1:8888\n"
        self.check_site(self.haproxy, replaced(site, (line, tls)))


class SshTests(SiteCase):
    """A port of another machine, forwarded by ``ssh -R`` of the daemon's own user."""

    @contextmanager
    def tunnel(self, mark: str, theirs: str, ours: str, target: int) -> Iterator[int]:
        """The document's command, to a gateway of this test's; yields the gateway's port."""
        port = free_port()
        user_id("www-data")
        command = replaced(
            block(DOCUMENT, mark),
            (f"{theirs}:{ours}:8888", f"127.0.0.1:{port}:{ours}:{target}"),
            (GATEWAY, "www-data@127.0.0.1"),
        )
        words = shlex.split(command)
        self.assertEqual(words[:2], ["ssh", "-N"])
        with (
            self.sshd("GatewayPorts clientspecified") as ssh,
            self.front(*ssh, *words[2:], port=port),
        ):
            yield port

    def test_tls_through(self) -> None:
        """TLS ends at imgd, and control needs the token; of clients there is no address."""
        daemon = self.start("imgd-ssh")
        with self.tunnel("ssh", "0.0.0.0:8443", "localhost", daemon.port) as port:
            self.reach(GATEWAY, port, daemon.ca)
            self.check(daemon, f"https://{GATEWAY}:8443/", client="127.0.0.1")

    def test_nginx_on_the_gateway(self) -> None:
        """nginx on the other machine tells whose the requests are."""
        daemon = self.start("imgd")
        tunnel = self.tunnel("ssh-to-proxy", "127.0.0.1:8888", "127.0.0.1", daemon.port)
        with tunnel as port, self.nginx(block(DOCUMENT, "nginx"), port):
            self.check(daemon, f"https://{SITE}/")
