"""An imgd of a test's own: the API over directories that are dicts, on real sockets, plain HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from imgd.client.api import Client
from imgd.client.commands import CliContext
from imgd.core.messages import CollectionInfo

Hook = Callable[[Request, bytes], "bytes | int"]
STAMP = "2025-01-01T00:00:00Z"
TICKET = "/-/s/5-1.ME"


def collection(directory: str = "/data", name: str = "current") -> CollectionInfo:
    """A loaded directory as the server tells it."""
    return CollectionInfo(
        name=name,
        directory=directory,
        recursive=False,
        image_count=2,
        loaded_at=STAMP,
        expires_at=None,
        url=f"https://here/collections/{name}/images",
        current=name == "current",
    )


def listen(case: TestCase, factory: Any, tls: object = None) -> int:
    """The port on which the factory listens, with TLS if options are given, until the test ends."""
    listening: Any = reactor
    if tls is None:
        port = listening.listenTCP(0, factory, interface="127.0.0.1")
    else:
        port = listening.listenSSL(0, factory, tls, interface="127.0.0.1")
    case.addCleanup(lambda: maybeDeferred(port.stopListening))
    return int(port.getHost().port)


def content_of(request: Request) -> bytes:
    assert request.content is not None
    return bytes(request.content.read())


class FakeImgd(Resource):
    """``directories`` maps a path to its images; ``hooks`` replace what an image's URL answers.

    With ``token`` reading is private. A link's ticket is ``5-1.ME``.
    """

    isLeaf = True

    def __init__(self, case: TestCase) -> None:
        super().__init__()
        self.directories: dict[str, dict[str, bytes]] = {}
        self.loaded: dict[str, dict[str, Any]] = {}
        self.hooks: dict[str, Hook] = {}
        self.log: list[str] = []
        self.token: str | None = None
        self.health: dict[str, Any] = {}
        self.shown: list[str | None] = []
        self.posts: list[tuple[str, Any]] = []
        self.expires_at: str | None = None
        self.pages_end = True
        self.skipped: dict[str, Any] | None = {}  # of every load; None: not read since a restart
        self.skipped_later: dict[str, Any] | None = None  # if one collection is asked for
        self.dicom: list[tuple[int, dict[str, Any]]] = []  # answers in turn; the last stays
        self.held: list[Request] | None = None
        self.most_held = 0
        site = Site(self)
        site.noisy = False
        self.url = f"http://127.0.0.1:{listen(case, site)}"

    def images(self, directory: str, count: int, size: int = 10) -> None:
        self.directories[directory] = {f"i {n:04}.png": b"x" * size for n in range(count)}

    @property
    def checked(self) -> list[str]:
        """The images that were asked for, in order."""
        kinds = ("HEAD", "GET")
        found = [line.split() for line in self.log]
        return [unquote(u.rpartition("/")[2]) for m, u in found if m in kinds and ".png" in u]

    def render(self, request: Request) -> Any:
        method, path = request.method.decode(), request.path.decode()
        self.log.append(f"{method} {path}")
        shown = request.getHeader("Authorization")
        self.shown.append(shown)
        if method == "POST":
            return self._post(request, path)
        is_signed = path.startswith(TICKET + "/")
        path = path.removeprefix(TICKET)
        if self.token and shown != f"Bearer {self.token}" and not is_signed:
            request.setResponseCode(401)
            return b'{"detail": "Reading is private here"}'
        if ".png" in path:
            return self._image(request, path)
        if path.endswith("/dicom/"):
            status, report = self.dicom.pop(0) if len(self.dicom) > 1 else self.dicom[0]
            request.setResponseCode(status)
            request.setHeader("Retry-After", "1")
            return json.dumps(report).encode()
        answer = self._get(
            path, {k: v[0] for k, v in parse_qs(request.uri.decode().partition("?")[2]).items()}
        )
        return self._say(request, answer)

    def _say(self, request: Request, answer: Any) -> bytes:
        if answer is None:
            request.setResponseCode(404)
            answer = {"detail": f"no {request.path.decode()} here"}
        return json.dumps(answer).encode()

    def _collection(self, name: str) -> dict[str, Any]:
        kept = self.loaded[name]
        return {
            "name": name,
            "directory": kept["directory"],
            "recursive": kept["recursive"],
            "image_count": len(self.directories[kept["directory"]]),
            "loaded_at": STAMP,
            "expires_at": self.expires_at,
            "url": f"{self.url}/collections/{name}/images",
            "current": name == "current",
            "all_files": kept.get("all_files", False),
            "skipped": self.skipped,
        }

    def _get(self, path: str, query: dict[str, str]) -> Any:
        if path == "/health":
            return {"version": "9.9", "uptime_seconds": 1.0, **self.health}
        if path == "/timeout":
            return {"timeout_minutes": 30, "timeout_enabled": True}
        if path == "/collections":
            return {"collections": [self._collection(name) for name in self.loaded]}
        parts = path.split("/")
        if parts[1] == "collections" and len(parts) == 3 and parts[2] in self.loaded:
            return {**self._collection(parts[2]), "skipped": self.skipped_later or self.skipped}
        if parts[1] == "collections" and parts[-1] == "images" and parts[2] in self.loaded:
            return self._page(parts[2], query)
        if path == "/":
            return {
                "current_directory": None,
                "image_count": 0,
                "image_list": [],
                "image_list_truncated": False,
                "load_time": None,
                "auto_unload_at": None,
                "timeout_minutes": 30,
                "time_remaining": None,
                "collections": [self._collection(name) for name in self.loaded],
                "version": "9.9",
            }
        return None

    def _page(self, name: str, query: dict[str, str]) -> Any:
        images = self.directories[self.loaded[name]["directory"]]
        after, limit = query.get("after", ""), int(query["limit"])
        names = [one for one in sorted(images) if one > after]
        place = "images" if name == "current" else f"collections/{name}/files"
        page = [
            {
                "name": one,
                "url": f"{self.url}/{place}/{quote(one, safe='')}",
                "size": len(images[one]),
                "modified": STAMP,
                "media_type": "image/png",
            }
            for one in names[:limit]
        ]
        last = names[limit - 1] if len(names) > limit else ""
        more = f"/collections/{name}/images?limit={limit}&after={quote(last)}"
        ends = len(names) <= limit and self.pages_end
        return {"images": page, "count": len(images), "next": None if ends else more}

    def _image(self, request: Request, path: str) -> Any:
        last = unquote(path.rpartition("/")[2])
        name = "current" if path.startswith("/images/") else path.split("/")[2]
        if name not in self.loaded:
            return self._say(request, None)
        body = self.directories[self.loaded[name]["directory"]][last]
        if self.held is not None:
            self.held.append(request)
            self.most_held = max(self.most_held, len(self.held))
            return NOT_DONE_YET
        if last in self.hooks:
            return self.hooks[last](request, body)
        return body

    def release(self) -> None:
        """Answer one request that is held back."""
        assert self.held is not None
        request = self.held.pop(0)
        name = unquote(request.path.decode().rpartition("/")[2])
        body = next(d[name] for d in self.directories.values() if name in d)
        if request.method == b"HEAD":
            request.setHeader(b"Content-Length", b"%d" % len(body))
        else:
            request.write(body)
        request.finish()

    def _post(self, request: Request, path: str) -> bytes:
        body = content_of(request)
        asked: Any = json.loads(body) if body else None
        self.posts.append((path, asked))
        if path == "/load-directory":
            directory = asked["directory"]
            if directory not in self.directories:
                return self._say(request, None)
            name = asked["name"] or "current"
            self.loaded[name] = {
                "directory": directory,
                "recursive": asked["recursive"],
                "all_files": asked["all_files"],
                "dicom": asked.get("dicom", False),
            }
            count = len(self.directories[directory])
            return self._say(
                request,
                {
                    "directory": directory,
                    "image_count": count,
                    "message": f"Loaded {count} images from {directory}",
                    "timeout": "No auto-unload timeout set",
                    "collection": self._collection(name),
                },
            )
        if path == "/unload":
            gone = self.loaded.pop(asked["name"] or "current", None)
            return self._say(request, {"message": "unloaded"} if gone else None)
        if path.startswith("/timeout/"):
            minutes = int(path.rpartition("/")[2])
            return self._say(
                request,
                {"timeout_minutes": minutes, "timeout_enabled": minutes > 0, "message": "set"},
            )
        if path == "/links":
            made = f"{self.url}{TICKET}{asked['path']}"
            return self._say(request, {"url": made, "expires_at": "2099-01-01T00:00:00Z"})
        if path == "/links/revoke":
            return self._say(request, {"message": "none is good"})
        if path == "/public-url":
            url = asked["url"]
            return self._say(request, {"public_url": url, "message": f"URLs begin with {url}"})
        return self._say(request, None)


class TestContext(CliContext):
    """On the reactor; its output can be read, and its connections end with the test."""

    def __init__(self, case: TestCase, clock: Any = None) -> None:
        super().__init__(reactor, {}, io.StringIO(), io.StringIO(), clock or reactor)
        self._case = case

    def client(self, *server: Any) -> Client:
        client = super().client(*server)
        self._case.addCleanup(client.close)
        return client

    @property
    def printed(self) -> str:
        assert isinstance(self.out, io.StringIO)
        return self.out.getvalue()

    @property
    def remarked(self) -> str:
        assert isinstance(self.err, io.StringIO)
        return self.err.getvalue()


def turn() -> Deferred[None]:
    """Fires in the reactor's next turn."""
    later: Deferred[None] = Deferred()
    reactor.callLater(0, later.callback, None)
    return later
