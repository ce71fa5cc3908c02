"""Signed links, without a server."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import links, paths
from imgd.core.links import Scope
from imgd.core.routes import SIGNED_BASE
from imgd.errors import BadRequest, Forbidden, Gone, ImgdError

PROPERTY = settings(deadline=None, database=None, max_examples=200)
KEY = bytes(range(32))
NOW = 1_800_000_000


def split(link: str) -> tuple[bytes, bytes]:
    """A link's ticket and the path behind it."""
    ticket, _, path = link.removeprefix(SIGNED_BASE).partition("/")
    return ticket.encode(), b"/" + path.encode()


def outcome(ticket: bytes, path: bytes, now: float = NOW, key: bytes = KEY) -> int:
    """The status that a link comes to."""
    try:
        links.verify(key, ticket, path, now)
    except ImgdError as error:
        return error.status
    return 200


class LinkTests(SynchronousTestCase):
    def ticket(self, path: str, *, prefix: bool = False) -> bytes:
        """A ticket for an hour."""
        return split(links.sign(KEY, Scope.of(path, is_prefix=prefix), NOW + 3600))[0]

    def test_form(self) -> None:
        """The signature stands before the path, and the link ends as the path does."""
        link = links.sign(KEY, Scope.of("/images/a b.nii.gz", is_prefix=False), NOW)
        self.assertRegex(link, r"^/-/s/1800000000\.[A-Za-z0-9_-]{43}/images/a%20b\.nii\.gz$")
        link = links.sign(KEY, Scope.of("/images/deep/", is_prefix=True), NOW)
        self.assertRegex(link, r"^/-/s/1800000000-2\.[A-Za-z0-9_-]{43}/images/deep/$")

    def test_one_file(self) -> None:
        """A link to a file is good for it, however its URL is escaped, and for nothing else."""
        ticket = self.ticket("/images/a~b.nii")
        for path, wanted in (
            (b"/images/a~b.nii", 200),
            (b"/images/a%7Eb.nii", 200),
            (b"/%69mages/a~b.nii", 200),
            (b"/images/a~b.nii/", 403),
            (b"/images/a~b.ni", 403),
            (b"/images/A~b.nii", 403),
            (b"/images/a%257Eb.nii", 403),
            (b"/images%2Fa~b.nii", 403),
            (b"/images//a~b.nii", 403),
            (b"/images/", 403),
            (b"/", 403),
            (b"", 403),
            (b"/images/x/../a~b.nii", 403),
        ):
            self.assertEqual(outcome(ticket, path), wanted, path)

    def test_viewed(self) -> None:
        """A link to a file is good for the page that shows it, and may lead there."""
        scope = Scope.of("/images/a.nii", is_prefix=False)
        link = links.sign(KEY, scope, NOW + 3600, "/-/view")
        ticket, path = split(link)
        self.assertEqual(path, b"/-/view/images/a.nii")
        for path, wanted in (
            (b"/-/view/images/a.nii", 200),
            (b"/images/a.nii", 200),
            (b"/-/view/images/b.nii", 403),
            (b"/-/view/-/view/images/a.nii", 403),
            (b"/-/vie%77/images/a.nii", 403),
            (b"/-/view/", 403),
        ):
            self.assertEqual(outcome(ticket, path), wanted, path)

    def test_prefix(self) -> None:
        """A link to a folder is good for it and what is below, not for its neighbours."""
        ticket = self.ticket("/images/foo", prefix=True)
        for path, wanted in (
            (b"/images/foo", 200),
            (b"/images/foo/", 200),
            (b"/images/foo/a/b.nii", 200),
            (b"/images/foobar/a.nii", 403),
            (b"/images/fo/a.nii", 403),
            (b"/images/", 403),
            (b"/images%2Ffoo/a", 403),
            (b"/health", 403),
        ):
            self.assertEqual(outcome(ticket, path), wanted, path)
        self.assertEqual(outcome(self.ticket("/", prefix=True), b"/anything/at/all"), 200)

    def test_kinds(self) -> None:
        """A link to one file is none to a folder of that name, nor the other way."""
        one, many = self.ticket("/images/a"), self.ticket("/images/a", prefix=True)
        self.assertEqual(outcome(one.replace(b".", b"-2."), b"/images/a/b"), 403)
        self.assertEqual(outcome(many.replace(b"-2.", b"."), b"/images/a"), 403)
        self.assertEqual(outcome(many.replace(b"-2.", b"-1."), b"/images/b"), 403)

    def test_expiry(self) -> None:
        """A link ends on its second with 410, and cannot be made to live longer."""
        ticket = self.ticket("/a")
        self.assertEqual(outcome(ticket, b"/a", NOW + 3599.9), 200)
        self.assertEqual(outcome(ticket, b"/a", NOW + 3600), 410)
        later = ticket.replace(b"1800003600", b"1900003600")
        self.assertEqual(outcome(later, b"/a"), 403)
        self.assertEqual(outcome(b"0" + ticket, b"/a"), 403)  # the same number, spelled otherwise

    def test_expired_forgery(self) -> None:
        """Only a true link is told that it expired."""
        wrong = b"1000000000." + b"A" * 43
        self.assertEqual(outcome(wrong, b"/a"), 403)

    def test_key(self) -> None:
        """With another key every link is wrong."""
        self.assertEqual(outcome(self.ticket("/a"), b"/a", key=bytes(32)), 403)

    def test_malformed(self) -> None:
        """What is no ticket at all is a wrong one."""
        good = self.ticket("/a")
        for bad in (b"", b".", good[:-1], good + b"A", good + b"=", good.replace(b".", b""),
                    b"-1" + good, good.replace(b".", b"-."), good.replace(b".", b"-9999."),
                    b"9" * 5000 + good, b"\xff", good.upper()):  # fmt: skip
            self.assertEqual(outcome(bad, b"/a"), 403, bad)

    def test_scopes(self) -> None:
        """What can never be served gets no link."""
        for path in ("", "a", "images/a", "/../a", "/a/../b", "/.hidden", "/a//b", "/a.key", "/a\n",
                     "/-/ca.pem", "/-", "/-/view/a", "/a%2fb", "/a%00", "/%2e%2e/a",
                     "/a\\b"):  # fmt: skip
            with self.subTest(path=path), self.assertRaises(BadRequest):
                Scope.of(path, is_prefix=False)

    def test_seconds(self) -> None:
        """How long a link lives is told as people write it."""
        for given_, wanted in ((60, 60), ("60", 60), ("90s", 90), ("5m", 300), ("1h", 3600),
                               ("2d", 172_800), ("1w", 604_800)):  # fmt: skip
            self.assertEqual(links.seconds(given_), wanted)
        for bad in (0, -1, "0h", "", "h", "1.5h", "1 h", "1y", "9" * 9 + "w", 10**12, "\uff11h"):
            with self.subTest(bad=bad), self.assertRaisesRegex(BadRequest, "expires"):
                links.seconds(bad)

    @PROPERTY
    @given(st.binary(max_size=80), st.binary(max_size=80))
    def test_anything(self, ticket: bytes, path: bytes) -> None:
        """Whatever the bytes, a link that was not signed is wrong, and nothing else happens."""
        self.assertEqual(outcome(ticket, path), 403)
        is_same = path.startswith(b"/") and unquote_to_bytes(path) == b"/a"
        self.assertEqual(outcome(self.ticket("/a"), path), 200 if is_same else 403)

    def test_one_path(self) -> None:
        """A path may be written in several ways (RFC 3986, 6.2.2); what is no path is not it."""
        for path, status in ((b"/a", 200), (b"/%61", 200), (b"a", 403), (b"//a", 403), (b"", 403)):
            self.assertEqual(outcome(self.ticket("/a"), path), status, path)

    @PROPERTY
    @given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4))
    def test_round_trip(self, names: list[str]) -> None:
        """Every path that may be served can have a link, which is good for it."""
        path = "/" + paths.encode(*names)
        try:
            scope = Scope.of(path, is_prefix=False)
        except BadRequest:
            self.assertFalse(names[0] != "-" and all(map(paths.is_servable, names)))
        else:
            self.assertEqual(outcome(*split(links.sign(KEY, scope, NOW + 1))), 200)


class ErrorTests(SynchronousTestCase):
    def test_words(self) -> None:
        """A refusal says what to do, and repeats neither path nor signature."""
        for kind in (Forbidden, Gone):
            with self.assertRaises(kind) as caught:
                now = NOW if kind is Forbidden else NOW + 9999
                key = bytes(32) if kind is Forbidden else KEY
                ticket, path = split(links.sign(KEY, Scope.of("/x", is_prefix=False), NOW + 9))
                links.verify(key, ticket, path, now)
            self.assertNotIn("/x", caught.exception.detail)
