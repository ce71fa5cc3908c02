"""The fast path answers as the resource tree does, and never with what was true before."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import http_rules
from imgd.core.conditional import FileFacts
from imgd.core.plan import Representation
from imgd.core.request_head import HeadReader, RequestHead, parse_head
from imgd.core.routes import RESERVED
from imgd.files.dicom_files import DicomFiles
from imgd.files.disk import Root
from imgd.files.versions import FileVersion
from imgd.web.fast_path import DisabledFastPath, FastPath
from imgd.web.file_cache import CachedFile, FileCache, Place
from imgd.web.response_headers import HeaderPolicy
from tests.fakes import Answer, MemorySite, Transport, write
from tests.files.test_dicom_files import DICOM, later

_DATE = re.compile(rb"\r\nDate: [^\r]*")
LATER = 60.0  # seconds: every file of a test has settled by the clock of the fast path
MEMORY = 1_000_000  # bytes


class CountingFastPath:
    """A fast path, and how many requests it answered."""

    def __init__(self, fast_path: FastPath) -> None:
        self._fast_path = fast_path
        self.count = 0

    def answer(self, head: RequestHead, channel: object) -> bytes | None:
        answer = self._fast_path.answer(head, channel)
        self.count += answer is not None
        return answer


class LateFileCache:
    """Keeps pictures by the clock of the fast path."""

    def __init__(self, files: FileCache, later: float) -> None:
        self._files = files
        self._later = later

    def keep_picture(
        self, target: bytes, place: Place, representation: Representation, body: bytes, now: float
    ) -> None:
        self._files.keep_picture(target, place, representation, body, now + self._later)


def use_fast_path(
    memory_site: MemorySite, memory: int = MEMORY, later: float = LATER
) -> CountingFastPath:
    """Give a site a fast path for which every file has settled."""
    documents = Root(
        os.path.realpath(memory_site.documents),
        forbidden=(os.path.realpath(memory_site.state_dir),),
        hidden=RESERVED,
    )
    files = FileCache(
        documents,
        memory_site.manager,
        memory,
        lambda f: memory_site.clock.callLater(0, f),
        memory_site.blocking.run_own,
        max_age=memory_site.site.max_age,
    )
    tell: Any = memory_site.site.log
    fast_path = FastPath(files, memory_site.site.header_policy, tell, lambda: time.time() + later)
    counting = CountingFastPath(fast_path)
    memory_site.site.fast_path = counting  # type: ignore[assignment]
    memory_site.site.file_cache = LateFileCache(files, later)  # type: ignore[assignment]
    return counting


def exchange(memory_site: MemorySite, pieces: list[bytes]) -> tuple[bytes, bool]:
    """What one connection answers, without dates, and whether it is over."""
    transport: Transport = memory_site.connect()
    for piece in pieces:
        if transport.disconnecting:
            break
        transport.protocol.dataReceived(piece)
    memory_site.clock.advance(0)
    return _DATE.sub(b"", transport.value()), transport.disconnecting


SIZE = 1000
PATHS = (
    *("/a.jpg", "/big.nii", "/empty.png", "/page.html", "/sub/b.png", "/s%75b/b.png", "/none.jpg"),
    *("/a.jpg/", "/sub", "/sub/", "/", "//a.jpg", "/../a.jpg", "/a%2Ejpg", "/a.jpg?x=1", "/a%zz"),
    *(
        "/link.jpg",
        "/away.jpg",
        "/.hidden.jpg",
        "/server.key",
        "/images",
        "/images/",
        "/%69mages/x",
    ),
    *("/images/c.jpg", "/images/notes.txt", "/images/none.jpg", "/images//c.jpg", "/health"),
    *("/collections/two/files/d.dcm", "/collections/two/files/", "/collections/none/files/d.dcm"),
    *("/collections/two/files/sub/e.nii.gz", "/collections/../files/d.dcm", "/-/ca.pem", "*"),
    *("/robots.txt", "/favicon.ico"),
    *("/collections/two/files/IM0000", "/collections/two/files/1.2.840.4", "/z.zarr/.zgroup"),
    *("/collections/two/files/README", "/collections/two/files/.zattrs", "/z.zarr/.other"),
    *("/-/files/a.jpg", "/-/files/sub/b.png", "/-/%66iles/a.jpg", "/-/files/s%75b/./b:c.png"),
    *("/-/files/", "/-/files", "/-/files/none.jpg", "/-/files/../a.jpg", "/-/files/server.key"),
    *("/-/files/images/c.jpg", "/-/files/link.jpg", "/-/files/away.jpg", "/-/files/.hidden.jpg"),
    *("/-/files//a.jpg", "/-/files/-/ca.pem", "/-/files%2fa.jpg", "/-/files/sub/"),
    *("http://localhost/a.jpg", "/a.jpg#x", "/caf%C3%A9.png", "/\xe9.png"),
)
HEADERS = st.sampled_from(
    (
        *("Host: localhost:8888", "Host: other", "Connection: keep-alive", "Connection: close"),
        *("Connection: CLOSE", "Connection: TE, close", "Connection: close, keep-alive"),
        *(
            "Connection: Keep-Alive, Upgrade",
            "Connection: keep-alive ",
            "Origin: https://a.example",
        ),
        *("Origin: https://b.example", "Origin: null", "If-None-Match: *", 'If-None-Match: "x"'),
        *(
            "If-None-Match: ETAG",
            "If-None-Match: W/ETAG",
            'If-None-Match: "x", ETAG',
            "If-Match: *",
        ),
        *("If-Match: ETAG", 'If-Match: "x"', "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
        *("If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT", "If-Modified-Since: soon"),
        *("Range: bytes=0-9", "Range: bytes=0-0,5-9", "Range: bytes=-5", "Range: bytes=5000000-"),
        *("Range: bytes=9-1", "Range: lines=1-2", "If-Range: ETAG", 'If-Range: "x"'),
        *("Accept: text/html", "Accept: application/json", "User-Agent: Firefox", "Referer: /a\tb"),
        *("Cookie: a=b", "Expect: 100-continue", "Upgrade: h2c", "TE: trailers", "X-Odd: \x80\xff"),
        *("Content-Length: 0", "Transfer-Encoding: identity", "Range : bytes=0-1", " folded", "x"),
    )
)


class OneMeaningTests(SynchronousTestCase):
    """A request is answered alike by the fast path, by the tree, and however it arrives."""

    def setUp(self) -> None:
        folder = os.path.abspath(self.mktemp())
        memory_site = self.memory_site = MemorySite(
            folder,
            cors_origins=self.cors_origins,
            dicom_files=DicomFiles(now_ns=later),
            more={"max_age": self.max_age},
        )
        outside = write(os.path.join(folder, "outside", "away.jpg"))
        for name in (
            "a.jpg",
            "sub/b.png",
            ".hidden.jpg",
            "server.key",
            "café.png",
            "images",
            "sub/b:c.png",
        ):
            write(os.path.join(memory_site.documents, name), os.urandom(SIZE))
        write(os.path.join(memory_site.documents, "page.html"), b"<p>")
        write(os.path.join(memory_site.documents, "empty.png"), b"")
        write(os.path.join(memory_site.documents, "big.nii"), os.urandom(1_000_000))
        os.symlink("a.jpg", os.path.join(memory_site.documents, "link.jpg"))
        os.symlink(outside, os.path.join(memory_site.documents, "away.jpg"))
        write(os.path.join(folder, "one", "c.jpg"), os.urandom(SIZE))
        write(os.path.join(folder, "one", "notes.txt"))
        write(os.path.join(folder, "two", "d.dcm"), os.urandom(SIZE))
        write(os.path.join(folder, "two", "sub", "e.nii.gz"), os.urandom(SIZE))
        for name in ("IM0000", "1.2.840.4", ".zattrs"):
            write(os.path.join(folder, "two", name), DICOM + os.urandom(SIZE))
        write(os.path.join(folder, "two", "README"), bytes(SIZE))
        for name in (".zgroup", ".other"):
            write(os.path.join(memory_site.documents, "z.zarr", name), b"{}")
        memory_site.load(os.path.join(folder, "one"))
        memory_site.load(os.path.join(folder, "two"), name="two", recursive=True)
        self.etag = memory_site.ask("/a.jpg").headers["etag"]
        self.fast_path = use_fast_path(memory_site)

    cors_origins: tuple[str, ...] = ("*",)
    max_age = 0

    def through(self, fast_path: object, pieces: list[bytes]) -> tuple[bytes, bool, list[str]]:
        memory_site, self.memory_site.site.fast_path = self.memory_site, fast_path  # type: ignore[assignment]
        del memory_site.access_lines[:]
        answer, over = exchange(memory_site, pieces)
        return answer, over, [re.sub(r"\[.*?\]", "", line) for line in memory_site.access_lines]

    def check(self, request: bytes) -> None:
        tree = self.through(DisabledFastPath(), [request])
        self.assertEqual(self.through(self.fast_path, [request]), tree)
        self.assertEqual(self.through(self.fast_path, [request]), tree)  # from memory now
        single = [request[i : i + 1] for i in range(len(request))]
        self.assertEqual(self.through(self.fast_path, single), tree)
        twice = self.through(DisabledFastPath(), [request * 2])
        self.assertEqual(self.through(self.fast_path, [request * 2]), twice)
        self.assertEqual(
            self.through(self.fast_path, [request[:20], request[20:] + request]), twice
        )

    def request(self, method: str, path: str, version: str, headers: list[str]) -> bytes:
        lines = [f"{method} {path} HTTP/{version}", *headers]
        text = "\r\n".join(lines).replace("ETAG", self.etag) + "\r\n\r\n"
        return text.encode("latin-1")

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    @given(
        st.sampled_from(("GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "get", "PRI")),
        st.sampled_from(PATHS) | st.sampled_from(PATHS[:6]),
        st.sampled_from(("1.1", "1.1", "1.1", "1.0", "2.0")),
        st.lists(HEADERS, max_size=3),
    )
    def test_any_request(self, method: str, path: str, version: str, headers: list[str]) -> None:
        """Any request, with any of these headers."""
        self.check(self.request(method, path, version, ["Host: localhost:8888", *headers]))

    def test_files(self) -> None:
        """GET and HEAD of every path, bare, and those of files are answered by the fast path."""
        for path in PATHS:
            for method in ("GET", "HEAD"):
                self.check(self.request(method, path, "1.1", ["Host: localhost"]))
        for path in (
            *("/a.jpg", "/-/files/a.jpg", "/images/c.jpg", "/collections/two/files/sub/e.nii.gz"),
            *("/collections/two/files/IM0000", "/z.zarr/.zgroup"),
        ):
            for headers in (
                *([], [f"If-None-Match: {self.etag}"], ["Range: bytes=0-9"]),
                *(["Connection: close"], ["Range: bytes=0-9", "Connection: Close"]),
            ):
                request = self.request("GET", path, "1.1", ["Host: localhost", *headers])
                self.check(request)
                before = self.fast_path.count
                self.through(self.fast_path, [request])
                self.assertEqual(self.fast_path.count, before + 1, (path, headers))

    def test_ranges_of_a_large_file(self) -> None:
        """A short range of a large file is answered by the fast path, a long one by the tree."""
        for expected, by_fast_path in (("0-9", True), ("999990-", True), ("0-300000", False)):
            request = self.request(
                "GET", "/big.nii", "1.1", ["Host: localhost", f"Range: bytes={expected}"]
            )
            self.check(request)
            before = self.fast_path.count
            self.through(self.fast_path, [request])
            self.assertEqual(self.fast_path.count - before, int(by_fast_path))


class ListedOriginsTests(OneMeaningTests):
    """The same where the answer depends on the origin."""

    cors_origins = ("https://a.example",)

    def test_origins(self) -> None:
        """A listed origin is named, another is not, and caches learn it in both cases."""
        for origin, allowed in (("https://a.example", True), ("https://b.example", False)):
            request = self.request("GET", "/a.jpg", "1.1", ["Host: a", f"Origin: {origin}"])
            self.check(request)
            answer = self.through(self.fast_path, [request])[0]
            self.assertIn(b"\r\nVary: Origin\r\n", answer)
            self.assertEqual(b"\r\nAccess-Control-Allow-Origin: " in answer, allowed)


class MaxAgeTests(OneMeaningTests):
    """The same where clients may keep files."""

    max_age = 600

    def test_refusals(self) -> None:
        """What was sent may be used again for a time, and what was refused may not."""
        for headers, status, said in (
            ([], b"200", b"max-age=600"),
            (["Range: bytes=0-1"], b"206", b"max-age=600"),
            ([f"If-None-Match: {self.etag}"], b"304", b"max-age=600"),
            (["Range: bytes=5000-"], b"416", b"no-cache"),
            (['If-Match: "x"'], b"412", b"no-cache"),
        ):
            request = self.request("GET", "/a.jpg", "1.1", ["Host: a", *headers])
            self.check(request)
            answer = self.through(self.fast_path, [request])[0]
            self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), answer)
            self.assertEqual(re.findall(rb"\r\nCache-Control: ([^\r]*)", answer), [said])


class EveryFile:
    """Knows a file by any target, and reads nothing of it."""

    def __init__(self) -> None:
        facts = FileFacts(SIZE, 1, 1, 1)
        self._known = CachedFile(
            key=b"/a.jpg",
            collection=None,
            root=Root("/"),
            path="/a.jpg",
            folder="/",
            version=FileVersion(1, 1, SIZE, 1, 1),
            may_keep=False,
            representation=Representation.of("a.jpg", facts, 1.0),
            head=b"\r\n",
            unchanged=b"\r\n",
            whole=b"\r\n" + bytes(SIZE),
        )

    def get(self, _target: bytes, _now: float) -> CachedFile:
        return self._known

    def read(self, _known: CachedFile, _answer: object, _now: float) -> bytes:
        return b""


# What heads are broken with, besides any byte.
_BREAKS = st.sampled_from(
    (
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"#", b"?", b'"', b"\x80", b"[", b"@"),
        *(b"\r\nHost: b", b"Host: a:99999\r\n", b"\r\nContent-Length: 1", b"HTTP/1.1", b"\r\n\r\n"),
        *(b"GET / HTTP/1.1\r\n", b"\r\nTransfer-Encoding: chunked", b"x" * 8000, b"X:\r\n" * 100),
    )
)
_TARGETS = st.sampled_from(
    (b"/", b"/a#x", b"/a.jpg", b"/%zz", b"/" + b"a" * 7900, b"/b", b"http://a/b")
)
_LINES = st.sampled_from(
    (b"Accept: */*", b"X-A:\t b ", b"Cookie: a=b", b"Host: b", b"Referer: a", b"Accept-Encoding:")
)
_HOSTS = st.sampled_from(
    (
        b"Host: localhost:8888",
        b"host:a",
        b"Host: [::1]:80",
        b"Host: [:",
        b"Host: a b",
        b"Host:",
        b"A:",
    )
)


class StrictTests(SynchronousTestCase):
    """The fast path answers nothing that the strict check refuses, and so need not ask it."""

    def answers(self, data: bytes) -> bool:
        """Whether the fast path answers these bytes, and nothing of them is left."""
        files: Any = EveryFile()
        fast_path, reader = FastPath(files, HeaderPolicy(("*",)), None), HeadReader()
        head = reader.feed(data)
        if not isinstance(head, RequestHead) or reader.rest:
            return False
        return fast_path.answer(head, None) is not None

    @settings(max_examples=1500, deadline=None, derandomize=True)
    @given(
        st.sampled_from((b"GET", b"HEAD", b"POST")),
        _TARGETS,
        _HOSTS,
        st.lists(_LINES | HEADERS.map(lambda line: line.encode("latin-1")), max_size=2),
        st.lists(st.tuples(st.floats(0, 1), _BREAKS | st.binary(max_size=2)), max_size=2),
    )
    def test_subset(
        self,
        method: bytes,
        target: bytes,
        host: bytes,
        lines: list[bytes],
        breaks: list[tuple[float, bytes]],
    ) -> None:
        """Whatever it answers, whole or broken anywhere, is a head that passes the check."""
        head = method + b" " + target + b" HTTP/1.1\r\n" + b"\r\n".join([host, *lines, b"", b""])
        for place, broken in breaks:
            at = round(place * len(head))
            head = head[:at] + broken + head[at:]
        if self.answers(head):
            self.assertIsInstance(parse_head(head.removeprefix(b"\r\n")), RequestHead)
            self.assertTrue(self.answers(head))  # now that it is known

    def test_limits(self) -> None:
        """Up to the check's own limits it answers, and beyond them it does not."""
        for path, fields, answered in (
            (http_rules.MAX_LINE - len("GET  HTTP/1.1"), 0, True),
            (http_rules.MAX_LINE - len("GET  HTTP/1.1") + 1, 0, False),
            (1, http_rules.MAX_FIELDS - 1, True),
            (1, http_rules.MAX_FIELDS, False),
        ):
            more = b"".join(b"X-%d: 1\r\n" % number for number in range(fields))
            head = b"GET /" + b"a" * (path - 1) + b" HTTP/1.1\r\nHost: a\r\n" + more + b"\r\n"
            self.assertEqual(self.answers(head), answered, (path, fields))
            self.assertEqual(isinstance(parse_head(head), RequestHead), answered)


class FreshTests(SynchronousTestCase):
    """What changed is never answered from memory."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        self.memory_site = MemorySite(self.folder)
        self.path = write(os.path.join(self.memory_site.documents, "sub", "a.jpg"), b"before")
        self.fast_path = use_fast_path(self.memory_site)

    def ask(self, path: str = "/sub/a.jpg") -> Answer:
        before = self.fast_path.count
        answer = self.memory_site.ask(path)
        self.by_fast_path = self.fast_path.count > before
        self.memory_site.clock.advance(0)  # the reactor's next turn
        return answer

    def remember(self) -> None:
        for _ in range(2):
            self.assertEqual(self.ask().body, b"before")
            self.assertTrue(self.by_fast_path)

    def test_edited_in_place(self) -> None:
        """An edit of the same size whose time was set back is seen."""
        self.remember()
        times = os.stat(self.path)
        with open(self.path, "r+b") as file:
            file.write(b"after!")
        os.utime(self.path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertEqual(self.ask().body, b"after!")

    def test_replaced(self) -> None:
        """A file put in place of another, with its size and times, is seen."""
        self.remember()
        times = os.stat(self.path)
        other = write(self.path + ".new", b"after!")
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.replace(other, self.path)
        self.assertEqual(self.ask().body, b"after!")

    def test_removed(self) -> None:
        """A file that has gone is not found."""
        self.remember()
        os.remove(self.path)
        self.assertEqual(self.ask().status, 404)

    def test_became_a_link(self) -> None:
        """A file moved out of the root is not served through a link that took its place."""
        self.remember()
        os.rename(self.path, os.path.join(self.folder, "moved.jpg"))
        os.symlink(os.path.join(self.folder, "moved.jpg"), self.path)
        self.assertEqual(self.ask().status, 404)

    def test_folder_became_a_link(self) -> None:
        """Nor is one whose folder was moved out, though the file itself did not change at all."""
        self.remember()
        inside, outside = os.path.dirname(self.path), os.path.join(self.folder, "moved")
        os.rename(inside, outside)
        os.symlink(outside, inside)
        self.assertEqual(self.ask().status, 404)

    def test_root_became_a_link(self) -> None:
        """Nor is one whose root was moved and linked to."""
        self.remember()
        os.rename(self.memory_site.documents, self.memory_site.documents + "2")
        os.symlink(self.memory_site.documents + "2", self.memory_site.documents)
        self.assertEqual(self.ask().status, 404)

    def test_large_file_replaced(self) -> None:
        """A range of a large file is of the file that is there now."""
        path = write(os.path.join(self.memory_site.documents, "v.nii"), b"a" * 1_000_000)
        for letter in (b"a", b"a", b"b"):
            if letter == b"b":
                write(path + ".new", b"b" * 1_000_000)
                os.replace(path + ".new", path)
            answer = self.memory_site.ask("/v.nii", headers={"Range": "bytes=500000-500009"})
            self.assertEqual((answer.status, answer.body), (206, letter * 10))
            self.memory_site.clock.advance(0)

    def test_unloaded(self) -> None:
        """A collection that was unloaded or replaced is gone in the same turn."""
        for name in ("one", "two"):
            write(os.path.join(self.folder, name, "c.jpg"), name.encode())
        self.memory_site.load(os.path.join(self.folder, "one"))
        for _ in range(2):
            self.assertEqual(self.memory_site.ask("/images/c.jpg").body, b"one")
        self.memory_site.load(os.path.join(self.folder, "two"))
        self.assertEqual(self.memory_site.ask("/images/c.jpg").body, b"two")
        self.memory_site.post("/unload")
        self.assertEqual(self.memory_site.ask("/images/c.jpg").status, 400)

    def test_not_rested(self) -> None:
        """A file written a moment ago is answered by the fast path, each time from disk."""
        fast_path = use_fast_path(self.memory_site, later=0.0)
        for body in (b"before", b"during", b"after!"):
            write(self.path, body)
            self.assertEqual(self.memory_site.ask("/sub/a.jpg").body, body)
        self.assertEqual(fast_path.count, 3)

    def test_no_memory(self) -> None:
        """With a memory of 0 the fast path answers all the same."""
        fast_path = use_fast_path(self.memory_site, memory=0)
        for _ in range(2):
            self.assertEqual(self.memory_site.ask("/sub/a.jpg").body, b"before")
        self.assertEqual(fast_path.count, 2)
