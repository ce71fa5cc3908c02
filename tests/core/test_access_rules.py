"""Who may control, and which origins may read."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import access_rules
from imgd.core.access_rules import Requester
from imgd.errors import Forbidden, ImgdError, Unauthorized

PROPERTY = settings(deadline=None, database=None, max_examples=300)
TOKEN = "s3cret-tökén"
HINT = "The token is in the file 'token'."
HOSTS = access_rules.host_names(("localhost", "127.0.0.1", "::1"))
Headers = dict[bytes, tuple[bytes, ...]]


def requester(peer: str = "127.0.0.1", *, secure: bool = False, **fields: str) -> Requester:
    """A request of curl on this machine, with these headers instead of or besides its own."""
    return Requester(peer, headers(fields), secure)


def headers(fields: Mapping[str, str]) -> Mapping[bytes, tuple[bytes]]:
    """The headers of curl, but for these; ``_`` in a name is a hyphen."""
    values = {"host": "localhost:8888", "user_agent": "curl/8", "accept": "*/*", **fields}
    return {n.replace("_", "-").encode(): (v.encode("latin-1"),) for n, v in values.items()}


def twice(name: bytes, one: bytes, two: bytes) -> Requester:
    return Requester("127.0.0.1", {b"host": (b"localhost",), name: (one, two)}, False)


def bearer(token: str = TOKEN) -> str:
    return "Bearer " + token.encode().decode("latin-1")


class ControlTests(SynchronousTestCase):
    """Who may control, tried from every side."""

    def let_in(self, who: Requester, token: str = TOKEN) -> None:
        if not access_rules.bears_token(who, token, HINT):
            self.assertEqual(access_rules.why_not_local(who, HOSTS), "")

    def refuse(self, kind: type[ImgdError], who: Requester, token: str = TOKEN) -> str:
        if kind is Forbidden:
            self.assertFalse(access_rules.bears_token(who, token, HINT))
            reason = access_rules.why_not_local(who, HOSTS)
            self.assertNotEqual(reason, "")
            return reason
        error = self.assertRaises(kind, access_rules.bears_token, who, token, HINT)
        self.assertIn(HINT, error.detail)
        self.assertNotIn(TOKEN, error.detail)
        return str(error.detail)


class TokenTests(ControlTests):
    """Those who bear credentials."""

    def test_right_token(self) -> None:
        """The token counts from anywhere, through any proxy, for any page that was given it."""
        self.let_in(requester(authorization=bearer()))
        self.let_in(requester("203.0.113.9", host="imgd.example", authorization=bearer()))
        self.let_in(requester("", authorization=bearer()))
        self.let_in(requester(authorization=bearer(), x_forwarded_for="203.0.113.9"))
        self.let_in(requester(authorization=bearer(), origin="https://evil.example"))

    def test_spelling(self) -> None:
        """The scheme's case and the blanks around the token do not matter."""
        token = bearer()[7:]
        for value in (
            f"bearer {token}",
            f"BEARER {token}",
            f"Bearer   {token}",
            f" Bearer {token} ",
        ):
            self.let_in(requester("203.0.113.9", authorization=value))

    def test_wrong_token(self) -> None:
        """Credentials that are not the token are refused with 401, even on this machine."""
        token = bearer()[7:]
        for value in (
            *("", "Bearer", "Bearer ", "Bearer x", bearer() + "x", bearer()[:-1], token),
            *(f"Basic {token}", f"Bearer{token}", f"Bearer {token} {token}", f"Bearer\t{token}"),
            *(f"Bearer {token.upper()}", f"Bearer {token}, Bearer {token}", "Bearer \xff"),
        ):
            self.refuse(Unauthorized, requester(authorization=value))
            self.refuse(Unauthorized, requester("203.0.113.9", authorization=value))

    def test_two_tokens(self) -> None:
        """Two sets of credentials are refused, in whatever order."""
        right, wrong = b"Bearer " + TOKEN.encode(), b"Bearer x"
        for one, two in ((right, wrong), (wrong, right), (right, right)):
            self.refuse(Unauthorized, twice(b"authorization", one, two))

    def test_no_token_is_set(self) -> None:
        """An empty token is borne by nobody."""
        for value in ("Bearer ", "Bearer", ""):
            self.refuse(Unauthorized, requester("203.0.113.9", authorization=value), "")
        self.refuse(Forbidden, requester("203.0.113.9"), "")


class LocalTests(ControlTests):
    """Those on this machine."""

    def test_programs(self) -> None:
        """curl, n8n and the client on this machine need no token, by any name of loopback."""
        for peer in ("127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"):
            self.let_in(requester(peer))
        for host in (
            *("localhost", "localhost:8888", "LocalHost:1", "localhost.", "localhost.:8888"),
            *("127.0.0.1", "127.0.0.1:8888", "[::1]", "[::1]:8888", "localhost:", " localhost "),
        ):
            self.let_in(requester(host=host))

    def test_peers_elsewhere(self) -> None:
        """Any other peer, or none, is not this machine, whatever it calls itself."""
        for peer in (
            *("", "192.168.1.5", "203.0.113.9", "128.0.0.1", "::2", "fe80::1", "0.0.0.0", "::"),
            *("::ffff:192.168.1.5", "::127.0.0.1", "localhost", "127.0.0.1.evil.example", "127.1"),
        ):
            self.assertIn("another machine", self.refuse(Forbidden, requester(peer)))

    def test_hosts(self) -> None:
        """A name that is not allowed, as after DNS rebinding, is refused, and none as well."""
        for host in (
            *("evil.example", "evil.example:8888", "localhost.evil.example", "xlocalhost", ""),
            *("localhost@evil.example", "evil.example#localhost", "localhost:x", "localhost:1:2"),
            *("localhost, evil.example", "[::1", "::1", "[::2]", "127.0.0.1.evil.example", "."),
            *("localhost..", "localhost/", "[localhost]", "localhost:999999", "0.0.0.0", "\xff"),
        ):
            self.assertIn("--allow-host", self.refuse(Forbidden, requester(host=host)))
        self.refuse(Forbidden, Requester("127.0.0.1", {}, False))

    def test_allowed_hosts_are_settings(self) -> None:
        """A host counts as allowed however its setting was written."""
        hosts = access_rules.host_names((" Box.Local. ", "[FE80::1]", "2001:db8::1", "name:8888"))
        self.assertEqual(hosts, {"box.local", "fe80::1", "2001:db8::1", "name"})
        for host in ("box.local:1", "[fe80::1]", "[2001:DB8::1]:8888", "NAME"):
            self.assertEqual(access_rules.why_not_local(requester(host=host), hosts), "")
        self.assertNotEqual(access_rules.why_not_local(requester(host="localhost"), hosts), "")

    def test_relayed(self) -> None:
        """What came through a tunnel or a proxy on this machine did not come from it."""
        for name in (
            *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
            *("x-forwarded-", "x-forwarded", "x-forwarded-anything", "x-real-ip", "via"),
            *("cf-connecting-ip", "true-client-ip", "x-client-ip", "x-original-host", "cf-ray"),
            *("cdn-loop", "x-request-id", "traceparent", "tailscale-user-login", "x" * 200),
            *("fastly-client-ip", "x-amzn-trace-id", "ngrok-skip-browser-warning", "x-b3-traceid"),
        ):
            for value in ("127.0.0.1", ""):
                who = Requester("127.0.0.1", headers({name: value}), False)
                self.assertIn("tunnel or a proxy", self.refuse(Forbidden, who))

    def test_headers_of_common_clients(self) -> None:
        """What ordinary clients send besides does not make them strangers."""
        self.let_in(
            requester(
                content_type="application/json",
                accept_encoding="gzip",
                connection="keep-alive",
                x_requested_with="n8n",
            )
        )
        self.let_in(requester(connection="Upgrade, HTTP2-Settings", http2_settings="AAMA"))  # Java
        self.let_in(requester(postman_token="0", cache_control="no-cache"))
        self.let_in(requester(accept_language="de", priority="u=4", referer="x", cookie="a"))
        self.let_in(requester(sec_ch_ua="Chromium", sec_fetch_site="same-origin", dnt="1"))

    def test_http_1_0(self) -> None:
        """HTTP/1.0 is what nginx speaks to what is behind it, unless it is told otherwise."""
        old = requester()._replace(is_http_1_0=True)
        self.assertIn("HTTP/1.0", self.refuse(Forbidden, old))
        self.let_in(requester(authorization=bearer())._replace(is_http_1_0=True))

    def test_own_page(self) -> None:
        """A page of imgd itself may control: same scheme, host and port, spelled out or not."""
        for secure, host, origin in (
            (False, "localhost:8888", "http://localhost:8888"),
            (True, "localhost:8888", "https://localhost:8888"),
            (True, "localhost", "https://localhost"),
            (True, "localhost:443", "https://localhost"),
            (False, "localhost", "http://localhost:80"),
            (False, "[::1]:8888", "http://[::1]:8888"),
            (False, "LOCALHOST:8888", "http://localhost:8888"),
        ):
            self.let_in(requester(secure=secure, host=host, origin=origin))
        for site in ("same-origin", "none", "Same-Origin"):
            self.let_in(requester(sec_fetch_site=site))

    def test_other_pages(self) -> None:
        """A page of another scheme, host or port, or of none, may not."""
        for origin in (
            *("https://evil.example", "http://evil.example:8888", "null", "", "http://"),
            *("https://localhost:8888", "http://localhost:8889", "http://localhost"),
            *("http://127.0.0.1:8888", "http://localhost:8888.evil.example", "localhost:8888"),
            *("http://localhost:8888/", "http://localhost:8888 http://evil.example", "file://"),
            *("http://evil.example@localhost:8888", "//localhost:8888", "ws://localhost:8888"),
        ):
            self.assertIn("another site", self.refuse(Forbidden, requester(origin=origin)))
        for site in ("cross-site", "same-site", "", "other", "same-origin, none"):
            who = requester(sec_fetch_site=site, origin="http://localhost:8888")
            self.assertIn("another site", self.refuse(Forbidden, who))

    def test_default_ports_are_the_schemes_own(self) -> None:
        """The port of the other scheme is not left out by either."""
        self.refuse(
            Forbidden, requester(secure=True, host="localhost:80", origin="https://localhost")
        )
        self.refuse(Forbidden, requester(host="localhost:443", origin="http://localhost"))

    def test_headers_twice(self) -> None:
        """A header that counts once and stands there twice is refused, even if both are right."""
        for name, right, wrong in (
            (b"host", b"localhost", b"evil.example"),
            (b"origin", b"http://localhost", b"null"),
            (b"sec-fetch-site", b"none", b"cross-site"),
        ):
            for one, two in ((right, wrong), (wrong, right), (right, right)):
                self.assertIn("twice", self.refuse(Forbidden, twice(name, one, two)))


NAMES = st.sampled_from(
    (
        *(b"host", b"origin", b"authorization", b"sec-fetch-site", b"forwarded", b"via"),
        *(b"x-forwarded-for", b"x-real-ip", b"accept"),
    )
)
VALUES = st.sampled_from(
    (
        *(b"localhost", b"127.0.0.1:80", b"http://localhost", b"none", b"same-origin", b"null"),
        *(b"evil", b"Bearer x", b"Bearer " + TOKEN.encode()),
    )
) | st.binary(max_size=20)
PEERS = st.sampled_from(("127.0.0.1", "::1", "10.0.0.1", "")) | st.text(max_size=20)


class PropertyTests(SynchronousTestCase):
    """What holds of every request."""

    @PROPERTY
    @given(PEERS, st.dictionaries(NAMES, st.lists(VALUES, max_size=2).map(tuple)), st.booleans())
    def test_nobody_else(self, peer: str, headers: Headers, secure: bool) -> None:
        """Whoever controls bears the token or comes from this machine unrelayed."""
        who = Requester(peer, headers, secure)
        try:
            bears = access_rules.bears_token(who, TOKEN, HINT)
        except Unauthorized:
            return
        if bears:
            self.assertTrue(headers[b"authorization"][0].endswith(TOKEN.encode()), headers)
        elif not access_rules.why_not_local(who, HOSTS):
            self.assertIn(peer, ("127.0.0.1", "::1"))
            self.assertFalse({b"forwarded", b"via"} & headers.keys())


class NamedTests(SynchronousTestCase):
    """Which hosts are this daemon's."""

    NAMES = access_rules.host_names(("localhost", "*.localhost", "127.0.0.1", "::1", "Box.example"))

    def test_ours(self) -> None:
        """A name counts whatever its port, its case and the root's dot; a star is one label."""
        for host in (
            *("localhost", "LOCALHOST.:8888", "viewer.localhost:1", "127.0.0.1", "[::1]:8888"),
            *("box.example", " Box.Example:443 ", "[0:0:0:0:0:0:0:1]", "a_b-1.localhost"),
        ):
            self.assertTrue(access_rules.is_named(host, self.NAMES), host)

    def test_others(self) -> None:
        """Names that an attacker can have lead here are none of ours."""
        for host in (
            *("evil.example", "localhost.evil.example", "a.b.localhost", "x.box.example", ""),
            *("0.0.0.0", "[::]", "127.0.0.1.nip.io", "2130706433", "*.localhost.example", "::1"),
            *("*.localhost", ".localhost", "$.localhost", "%41.localhost", "-a.localhost"),
            *("a'b.localhost", "a,b.localhost:8888", f"{'a' * 64}.localhost"),
        ):
            self.assertFalse(access_rules.is_named(host, self.NAMES), host)


class MayReadLineTests(SynchronousTestCase):
    """What the log says at start of who may read."""

    def test_table(self) -> None:
        """It tells of programs, of pages, of the network, and of what is private."""
        here, everywhere = "localhost:8888", "0.0.0.0:8888"
        for address, origins, private, said in (
            (here, (), False, "files, every page in a browser on this machine"),
            ("[::1]:1", (), False, "every program on this machine"),
            (here, ("*",), False, "and every page in a browser on this machine"),
            (here, ("https://a", "https://b"), False, "pages of https://a, https://b in a browser"),
            (everywhere, (), False, "everybody who reaches 0.0.0.0:8888"),
            ("[::]:1", ("*",), False, "everybody who reaches [::]:1"),
            (everywhere, ("*",), True, "the token or a signed link"),
        ):
            self.assertIn(said, access_rules.who_may_read(address, origins, private=private))


class AllowedOriginTests(SynchronousTestCase):
    """The CORS headers of a read."""

    ALLOW, TIMING = b"Access-Control-Allow-Origin", b"Timing-Allow-Origin"

    def test_anyone(self) -> None:
        """A star lets every origin read, and the answer is the same for all of them."""
        for origin in (None, b"https://a.example", b"null"):
            for allowed in (("*",), ("https://b.example", "*")):
                self.assertEqual(
                    access_rules.allowed_origin(origin, allowed),
                    ((self.ALLOW, b"*"), (self.TIMING, b"*")),
                )

    def test_listed(self) -> None:
        """A listed origin is named back, and caches learn that the answer depends on it."""
        allowed = ("https://a.example", "HTTPS://B.example/")
        for origin in (b"https://a.example", b"https://b.example"):
            self.assertEqual(
                access_rules.allowed_origin(origin, allowed),
                ((self.ALLOW, origin), (self.TIMING, origin), (b"Vary", b"Origin")),
            )
            self.assertTrue(access_rules.is_listed(origin, allowed))

    def test_not_listed(self) -> None:
        """Any other origin, or none, is not named, and caches learn that too."""
        for origin in (
            *(None, b"", b"null", b"https://a.example.evil", b"http://a.example", b"\xff"),
            *(b"https://a.example:444", b"https://xa.example", b"https://a.example, https://a"),
        ):
            for allowed in (("https://a.example",), ()):
                self.assertEqual(
                    access_rules.allowed_origin(origin, allowed), ((b"Vary", b"Origin"),)
                )
                self.assertFalse(access_rules.is_listed(origin, (*allowed, "*")), origin)


class MayReadTests(SynchronousTestCase):
    """Who may read where reading is private."""

    def test_token(self) -> None:
        """The token's bearer, from anywhere; being local is not enough."""
        for peer in ("127.0.0.1", "203.0.113.9"):
            access_rules.may_read(requester(peer, authorization=bearer()), TOKEN, HINT)
            for who in (
                requester(peer),
                requester(peer, authorization=bearer("wrong")),
                requester(peer, authorization="Basic " + bearer()[7:]),
                requester(peer, authorization=""),
                twice(b"authorization", bearer().encode("latin-1"), bearer().encode("latin-1")),
            ):
                with self.assertRaises(Unauthorized) as caught:
                    access_rules.may_read(who, TOKEN, HINT)
                self.assertIn(HINT, caught.exception.detail)
                self.assertNotIn(TOKEN, caught.exception.detail)


class FormTests(SynchronousTestCase):
    """Who may send a form with the token, and which token is the right one."""

    def test_token(self) -> None:
        """The token itself, spaces around it aside."""
        for text, expected in (
            (TOKEN, True),
            (f" {TOKEN}\n", True),
            (TOKEN[:-1], False),
            (f"Bearer {TOKEN}", False),
            ("", False),
            ("\udcff", False),
        ):
            self.assertEqual(access_rules.is_token(text, TOKEN), expected, text)
        self.assertFalse(access_rules.is_token("", ""))

    def test_pages(self) -> None:
        """Sec-Fetch-Site decides; without it, Origin must be the host that was asked or another
        of this daemon's, and who sends neither is no page.
        """
        own = ["https://public.example"]
        for fields, secure, expected in (
            ({}, True, True),
            ({"sec_fetch_site": "same-origin", "origin": "https://public.example"}, False, True),
            ({"sec_fetch_site": "same-origin", "host": "other"}, True, True),
            ({"sec_fetch_site": "same-site", "origin": "https://localhost:8888"}, True, False),
            ({"sec_fetch_site": "cross-site", "origin": "https://public.example"}, True, False),
            ({"sec_fetch_site": "none"}, True, False),
            ({"sec_fetch_site": ""}, True, False),
            ({"origin": "https://localhost:8888"}, True, True),
            ({"origin": "https://localhost:8888"}, False, False),
            ({"origin": "https://localhost"}, True, False),
            ({"origin": "https://public.example"}, False, True),
            ({"origin": "null"}, True, False),
            ({"host": "", "origin": "https://localhost:8888"}, True, False),
            ({"host": "a b"}, True, False),
        ):
            asker = requester(secure=secure, **fields)
            self.assertEqual(access_rules.is_own_page(asker, own), expected, fields)
        for name in (b"origin", b"sec-fetch-site", b"host"):
            self.assertFalse(access_rules.is_own_page(twice(name, b"same-origin", b"x"), own))
