"""Whose request a trusted proxy carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.forwarded import MAX_HOPS, NONE, TrustedProxies, network

PROXIES = TrustedProxies(("127.0.0.1/32", "10.0.0.0/8", "2001:db8:1::/48"))


def headers(*lines: str) -> Mapping[bytes, Sequence[bytes]]:
    """The headers of a request with these lines."""
    values: dict[bytes, list[bytes]] = {b"host": [b"x"]}
    for line in lines:
        name, _, value = line.encode("latin-1").partition(b":")
        values.setdefault(name.lower(), []).append(value.strip(b" \t"))
    return values


class NetworkTests(SynchronousTestCase):
    def test_networks(self) -> None:
        """An address or a network in CIDR form; an IPv4 one on IPv6 is that IPv4 one."""
        for text, found in (
            ("127.0.0.1", "127.0.0.1/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ):
            self.assertEqual(str(network(text)), found)
        for text in (
            "",
            "proxy.local",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0",
            "[::1]",
            "fe80::%e/",
        ):
            self.assertRaises(ValueError, network, text)


class TrustTests(SynchronousTestCase):
    def test_trusted(self) -> None:
        """A proxy is trusted by its address, on whatever kind of socket, and nobody else is."""
        for address in ("127.0.0.1", "10.9.9.9", "::ffff:10.9.9.9", "2001:db8:1::9"):
            self.assertIn(address, PROXIES)
        for address in ("127.0.0.2", "11.0.0.1", "::1", "2001:db8:2::1", "", "somewhere"):
            self.assertNotIn(address, PROXIES)
        self.assertNotIn("127.0.0.1", NONE)


class ClientTests(SynchronousTestCase):
    def test_x_forwarded_for(self) -> None:
        """The right-most address that is no trusted proxy's, over all fields of the name."""
        for lines, client in (
            (("X-Forwarded-For: 192.0.2.1",), "192.0.2.1"),
            (("x-forwarded-FOR:192.0.2.1",), "192.0.2.1"),
            (("X-Forwarded-For: 198.51.100.1, 192.0.2.1",), "192.0.2.1"),
            (("X-Forwarded-For: 192.0.2.1, 10.0.0.7,127.0.0.1",), "192.0.2.1"),
            (("X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.1"), "192.0.2.1"),
            (("X-Forwarded-For: nonsense, 192.0.2.1 ",), "192.0.2.1"),
            (("X-Forwarded-For: 192.0.2.1:50000",), "192.0.2.1"),
            (("X-Forwarded-For: 2001:db8::5",), "2001:db8::5"),
            (("X-Forwarded-For: [2001:db8::5]:443",), "2001:db8::5"),
            (("X-Forwarded-For: [2001:db8::5]",), "2001:db8::5"),
            (("X-Forwarded-For: ::ffff:192.0.2.1",), "192.0.2.1"),
            (("X-Forwarded-For: fe80::1%eth0",), "fe80::1"),
            (("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.2"), "192.0.2.1"),
        ):
            self.assertEqual(PROXIES.client(headers(*lines)), client, lines)

    def test_forwarded(self) -> None:
        """The same of RFC 7239, of which the parameter ``for`` counts."""
        for value, client in (
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("proto=https; For=192.0.2.60", "192.0.2.60"),
            ('for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
            ('for="192.0.2.60:80"', "192.0.2.60"),
            ("for=198.51.100.1, for=192.0.2.60, for=10.0.0.1", "192.0.2.60"),
        ):
            self.assertEqual(PROXIES.client(headers(f"Forwarded: {value}")), client, value)

    def test_nobody(self) -> None:
        """Where it is missing or malformed, or names proxies alone, nobody is named."""
        self.assertIsNone(PROXIES.client(headers()))
        self.assertIsNone(PROXIES.client(headers("X-Forwarded: 192.0.2.1", "Not-Forwarded: for=x")))
        for value in (
            *("", " ", "nonsense", "192.0.2.1,", "192.0.2.1, unknown", "192.0.2.256", "1"),
            *("192.0.2.1:x", "[192.0.2", "10.0.0.1, 127.0.0.1", "\xe9", "0x7f.1", "192.0.2.1 x"),
        ):
            self.assertIsNone(PROXIES.client(headers(f"X-Forwarded-For: {value}")), value)
        for value in ("for=unknown", "for=_hidden", "by=192.0.2.1", 'for="192.0.2.1', "for=", ";"):
            self.assertIsNone(PROXIES.client(headers(f"Forwarded: {value}")), value)

    def test_bounded(self) -> None:
        """Only so many proxies in a row are looked at."""
        for hops, client in ((MAX_HOPS - 1, "192.0.2.1"), (MAX_HOPS, None), (3000, None)):
            value = ",".join(["192.0.2.1", *["10.0.0.1"] * hops])
            self.assertEqual(PROXIES.client(headers(f"X-Forwarded-For: {value}")), client, hops)


class AskedTests(SynchronousTestCase):
    def test_asked(self) -> None:
        """A proxy's own word is the last value; a scheme is http or https, or none."""
        for lines, asked in (
            ((), ("", "")),
            (("X-Forwarded-Proto: https", "X-Forwarded-Host: a.example:8443"),
             ("https", "a.example:8443")),
            (("X-Forwarded-Proto: HTTP, https ",), ("https", "")),
            (("X-Forwarded-Host: evil.example", "X-Forwarded-Host: b.example"), ("", "b.example")),
            (("X-Forwarded-Proto: javascript", "X-Forwarded-Host: \xff"), ("", "\xff")),
            (("Forwarded: proto=https;host=c.example",), ("", "")),
        ):  # fmt: skip
            self.assertEqual(PROXIES.asked(headers(*lines)), asked)
