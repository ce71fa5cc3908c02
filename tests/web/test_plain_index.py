"""The plain index: every entry of a folder, for programs."""

from __future__ import annotations

import html
import os
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.listing import Entry
from imgd.errors import Unavailable
from imgd.web.plain_index import MAX_SORTED, MAX_STREAMS_PER_CLIENT, PIECE, lines
from tests.collections.manager_case import LONG_AGO
from tests.fakes import TOKEN, Answer, MemorySite, parse_answer, write
from tests.scans import Scans
from tests.web.list_case import ListCase

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LINE = re.compile(r'<a href="([^"]+)">(.*?)</a> +(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d) +(-|\d+)')
# As os.fsdecode gives them.
names = (
    st.binary(min_size=1, max_size=12)
    .map(lambda raw: raw.replace(b"/", b"").replace(b"\0", b""))
    .filter(lambda raw: raw not in (b"", b".", b".."))
    .map(os.fsdecode)
)


def hrefs(answer: Answer) -> list[str]:
    """All links of an index, in order."""
    return re.findall('href="([^"]*)"', answer.body.decode())


class IndexCase(ListCase):
    def index(self, path: str = "/-/files/big/", **headers: str) -> Answer:
        answer = self.memory_site.ask(path, headers=headers)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        return answer


class FormatTests(IndexCase):
    def test_index(self) -> None:
        """Title, links, dates and sizes stand as on other servers; nothing else is a link."""
        os.utime(os.path.join(self.big, "a.png"), (1_700_000_000, 1_700_000_000))
        write(os.path.join(self.big, "sub", "x.png"))
        answer = self.index()
        text = answer.body.decode()
        self.assertIn("<title>Index of /-/files/big/</title>", text)
        self.assertEqual(hrefs(answer), ["../", "sub/", "a.png", "b.png", "c.png"])
        self.assertRegex(text, r'\n<a href="a.png">a.png</a> +14-Nov-2023 22:13 +1\n')
        self.assertRegex(text, r'\n<a href="sub/">sub/</a> +\d\d-\w{3}-\d{4} \d\d:\d\d +-\n')

    def test_top(self) -> None:
        """The top of the document root has no parent, and nothing of imgd's own in it."""
        write(os.path.join(self.memory_site.documents, "images", "hidden.png"))
        write(os.path.join(self.memory_site.documents, "-", "files", "hidden.png"))
        write(os.path.join(self.memory_site.documents, ".hidden"))
        self.assertEqual(hrefs(self.index("/-/files/")), ["big/"])
        for path in ("/-/files/images/hidden.png", "/-/files/-/files/hidden.png"):
            self.assertEqual(self.memory_site.ask(path).status, 404)

    def test_empty(self) -> None:
        """An empty folder has an index, too."""
        os.mkdir(os.path.join(self.big, "empty"))
        self.assertEqual(hrefs(self.index("/-/files/big/empty/")), ["../"])

    @given(names, st.booleans(), st.integers(0, 2**63), st.integers(-(2**70), 2**70))
    @settings(deadline=None)
    def test_any_entry(self, name: str, is_folder: bool, size: int, mtime_ns: int) -> None:
        """Any entry is one line, from which a program gets its name, time and size."""
        [line] = lines([Entry(name, is_folder, size, mtime_ns)])
        self.assertNotRegex(line[:-1], r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]")
        self.assertTrue(line.endswith("\n"))
        match = LINE.fullmatch(line[:-1])
        assert match is not None, line
        link = match[1].removeprefix("./").removesuffix("/" * is_folder)
        self.assertEqual(os.fsdecode(unquote_to_bytes(link)), name)
        self.assertRegex(link, r"\A[A-Za-z0-9%._~-]+\Z")
        self.assertEqual(match[4], "-" if is_folder else str(size))
        self.assertNotIn("<", match[2])

    def test_names_like_urls(self) -> None:
        """A name that a program takes for an absolute URL begins with ``./``; no other does."""
        for name, href in (
            ("http_notes.txt", "./http_notes.txt"),
            ("https:x.png", "./https%3Ax.png"),
            ("a:b.png", "a%3Ab.png"),
            ("-rf", "-rf"),
            ("x http", "x%20http"),
        ):
            [line] = lines([Entry(name, False, 1, 1)])
            self.assertIn(f'<a href="{href}">', line)

    def test_title(self) -> None:
        """The title has the path as it was asked for, the heading as a person reads it."""
        write(os.path.join(self.big, "a <b> & ü", "x.png"))
        path = "/-/files/big/a%20%3Cb%3E%20%26%20%C3%BC/"
        text = self.index(path).body.decode()
        self.assertIn(f"<title>Index of {path}</title>", text)
        self.assertIn("<h1>Index of /-/files/big/a &lt;b&gt; &amp; ü/</h1>", text)
        raw = self.memory_site.ask(b"/-/files/big/a%20<b>%20&%20\xc3\xbc/")
        if raw.status == 200:
            self.assertNotIn("<b>", raw.body.decode())

    def test_dot_before_a_colon(self) -> None:
        """A dot stands before a name with a colon, as RFC 3986 section 4.2 has it."""
        write(os.path.join(self.big, "a:b.png"), b"colon")
        for path in ("/-/files/./big/a:b.png", "/big/./../x:y", "/-/files/././big/a:b.png"):
            self.assertEqual(self.memory_site.ask(path).status, 404, path)
        for path in ("/-/files/big/./a:b.png", "/big/./a%3ab.png", "/big/a:b.png"):
            self.assertEqual(self.memory_site.ask(path).body, b"colon", path)


class WhoGetsItTests(IndexCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory_site.load(self.big)
        self.memory_site.load(self.big, name="two", recursive=True)

    def test_programs(self) -> None:
        """Who names no type gets the whole index of any folder; a browser a page, others JSON."""
        for base in ("/big/", "/images/", "/collections/two/files/"):
            for accept in ({}, {"Accept": "*/*"}, {"Accept": "*/*;q=0.8, image/png"}):
                answer = self.index(base, **accept)
                self.assertIn(f"<title>Index of {base}</title>".encode(), answer.body)
                self.assertEqual(answer.headers["vary"], "Accept")
            page = self.index(base, **BROWSER)
            self.assertIn(b"<table>", page.body)
            self.assertEqual(page.headers["vary"], "Accept")
            message = self.memory_site.ask(base, headers={"Accept": "application/json"}).json
            self.assertEqual(message["count"], 3)

    def test_top_of_a_collection(self) -> None:
        """The top of a collection has no parent; the document root's folders have."""
        self.assertEqual(hrefs(self.index("/collections/two/files/"))[0], "a.png")
        self.assertEqual(hrefs(self.index("/big/"))[0], "../")

    def test_always(self) -> None:
        """Below its own path everybody gets it, whatever else is asked."""
        for query, headers in (("", BROWSER), ("?sort=size", {}), ("?C=M;O=A", BROWSER)):
            answer = self.index(f"/-/files/big/{query}", **headers)
            self.assertIn(b"<title>Index of /-/files/big/</title>", answer.body)
            self.assertNotIn("vary", answer.headers)

    def test_parts_of_a_listing(self) -> None:
        """Who asks for a part of a listing gets a page, from the root too."""
        for query in ("format=html", "sort=size", "order=desc", "filter=*", "limit=1"):
            for path in ("/", "/big/", "/images/"):
                self.assertIn(b"<table>", self.index(f"{path}?{query}").body)
        for path in ("/?before=f0.c", "/big/?after=d0.a"):
            self.assertIn(b"<table>", self.index(path).body)
        self.assertIn("image_list", self.memory_site.ask("/").json)
        self.assertIn("image_list", self.memory_site.ask("/?x=1").json)

    def test_cors(self) -> None:
        """Pages of other origins read its files, and not the index, as at the root."""
        origin = {"Origin": "https://a.example"}
        for path in ("/big/a.png", "/big/", "/", "/big/gone.png"):
            at_root = self.memory_site.ask(path, headers=origin).headers
            indexed = self.memory_site.ask(f"/-/files{path}", headers=origin).headers
            for name in ("access-control-allow-origin", "cross-origin-resource-policy"):
                self.assertEqual(indexed.get(name), at_root.get(name), (path, name))

    def test_head(self) -> None:
        """HEAD has the headers of GET and no body, whether the folder is there or not."""
        for path in ("/-/files/big/", "/big/", "/-/files/none/"):
            got = self.memory_site.ask(path)
            headed = self.memory_site.ask(path, "HEAD")
            self.assertEqual((headed.status, headed.body), (got.status, b""))
            self.assertEqual(
                {*headed.headers} - {"content-length"},
                {*got.headers} - {"transfer-encoding", "content-length"},
            )

    def test_redirect(self) -> None:
        """Without its slash a folder is redirected to, relatively."""
        for path, location in (("/-/files", "files/"), ("/-/files/big", "big/")):
            answer = self.memory_site.ask(path)
            self.assertEqual((answer.status, answer.headers["location"]), (301, location))

    def test_same_files(self) -> None:
        """Files have the bytes and headers that they have at the root."""
        for more in ({}, {"Range": "bytes=0-0"}, {"If-None-Match": "*"}, {"Connection": "close"}):
            for path in ("/big/a.png", "/big/a.png?download", "/big/none.png"):
                at_root = self.memory_site.ask(path, headers=more)
                indexed = self.memory_site.ask(f"/-/files{path}", headers=more)
                self.assertEqual((indexed.status, indexed.body), (at_root.status, at_root.body))
                dates = {"date": ""}
                self.assertEqual({**indexed.headers, **dates}, {**at_root.headers, **dates})


class PrivateTests(SynchronousTestCase):
    def test_private(self) -> None:
        """It is as private as the document root in every spelling, and opened by links to it."""
        memory_site = MemorySite(os.path.realpath(self.mktemp()), private=True)
        write(os.path.join(memory_site.documents, "sub", "a.png"), b"bytes")
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for path in ("", "/", "/sub/", "/sub/a.png", "/none"):
            for start in ("/-/files", "/-/%66iles", "/%2d/files", "/%2D/%66%69les"):
                self.assertEqual(memory_site.ask(start + path).status, 401, start + path)
        index = memory_site.ask("/-/files/sub/", headers=bearer)
        self.assertEqual(index.headers["cache-control"], "private, no-cache")
        link = (
            memory_site.post("/links", {"path": "/-/files/sub/", "prefix": True}, headers=bearer)
            .json["url"]
            .removeprefix("https://localhost:8888")
        )
        linked = memory_site.ask(link)
        self.assertEqual(hrefs(linked), ["../", "a.png"])
        self.assertIn(f"<title>Index of {link}</title>", linked.body.decode())
        self.assertEqual(memory_site.ask(link + "a.png").body, b"bytes")
        self.assertEqual(memory_site.ask(link.replace("/sub/", "/")).status, 403)


class StreamTests(IndexCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(2 * PIECE + 5):
            write(os.path.join(self.big, f"frame_{number}.png"), b"")
        os.utime(self.big, LONG_AGO)

    def numbers(self, body: bytes) -> list[int]:
        return [int(number) for number in re.findall(rb'href="frame_(\d+)', body)]

    def test_whole(self) -> None:
        """Every entry is in it once, from one reading of the folder."""
        scans = Scans(self.big)
        answer = self.index()
        self.assertEqual(sorted(self.numbers(answer.body)), list(range(2 * PIECE + 5)))
        self.assertTrue(answer.body.endswith(b"</html>\n"))
        self.assertEqual(scans.count, 1)

    def test_sorted(self) -> None:
        """A folder that is not very large is in its natural order, folders first."""
        for number in range(MAX_SORTED - 10, 2 * PIECE + 5):
            os.remove(os.path.join(self.big, f"frame_{number}.png"))
        os.mkdir(os.path.join(self.big, "z"))
        body = self.index().body
        self.assertEqual(self.numbers(body), list(range(MAX_SORTED - 10)))
        self.assertLess(body.index(b'"z/"'), body.index(b"frame_0"))

    def test_slow_reader(self) -> None:
        """Nothing is read from the disk while the client does not read."""
        blocking = self.memory_site.blocking
        blocking.held = True
        transport = self.begin("/-/files/big/")
        blocking.step()
        producer: Any = transport.producer
        producer.pauseProducing()
        self.step_all()
        self.assertLess(transport.value().count(b"<a href"), 2 * PIECE + 5)
        producer.resumeProducing()
        self.step_all()
        numbers = self.numbers(self.answer(transport).body)
        self.assertEqual(sorted(numbers), list(range(2 * PIECE + 5)))

    def step_all(self) -> None:
        while self.memory_site.blocking.waiting:
            self.memory_site.blocking.step()

    def test_gone(self) -> None:
        """A client that goes ends the work, and its place is free again."""
        self.memory_site.blocking.held = True
        waiting = [self.begin("/-/files/big/") for _ in range(MAX_STREAMS_PER_CLIENT)]
        self.assertTrue(self.is_refused("/-/files/big/"))
        self.assertFalse(self.is_refused("/-/files/big/", "192.0.2.1"))
        for transport in waiting:
            transport.lose()
        self.assertFalse(self.is_refused("/-/files/big/"))

    def test_failing(self) -> None:
        """What fails before the first entry is an answer; what fails later cuts the body."""
        blocking = self.memory_site.blocking
        blocking.held = True
        transport = self.begin("/-/files/big/")
        blocking.fail(Unavailable("no disk"))
        self.assertEqual(self.answer(transport).status, 503)
        transport = self.begin("/-/files/big/")
        blocking.step()
        blocking.fail(Unavailable("no disk"))
        self.assertTrue(transport.aborted)
        self.assertNotIn(b"</html>", transport.value())

    def test_old_clients(self) -> None:
        """HTTP/1.0 has no chunks: the end of the connection ends the index."""
        transport = self.memory_site.connect()
        transport.protocol.dataReceived(b"GET /-/files/big/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = parse_answer(transport.value())
        self.assertNotIn("transfer-encoding", answer.headers)
        self.assertEqual(len(self.numbers(answer.body)), 2 * PIECE + 5)
        self.assertTrue(transport.disconnecting)


class EscapeTests(SynchronousTestCase):
    def test_markup(self) -> None:
        """No name is markup, and every name shows as it is."""
        [line] = lines([Entry('<i>&"\n\u202e', False, 1, 1)])
        match = LINE.fullmatch(line[:-1])
        assert match is not None
        self.assertEqual(html.unescape(match[2]), '<i>&"\\n\\u202e')
