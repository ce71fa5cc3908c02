"""Settings: what each of them may be."""

from dataclasses import replace

from imgd.core.messages import MAX_MINUTES
from imgd.settings.table import TABLE
from tests.settings.settings_case import TOKEN, SettingsCase


class ValueTests(SettingsCase):
    def assert_values(self, field: str, option: str, *pairs: tuple[str, object]) -> None:
        for text, value in pairs:
            self.assertEqual(getattr(self.load({option: text}), field), value, text)

    def assert_refused(self, option: str, *texts: str) -> None:
        is_list = any(option in setting.options and setting.many for setting in TABLE)
        for text in texts:
            problems = self.problems({option: [text] if is_list else text})
            self.assert_problems(problems, f"--{option}: {text!r} ")

    def test_ports(self) -> None:
        """A port is a whole number from 0 to 65535, in plain digits."""
        self.assert_values("port", "port", ("0", 0), ("65535", 65535))
        self.assert_values("http_port", "http-port", ("0", 0), ("8080", 8080))
        for option in ("port", "http-port"):
            self.assert_refused(option, "65536", "-1", "1.5", "0x1", "٣", "1_0", "9" * 5000)

    def test_proxies(self) -> None:
        """A proxy is an address or a network, and several are a list."""
        for text, value in (("127.0.0.1", "127.0.0.1/32"), ("2001:db8::/32", "2001:db8::/32")):
            self.assertEqual(self.load({"proxy": [text]}).proxies, (value,))
        both = self.load(environ={"IMGD_PROXIES": "127.0.0.1, 10.0.0.0/8"}).proxies
        self.assertEqual(both, ("127.0.0.1/32", "10.0.0.0/8"))
        self.assert_refused("proxy", "proxy.local", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1:80")

    def test_sizes(self) -> None:
        """A size is in megabytes, or in the unit that is written behind it."""
        sizes = (("0", 0), ("500", 500), ("500MB", 500), ("20 gb", 20_000), ("0GB", 0))
        self.assert_values("archive_limit", "archive-limit", *sizes)
        self.assert_refused(
            "archive-limit", "-1", "1.5GB", "5kB", "5G", "GB", "٣", "1000001GB", "9" * 5000
        )

    def test_pictures(self) -> None:
        """Workers may be none, the pixels of a picture not."""
        self.assert_values("picture_workers", "picture-workers", ("0", 0), ("3", 3))
        self.assert_refused("picture-workers", "-1", "257", "auto")
        self.assert_values("picture_pixels", "picture-pixels", ("1", 1), ("100000000", 10**8))
        self.assert_refused("picture-pixels", "0", "1e6", "1000000000")

    def test_minutes(self) -> None:
        """A timeout is a whole number of minutes, 0 for never, ten years at most."""
        self.assert_values("timeout_minutes", "timeout", ("0", 0), (str(MAX_MINUTES), MAX_MINUTES))
        self.assert_refused("timeout", str(MAX_MINUTES + 1), "-1", "never", "1.0", "30m")

    def test_hosts(self) -> None:
        """A host is a name or an address."""
        self.assert_values(
            "host",
            "host",
            ("LOCALHOST", "localhost"),
            ("0.0.0.0", "0.0.0.0"),
            ("::", "::"),
            ("[::1]", "::1"),
            ("box.example.", "box.example"),
            ("my_service", "my_service"),
        )
        self.assert_refused("host", "*", "a b", "1.2.3", "8888", "http://x", "x:1", "-a", "[x]")
        self.assert_refused("host", "a" * 64, ".".join(["a" * 60] * 5), "a..b", "bücher.example")

    def test_certificate_names(self) -> None:
        """A certificate's name is a host, or one with * for its first label."""
        given = ["*.Example.org", "192.168.1.20", "fe80::1", "box"]
        self.assertEqual(
            self.load({"tls-name": given}).tls_names,
            ("*.example.org", "192.168.1.20", "fe80::1", "box"),
        )
        self.assert_refused("tls-name", "*", "*.org", "*.1.2.3.4", "a.*.org", "a,b", "https://x")

    def test_allowed_hosts(self) -> None:
        """Allowed hosts are this machine's own names, the bound one, and the user's."""
        own = ("localhost", "127.0.0.1", "::1")
        self.assertEqual(
            self.load({"host": "10.0.0.5", "allow-host": ["Box.local:8888", "[::2]", "box.local"]}),
            replace(
                self.load({"host": "10.0.0.5"}),
                allow_hosts=(*own, "10.0.0.5", "box.local", "::2"),
            ),
        )
        self.assertEqual(self.load({}, {"IMGD_ALLOW_HOSTS": "a, b"}).allow_hosts, (*own, "a", "b"))
        for everywhere in ("0.0.0.0", "::", "[::]"):  # to bind to, and the name of no host
            self.assertEqual(self.load({"host": everywhere}).allow_hosts, own)
        self.assert_refused("allow-host", "*", "*.example.org", "http://x", "a b", "x:y")
        self.assert_refused("allow-host", "0.0.0.0", "::", "[::]:8888", "0.0.0.0:1")

    def test_origins(self) -> None:
        """An origin is written as a browser sends it, or is * for all."""
        given = ["https://A.example/", "http://localhost:3000", "https://b:443", "app://x", "*"]
        self.assertEqual(
            self.load({"cors-origin": given}).cors_origins,
            ("https://a.example", "http://localhost:3000", "https://b", "app://x", "*"),
        )
        self.assert_refused(
            "cors-origin", "a.example", "null", "https://a/b", "https://a?b", "https://u@a"
        )
        self.assert_refused("cors-origin", "https://*.a", "https://a:99999", "https://a b", "//a")

    def test_public_url(self) -> None:
        """A public URL is http or https with a host, and loses its last slash."""
        self.assert_values(
            "public_url",
            "public-url",
            ("https://images.example.org/", "https://images.example.org"),
            ("http://[::1]:8080/imgd/", "http://[::1]:8080/imgd"),
        )
        self.assert_refused("public-url", "images.example.org", "ftp://x", "https://", "https:///x")
        self.assert_refused(
            "public-url", "https://x?y", "https://x#", "https://u:p@x", "http://x:y"
        )
        self.assert_refused(
            "public-url", "http://a b", "http://x\ny", "http://[::1", "http://x:65536"
        )

    def test_booleans(self) -> None:
        """A yes or no is one of eight words, in any case."""
        for words, expected in ((("1", "true", "Yes", "ON"), True), (("0", "False", "no"), False)):
            for word in words:
                settings = self.load({}, {"IMGD_FOLLOW_SYMLINKS": word})
                self.assertIs(settings.follow_symlinks, expected, word)
        self.assert_problems(
            self.problems({}, {"IMGD_FOLLOW_SYMLINKS": "maybe"}),
            "IMGD_FOLLOW_SYMLINKS: 'maybe' is neither yes nor no",
        )
        self.assertTrue(self.load({"follow-symlinks": 1}).follow_symlinks)
        self.assertFalse(self.load({"follow-symlinks": 0}).follow_symlinks)
        self.assertTrue(self.load({"generate-certs": 1}).generate_certs)

    def test_tokens(self) -> None:
        """A token is one of RFC 6750, of 16 characters or more, and no message repeats it."""
        self.assertEqual(self.load({}, {"IMGD_TOKEN": TOKEN}).token, TOKEN)
        for text in (
            "short",
            "has spaces in its midst",
            "naïve-but-long-enough",
            "a" * 20 + "\x7f",
        ):
            (problem,) = self.problems({"token": text})
            self.assertTrue(problem.startswith("--token: it must be 16 characters"))
            self.assertNotIn(text, problem)
