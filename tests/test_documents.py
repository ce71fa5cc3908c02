"""What the documents say holds: links, commands, options, examples."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import imgd
from imgd.core import connections, http_rules, listing, media, messages, ranges, request_body
from imgd.settings.table import TABLE
from imgd.tap import Options
from imgd.web import response_headers, serializers, server
from tests import samples
from tests.daemons import CHECKOUT
from tests.fakes import Answer, House

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "docs/*.md")
TOLD_DEADLINES = ("handshake", "header", "body", "stalled", "idle")


def documents() -> Iterator[tuple[str, str]]:
    """Every document: its path in the checkout, and its text."""
    for pattern in PAGES:
        for path in sorted(CHECKOUT.glob(pattern)):
            yield path.relative_to(CHECKOUT).as_posix(), path.read_text("utf-8")


def text(path: str) -> str:
    """One document."""
    return (CHECKOUT / path).read_text("utf-8")


def blocks(source: str, *languages: str) -> list[str]:
    """The fenced blocks in these languages, with lines that go on joined."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", source, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\\\n\s*", "", body) for language, body in found if language in languages]


def anchors(source: str) -> set[str]:
    """The headings as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", source), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


class LinkTests(SynchronousTestCase):
    """Whoever follows a link arrives."""

    def test_links(self) -> None:
        """Every link between documents leads to a file that is there, and to a heading in it."""
        for name, source in documents():
            for target in re.findall(r"\]\(([^)\s]+)\)", source):
                if re.match(r"[a-z]+:", target):
                    continue
                place, _, anchor = target.partition("#")
                path = (CHECKOUT / name).parent / place if place else CHECKOUT / name
                self.assertTrue(path.exists(), f"{name} links to {target}")
                if anchor:
                    self.assertIn(anchor, anchors(path.read_text("utf-8")), f"{name}: {target}")


class CommandTests(SynchronousTestCase):
    """Whoever copies a command runs it."""

    def test_the_two_commands(self) -> None:
        """The README's first block serves at port 8888; its second is what ``.ci/run`` runs."""
        first, second = blocks(text("README.md"), "sh")[:2]
        self.assertTrue(first.endswith("twistd -n imgd --port 8888\n"))
        self.assertIn("pip install .", first)
        for word in (
            "ruff check",
            "ruff format --check",
            "mypy",
            "PYTHONWARNINGS=error",
            "trial -j3 tests",
        ):
            self.assertIn(word, second)
        if shutil.which("bash") is None:
            raise SkipTest("there is no bash on this machine")
        shown = subprocess.run(
            ["bash", str(CHECKOUT / ".ci" / "run"), "--show"], capture_output=True, check=True
        )
        self.assertEqual(shown.stdout.decode(), second)

    def test_twistd_lines(self) -> None:
        """Every ``twistd … imgd …`` in a block of a document has options that there are."""
        count = 0
        for name, source in documents():
            for block in blocks(source, "sh", "ini", "dockerfile"):
                for line in re.findall(r"twistd[^\n]*? imgd(?![/.\w])([^\n&|]*)", block):
                    count += 1
                    arguments = shlex.split(line, comments=True)
                    if "--help" in arguments:
                        continue
                    try:
                        Options().parseOptions(arguments)
                    except Exception as error:
                        self.fail(f"{name}: twistd imgd {line}: {error}")
        self.assertGreater(count, 8)

    def test_options_and_keys(self) -> None:
        """An option or a key of the environment that a document names is one of imgd's."""
        options = {f"--{option}" for setting in TABLE for option in setting.options}
        keys = {key.name for setting in TABLE for key in setting.keys}
        for name in ("README.md", "docs/http.md", "docs/architecture.md"):
            spans = re.findall(r"`(--[a-z-]+)[^`]*`", re.sub(r"(?ms)^```.*?^```", "", text(name)))
            others = {"--cacert", "--pidfile", "--help", "--network", "--add-host"}
            self.assertEqual(set(spans) - options - others, set(), name)
            named = set(re.findall(r"\b(?:IMGD|IMAGE_SERVER)_[A-Z_]+\b", text(name)))
            self.assertEqual(named - keys, set(), name)

    def test_version(self) -> None:
        """The changelog knows the version that the code has."""
        self.assertIn(f"## [{imgd.__version__}]", text("CHANGELOG.md"))
        self.assertIn("## [Unreleased]", text("CHANGELOG.md"))


class ArchitectureTests(SynchronousTestCase):
    """The picture of the house is of this house."""

    def test_rooms(self) -> None:
        """Every room is in the picture, and every file in the picture is there."""
        [picture, *_] = re.findall(r"(?ms)^```\n(.*?)^```", text("docs/architecture.md"))
        for line in picture.partition("imgd/\n")[2].partition("\ntests/")[0].splitlines():
            if not line.strip():
                continue
            if match := re.match(r"  (\w+/|\w+\.py)", line):
                room = CHECKOUT / "imgd" / match[1]
                self.assertTrue(room.exists(), line)
            else:
                for named in re.findall(r"\w+\.py|templates/|assets/", line):
                    self.assertTrue((room / named).exists(), line)
        for path in (CHECKOUT / "imgd").iterdir():
            if path.name != "__init__.py" and (
                path.suffix == ".py" or (path / "__init__.py").exists()
            ):
                told = re.search(rf"(?m)^  {re.escape(path.name)}", picture)
                self.assertTrue(told, f"{path.name} is not in docs/architecture.md")


class Example(NamedTuple):
    """A request of the HTTP reference, and what it says comes back."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    shown: list[str]


def examples(source: str) -> Iterator[Example]:
    """The ``$ curl`` lines of a document's console blocks, each with what is shown below it."""
    for block in blocks(source, "console"):
        for part in block.split("$ curl ")[1:]:
            command, *shown = part.rstrip("\n").splitlines()
            yield parse(shlex.split(command), shown)


def parse(arguments: list[str], shown: list[str]) -> Example:
    """curl's arguments, as far as the documents use them."""
    method, path, fields, body = "GET", "", {}, ""
    rest = iter(arguments)
    for word in rest:
        match word:
            case "--cacert":
                next(rest)
            case "-X":
                method = next(rest)
            case "-I":
                method = "HEAD"
            case "-H":
                name, _, value = next(rest).partition(": ")
                fields[name] = value
            case "-d":
                body = next(rest)
            case "-i":
                pass
            case _:
                path = word.removeprefix("https://localhost:8888")
    return Example(method, path, fields, body, shown)


def shape(value: Any) -> Any:
    """A JSON value as its keys and the kinds of its values; of a list, the first element's."""
    match value:
        case dict():
            return {key: shape(inner) for key, inner in value.items()}
        case [first, *_]:
            return [shape(first)]
        case None | str():
            return "text or null"
        case _:
            return type(value).__name__


class ReferenceTests(SynchronousTestCase):
    """docs/http.md is of this server."""

    def setUp(self) -> None:
        self.reference = text("docs/http.md")
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.house = House(str(self.folder))
        os.rmdir(self.house.documents)
        samples.studies(Path(self.house.documents))
        samples.frames(self.folder / "data" / "frames", 3)
        self.house.load(str(self.folder / "data" / "frames"))
        self.house.load(self.house.documents, name="study-1", recursive=True, minutes=0)

    def ask(self, example: Example) -> Answer:
        fields = dict(example.headers)
        if "If-None-Match" in fields:
            fields["If-None-Match"] = self.house.ask(example.path).headers["etag"]
        body = example.body.replace("/data/", f"{self.folder}/data/").encode()
        return self.house.ask(example.path, example.method, fields, body)

    def test_examples(self) -> None:
        """Every example gives what is shown: status, headers, and JSON of this shape."""
        count = 0
        for example in examples(self.reference):
            count += 1
            answer = self.ask(example)
            if example.shown[0].startswith("HTTP/"):
                self.check_head(example, answer)
            else:
                self.assertEqual(answer.status, 200, example)
                shown = json.loads(
                    example.shown[0].replace('"collections":[…]', '"collections":[]')
                )
                got = answer.json
                if shown.get("collections") == []:
                    got = {**got, "collections": []}
                self.assertEqual(shape(got), shape(shown), example.path)
        self.assertGreater(count, 10)

    def check_head(self, example: Example, answer: Answer) -> None:
        status, *fields = example.shown
        self.assertEqual(status.split()[1], str(answer.status), example)
        varying = ("date", "etag", "last-modified")
        for line in fields:
            name, _, value = line.partition(": ")
            got = answer.headers.get(name.lower())
            self.assertIsNotNone(got, (example, name))
            if name.lower() not in varying:
                self.assertEqual(got, value, example)

    def test_paths(self) -> None:
        """Every name that imgd takes from the document root is told, in both places."""
        for name in server.RESERVED:
            self.assertTrue(f"`/{name}" in self.reference, f"/{name} is not told")
            self.assertTrue(f"`{name}`" in self.reference, f"{name} is not told to be reserved")

    def test_headers(self) -> None:
        """Every header that each answer or each preflight carries is told, with its value."""
        told = " ".join(self.reference.split())
        for name, value in (
            *response_headers.EVERY_ANSWER,
            *response_headers.SHARED,
            *response_headers.NOT_SHARED,
            *response_headers.PREFLIGHT,
        ):
            self.assertIn(name.decode(), told)
            self.assertIn(value.decode(), told)

    def test_suffixes(self) -> None:
        """Every suffix of an image is told."""
        for suffix in (*media.RASTER, *media.MEDICAL, *media.ACTIVE_SUFFIXES):
            self.assertRegex(self.reference, rf"`[^`]*\{suffix}\b")

    def test_limits(self) -> None:
        """The limits told are those of the code."""
        for limit in (
            *(f"{request_body.MAX_BODY // 1024} KiB", f"up to {ranges.MAX_RANGES}"),
            *(f"{listing.PAGE_SIZE:,}", f"{listing.MAX_PAGE_SIZE:,}"),
            *(f"{serializers.MAX_STATUS_NAMES:,}", f"{messages.MAX_MINUTES:,} minutes"),
            *(f"{http_rules.MAX_LINE:,} bytes", f"{http_rules.MAX_FIELDS} headers"),
            f"{http_rules.MAX_SECTION // 1024} KiB",
            *(f"{getattr(connections.Deadlines(), name)} seconds" for name in TOLD_DEADLINES),
        ):
            self.assertTrue(limit in self.reference, f"{limit} is not told")

    def test_fields(self) -> None:
        """Every field that a control request may have, and every key of a listing, is told."""
        for kind in (messages.LoadRequest, messages.LinkRequest):
            for field in kind.__struct_fields__:
                self.assertIn(f"`{field}`", self.reference)
        for key in ("sort", "order", "filter", "limit", "after", "before", "format"):
            self.assertIn(f"`{key}`", self.reference)
        for column in listing.Sort:
            self.assertIn(f"`{column}`", self.reference)
