"""Authorities and URLs, with the neighbours that other parsers take for them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.urls import (
    Authority,
    Origin,
    Url,
    is_loopback,
    parse_authority,
    parse_url,
    split_url,
)

PROPERTY = settings(deadline=None, database=None, max_examples=300)


class AuthorityTests(SynchronousTestCase):
    """``HOST[:PORT]``."""

    def test_table(self) -> None:
        """Brackets, case and the root's dot fall away; a port is a number or not there."""
        for text, expected in (
            ("a", Authority("a", None)),
            ("A.B.:80", Authority("a.b", 80)),
            ("a:", Authority("a", None)),
            ("a:0", Authority("a", 0)),
            ("a:65535", Authority("a", 65535)),
            ("[::1]:443", Authority("::1", 443)),
            ("[FE80::1]", Authority("fe80::1", None)),
            ("*.example", Authority("*.example", None)),
            ("a%2Db", Authority("a%2db", None)),
        ):
            self.assertEqual(parse_authority(text), expected, text)

    def test_malformed(self) -> None:
        """Whatever is not one host, perhaps with a port, is none."""
        for text in (
            *(
                "",
                ":80",
                ".",
                ".:80",
                "a..",
                "a..:80",
                "a b",
                "a:80:80",
                "::1",
                "[::1]x",
                "[::1",
                "[]",
                "[localhost]",
            ),
            *("[1.2.3.4]", "[::1%25eth0]", "[:::1]", "a:-1", "a:65536", "a:000080", "a:x", "a:٣"),
            *("user@a", "user:pass@a", "a/b", "a?b", "a#b", "a\\b", "a%zz", "a\n", "a\0", " a"),
            *("bücher.example", "loca\u212aost", "\xff", "a\u3002b", '"', "a<b", "a|b", "a^b"),
        ):
            self.assertIsNone(parse_authority(text), text)


class UrlTests(SynchronousTestCase):
    """Absolute http and https URLs."""

    def test_table(self) -> None:
        """Scheme, host, port and target; a fragment is dropped, an empty path is the root."""
        for text, origin, target in (
            ("http://a", Origin("http", "a", 80), "/"),
            ("https://a", Origin("https", "a", 443), "/"),
            ("HTTPS://A.Example.:8888/B?c", Origin("https", "a.example", 8888), "/B?c"),
            ("http://a?b=/c", Origin("http", "a", 80), "/?b=/c"),
            ("http://a#b", Origin("http", "a", 80), "/"),
            ("http://a/b#c#d", Origin("http", "a", 80), "/b"),
            ("http://a//b/../c", Origin("http", "a", 80), "//b/../c"),
            ("http://a:/b", Origin("http", "a", 80), "/b"),
            ("http://[::1]:80/b@c:d", Origin("http", "::1", 80), "/b@c:d"),
            ("https://a:80", Origin("https", "a", 80), "/"),
        ):
            self.assertEqual(parse_url(text), Url(origin, target), text)

    def test_malformed(self) -> None:
        """Other schemes, no host, user information, bad ports, and what is not visible ASCII."""
        for text in (
            *("", "a", "//a", "/a", "http:/a", "http:a", "http://", "http:///a", "http://?a"),
            *("ftp://a", "javascript:a", "xhttp://a", "http\u017f://a", " http://a", "http://a "),
            *("http://u@a/", "http://u:p@a/", "http://a@b", "http://a:65536", "http://a:x"),
            *("http://a:80:80", "http://[::1", "http://::1/", "http://a\\b", "http://a\\@b"),
            *(
                "http://a/b c",
                "http://a/\n",
                "http://a\t/",
                "http://a/é",
                "http://é/",
                "http://a/\0",
            ),
            *("http://a#é", "http://.", "http://a,b c", "http://a/\x7f"),
        ):
            self.assertIsNone(parse_url(text), text)

    def test_authority(self) -> None:
        """An origin is written with brackets, and without the port that its scheme implies."""
        for text, expected in (
            ("http://a:80", "a"),
            ("https://a:80", "a:80"),
            ("https://[::1]:443", "[::1]"),
            ("https://[::1]:8888", "[::1]:8888"),
            ("http://a:0", "a:0"),
        ):
            url = parse_url(text)
            assert url is not None
            self.assertEqual(url.origin.authority, expected)
            self.assertEqual(str(url.origin), f"{url.origin.scheme}://{expected}")

    def test_loopback_origins(self) -> None:
        """Names below localhost and loopback addresses are this machine, their neighbours not."""
        for host in (
            "localhost",
            "a.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "::ffff:127.0.0.1",
        ):
            self.assertTrue(Origin("https", host, 443).is_loopback, host)
        for host in (
            *("xlocalhost", "localhost.example", "128.0.0.1", "127.0.0.1.example", "::2", "127.1"),
            *("127.0.0.256", "::ffff:10.0.0.1", "0.0.0.0"),
        ):
            self.assertFalse(Origin("https", host, 443).is_loopback, host)

    @PROPERTY
    @given(st.text(max_size=30), st.sampled_from(("", "http://", "https://a", "http://a:80/")))
    def test_anything(self, text: str, start: str) -> None:
        """Nothing raises, and what is parsed is parsed alike when it is written again."""
        url = parse_url(start + text)
        if url is not None:
            self.assertEqual(parse_url(f"{url.origin}{url.target}"), url)
        authority = parse_authority(text)
        if authority is not None:
            self.assertEqual(authority.host, authority.host.lower())


class LoopbackTests(SynchronousTestCase):
    """Addresses of this machine alone."""

    def test_names_are_no_addresses(self) -> None:
        """A name is resolved by somebody else."""
        self.assertFalse(is_loopback("localhost"))
        self.assertFalse(is_loopback(""))
        self.assertTrue(is_loopback("127.0.0.1"))


class SplitTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """Scheme and authority stand for the origin; the rest is what a request asks for."""
        for text, expected in (
            ("https://A.example:80/b?c#d", ("https://A.example:80", b"/b?c")),
            ("http://[::1]:81", ("http://[::1]:81", b"/")),
            ("https://a?q", ("https://a", b"/?q")),
            ("https://a/\r\nX: y", None),
            ("ftp://a/b", None),
            ("https://a/b c", None),
        ):
            self.assertEqual(split_url(text), expected, text)
