"""URLs, and what is none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.errors import InvalidResponse
from imgd.client.urls import origin_of, redirected, split_url
from imgd.core.urls import Origin

NO_URLS = (
    "https://a/\r\nX: y",
    "https://a/b c",
    "https://a/\x00",
    "https://a/ü",
    "file:///etc/passwd",
    "https://",
    "",
)


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
