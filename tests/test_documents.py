"""What the documents say is true: links, commands, options, examples."""

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
from imgd.core import http_rules, listing, media, messages, ranges, request_body, routes
from imgd.settings.table import BY_FIELD, TABLE
from imgd.tap import Options
from imgd.web import response_headers, serializers
from tests import samples
from tests.daemons import CHECKOUT
from tests.fakes import Answer, MemorySite
from tests.pictures.inline_pool import InlinePool
from tools import documents as generated

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "benchmarks/README.md")
DEADLINES = ("header_timeout", "body_timeout", "handshake_timeout", "idle_timeout", "stall_timeout")


def documents() -> Iterator[tuple[str, str]]:
    """Every document: its path in the checkout, and its text."""
    for pattern in PAGES:
        for path in sorted(CHECKOUT.glob(pattern)):
            yield path.relative_to(CHECKOUT).as_posix(), path.read_text("utf-8")


def text(path: str) -> str:
    return (CHECKOUT / path).read_text("utf-8")


def links(name: str, source: str) -> Iterator[tuple[Path, str]]:
    """The relative links of a document: the file that each leads to, and its anchor or ""."""
    for target in re.findall(r"\]\(([^)\s]+)\)", source):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield ((CHECKOUT / name).parent / path if path else CHECKOUT / name), anchor


def blocks(source: str, *languages: str) -> list[str]:
    """The fenced blocks in these languages, with continued lines joined."""
    fenced = re.findall(r"^```(\w+)\n(.*?)^```", source, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\\\n\s*", "", body) for language, body in fenced if language in languages]


def anchors(source: str) -> set[str]:
    """The headings as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", source), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


class LinkTests(SynchronousTestCase):
    def test_links(self) -> None:
        """Every relative link leads to a file that exists, and to a heading in it."""
        for name, source in documents():
            for path, anchor in links(name, source):
                self.assertTrue(path.exists(), f"{name} links to {path}")
                if anchor:
                    self.assertIn(anchor, anchors(path.read_text("utf-8")), f"{name}: {path}")

    def test_every_document_is_linked(self) -> None:
        """Every document, and every other file in docs/, is reached by links from README.md."""
        reached = {CHECKOUT / "README.md"}
        waiting = list(reached)
        while waiting:
            name = waiting.pop().relative_to(CHECKOUT).as_posix()
            new = {path.resolve() for path, _ in links(name, text(name))} - reached
            reached |= new
            waiting += [path for path in new if path.suffix == ".md"]
        others = {path for path in (CHECKOUT / "docs").rglob("*") if path.is_file()}
        files = {CHECKOUT / name for name, _ in documents()} | others
        self.assertEqual({path.name for path in files - reached}, set())


class CommandTests(SynchronousTestCase):
    """Commands can be copied and run."""

    def test_the_two_commands(self) -> None:
        """The README's first block serves at port 8888; ``.ci/run`` runs its second."""
        first, second = blocks(text("README.md"), "sh")[:2]
        self.assertTrue(first.endswith("twistd -n imgd --port 8888\n"))
        self.assertIn('pip install ".[pictures]"', first)
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
        """Every ``twistd … imgd …`` in a block of a document has options that exist."""
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

    def test_options_and_variables(self) -> None:
        """An option or a variable of the environment that a document names is one of imgd's."""
        options = {f"--{option}" for spec in TABLE for option in spec.options}
        variables = {variable.name for spec in TABLE for variable in spec.variables}
        for name in ("README.md", "docs/http.md", "docs/architecture.md"):
            spans = re.findall(r"`(--[a-z-]+)[^`]*`", re.sub(r"(?ms)^```.*?^```", "", text(name)))
            others = {"--cacert", "--pidfile", "--help", "--network", "--add-host"}
            self.assertEqual(set(spans) - options - others, set(), name)
            named = set(re.findall(r"\b(?:IMGD|IMAGE_SERVER)_[A-Z_]+\b", text(name)))
            self.assertEqual(named - variables, set(), name)

    def test_version(self) -> None:
        """The changelog knows the version that the code has."""
        self.assertIn(f"## [{imgd.__version__}]", text("CHANGELOG.md"))
        self.assertIn("## [Unreleased]", text("CHANGELOG.md"))


class GeneratedTests(SynchronousTestCase):
    """What ``python -m tools.documents`` makes."""

    def test_current(self) -> None:
        """Each document is as the command makes it."""
        for name, make in generated.DOCUMENTS.items():
            document = text(name)
            self.assertTrue(document == make(document), f"{name}: run {generated.COMMAND}")

    def test_edited(self) -> None:
        """A made part that somebody edited is made anew; lost markers are an error."""
        for name, old, new in (
            ("docs/configuration.md", "| 8888 |", "| 9999 |"),
            ("docs/architecture.md", " tap.py ", " tip.py "),
            (".env.example", "#IMAGE_SERVER_PORT=8888", "#IMAGE_SERVER_PORT=9999"),
        ):
            edited = text(name).replace(old, new)
            self.assertNotEqual(edited, text(name))
            self.assertEqual(generated.DOCUMENTS[name](edited), text(name))
        with self.assertRaises(ValueError):
            generated.DOCUMENTS["docs/configuration.md"]("no markers")

    def test_map(self) -> None:
        """The map of docs/architecture.md names every module of imgd with what it is for."""
        package = CHECKOUT / "imgd"
        lines = [line.split() for line in text("docs/architecture.md").splitlines()]
        described = {words[0] for words in lines if len(words) > 3}
        for path in package.rglob("*.py"):
            name = f"{path.parent.name}/" if path.name == "__init__.py" else path.name
            if path.parent != package or path.name != "__init__.py":
                self.assertIn(name, described)


class Example(NamedTuple):
    """A request of the HTTP reference, and the answer that it shows."""

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
    """docs/http.md describes this server."""

    def setUp(self) -> None:
        self.reference = text("docs/http.md")
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.memory_site = MemorySite(str(self.folder), picture_pool=InlinePool())
        self.addCleanup(self.memory_site.dicom.stop)
        os.rmdir(self.memory_site.documents)
        samples.studies(Path(self.memory_site.documents))
        samples.frames(self.folder / "data" / "frames", 3)
        self.memory_site.load(str(self.folder / "data" / "frames"))
        self.memory_site.load(self.memory_site.documents, name="study-1", recursive=True, minutes=0)

    def ask(self, example: Example) -> Answer:
        fields = dict(example.headers)
        if "If-None-Match" in fields:
            fields["If-None-Match"] = self.memory_site.ask(example.path).headers["etag"]
        body = example.body.replace("/data/", f"{self.folder}/data/").encode()
        return self.memory_site.ask(example.path, example.method, fields, body)

    def test_examples(self) -> None:
        """Every example gives what is shown: status, headers, and JSON of this shape."""
        count = 0
        for example in examples(self.reference):
            count += 1
            answer = self.ask(example)
            if example.shown[0].startswith("HTTP/"):
                self.check_head(example, answer)
            elif example.shown[0].startswith("<"):
                self.check_page(example, answer)
            else:
                self.assertEqual(answer.status, 200, example)
                shown = json.loads(
                    example.shown[0].replace('"collections":[…]', '"collections":[]')
                )
                given = answer.json
                if isinstance(shown, dict) and shown.get("collections") == []:
                    given = {**given, "collections": []}
                self.assertEqual(shape(given), shape(shown), example.path)
        self.assertGreater(count, 10)

    def check_page(self, example: Example, answer: Answer) -> None:
        """Every line that is shown, but for times, stands in the answer."""
        time = re.compile(r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d")
        lines = time.sub("", answer.body.decode()).splitlines()
        for line in example.shown:
            if line != "…":
                self.assertIn(time.sub("", line), lines)

    def check_head(self, example: Example, answer: Answer) -> None:
        status, *fields = example.shown
        self.assertEqual(status.split()[1], str(answer.status), example)
        varying = ("date", "etag", "last-modified")
        for line in fields:
            name, _, value = line.partition(": ")
            given = answer.headers.get(name.lower())
            self.assertIsNotNone(given, (example, name))
            if name.lower() not in varying:
                self.assertEqual(given, value, example)

    def test_paths(self) -> None:
        """Every name that imgd takes from the document root is named, in both places."""
        for name in routes.RESERVED:
            self.assertTrue(f"`/{name}" in self.reference, f"/{name} is not named")
            self.assertTrue(f"`{name}`" in self.reference, f"{name} is not named as reserved")

    def test_headers(self) -> None:
        """Every header that each answer or each preflight carries is given with its value."""
        reference = " ".join(self.reference.split())
        for name, value in (
            *response_headers.EVERY_ANSWER,
            *response_headers.SHARED,
            *response_headers.NOT_SHARED,
            *response_headers.HeaderPolicy().preflight(None, is_read=True),
        ):
            self.assertIn(name.decode(), reference)
            self.assertIn(value.decode(), reference)

    def test_suffixes(self) -> None:
        """Every suffix of an image is named."""
        for suffix in (*media.RASTER, *media.MEDICAL, *media.ACTIVE_SUFFIXES):
            self.assertRegex(self.reference, rf"`[^`]*\{suffix}\b")

    def test_limits(self) -> None:
        """The limits are those of the code."""
        for limit in (
            *(f"{request_body.MAX_BODY // 1024} KiB", f"up to {ranges.MAX_RANGES}"),
            *(f"{listing.PAGE_SIZE:,}", f"{listing.MAX_PAGE_SIZE:,}"),
            *(f"{serializers.MAX_STATUS_NAMES:,}", f"{messages.MAX_MINUTES:,} minutes"),
            *(f"{http_rules.MAX_LINE:,} bytes", f"{http_rules.MAX_FIELDS} headers"),
            f"{http_rules.MAX_SECTION // 1024} KiB",
            *(f"{BY_FIELD[name].default} seconds" for name in DEADLINES),
        ):
            self.assertTrue(limit in self.reference, f"{limit} is not in docs/http.md")

    def test_deadlines_of_the_reliability_page(self) -> None:
        """Its table of deadlines has the defaults of the table of settings."""
        rows = re.findall(r"\| (\d+) s\b.*\| `--([a-z-]+-timeout)` \|", text("docs/reliability.md"))
        given = {option.replace("-", "_"): int(seconds) for seconds, option in rows}
        names = [*DEADLINES, "disk_timeout"]
        self.assertEqual(given, {name: BY_FIELD[name].default for name in names})

    def test_fields(self) -> None:
        """Every field of a control request, and every key of a listing, is named."""
        for kind in (messages.LoadRequest, messages.LinkRequest):
            for field in kind.__struct_fields__:
                self.assertIn(f"`{field}`", self.reference)
        for key in ("sort", "order", "filter", "limit", "after", "before", "format"):
            self.assertIn(f"`{key}`", self.reference)
        for column in listing.Sort:
            self.assertIn(f"`{column}`", self.reference)
