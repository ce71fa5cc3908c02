"""Imports go one way: the rules of docs/architecture.md, held over the source."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imgd

# Each room, and the rooms that it may know besides itself. "" is the package: its version.
BELOW = {"", "errors", "core", "logs", "settings"}
MAY_KNOW: dict[str, set[str]] = {
    "": set(),
    "errors": set(),
    "core": {"errors"},
    "logs": {"errors"},
    "settings": {"", "errors", "core"},
    "host": BELOW,
    "net": BELOW | {"host", "certificates"},
    "files": BELOW | {"host"},
    "collections": BELOW | {"host", "files"},
    "pictures": BELOW | {"host", "files"},
    "dicom": BELOW | {"host", "files", "collections", "pictures"},
    "certificates": BELOW | {"host"},
    "web": BELOW | {"host", "files", "collections", "net", "pictures", "dicom"},
    "service": BELOW
    | {"host", "files", "collections", "certificates", "web", "net"}
    | {"pictures", "dicom"},
    "tap": BELOW | {"host", "collections", "web", "net", "service"},
    "client": BELOW | {"host"},
    "__main__": {"client"},
}
NOT_IN_CORE = {"os", "io", "pathlib", "socket", "time", "threading", "twisted"} | {
    *("subprocess", "sqlite3", "asyncio", "tempfile", "shutil")
}
OPENING = {"open", "fdopen", "getContent", "setContent"} | {
    *("read_text", "read_bytes", "write_text", "write_bytes")
}
# The client writes manifests, pictures keep a cache.
OPENS_FILES = {"host", "files", "collections", "certificates", "client", "pictures", "dicom"}
REACTOR = "twisted.internet.reactor"
WITH_REACTOR = {"imgd.tap", "imgd.client.cli"}

Sources = Mapping[str, str]


def room(module: str) -> str:
    """``imgd.web.server`` is in ``web``, ``imgd`` itself in ``""``."""
    return module.split(".")[1] if "." in module else ""


def imported(name: str, tree: ast.AST, sources: Sources) -> Iterator[str]:
    """The full names that a module imports, wherever in it: modules, and names out of modules."""
    is_package = any(other.startswith(name + ".") for other in sources)
    parents = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def module_of(name: str, sources: Sources) -> str:
    """The module of imgd that a full name is, or is in."""
    while name not in sources and "." in name:
        name = name.rpartition(".")[0]
    return name


def hidden(tree: ast.AST) -> bool:
    """Whether anything is imported for the type checker alone."""
    ifs = (n for n in ast.walk(tree) if isinstance(n, ast.If))
    tests = [n for n in ifs if "TYPE_CHECKING" in ast.dump(n.test)]
    return any(isinstance(n, ast.Import | ast.ImportFrom) for t in tests for n in ast.walk(t))


def opens(tree: ast.AST, names: set[str]) -> bool:
    """Whether a file is opened, read or written, by whatever name the call is known."""
    called = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
    ours = ("Store.open",)  # the store's own, in host
    known = {
        getattr(f, "id", None) or getattr(f, "attr", None)
        for f in called
        if ast.unparse(f) not in ours
    }
    return bool(known & OPENING or {"os.open", "os.fdopen", "io.open"} & names)


def problems(sources: Sources) -> Iterator[str]:
    """Every rule that these modules break."""
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        tree = ast.parse(source)
        names = set(imported(name, tree, sources))
        ours = {module_of(n, sources) for n in names if n.split(".")[0] == "imgd"} - {name}
        graph[name] = ours
        if room(name) not in MAY_KNOW:
            yield f"{name} is in no room that the plan knows"
        allowed = MAY_KNOW.get(room(name), set()) | {room(name)}
        yield from (f"{name} may not import {m}" for m in sorted(ours) if room(m) not in allowed)
        if room(name) == "core":
            outside = sorted(n for n in names if n.split(".")[0] in NOT_IN_CORE)
            yield from (f"{name} decides and may not import {n}" for n in outside)
        if name not in WITH_REACTOR and any(f"{n}.".startswith(REACTOR + ".") for n in names):
            yield f"{name} may not import the global reactor"
        if room(name) not in OPENS_FILES and opens(tree, names):
            yield f"{name} may not open files"
        if hidden(tree):
            yield f"{name} hides an import under TYPE_CHECKING"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "a circle: " + " -> ".join(error.args[1])


def doubles(sources: Sources) -> Iterator[str]:
    """Every class whose name another class has."""
    modules: dict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                modules[node.name].append(module)
    for name, defined_in in modules.items():
        if len(defined_in) > 1:
            yield f"{name} is a class of {' and of '.join(defined_in)}"


def shadows(sources: Sources) -> Iterator[str]:
    """Every module or package whose name one of the standard library's has."""
    for module in sources:
        if module.rpartition(".")[2] in sys.stdlib_module_names:
            yield f"{module} has the name of a standard library module"


def read(package: Path) -> dict[str, str]:
    """The source of every module below a package, by the module's full name."""
    files = {p: p.relative_to(package.parent).with_suffix("").parts for p in package.rglob("*.py")}
    return {
        ".".join(parts).removesuffix(".__init__"): path.read_text("utf-8")
        for path, parts in files.items()
    }


class LayerTests(SynchronousTestCase):
    """The house stands as it was planned."""

    def test_imgd(self) -> None:
        """No module of imgd breaks a rule."""
        sources = read(Path(imgd.__file__).parent)
        self.assertIn("imgd.core.paths", sources)
        self.assertEqual(list(problems(sources)), [])


class NameTests(SynchronousTestCase):
    """A name means one thing."""

    def test_classes(self) -> None:
        """No two classes of imgd have one name."""
        self.assertEqual(list(doubles(read(Path(imgd.__file__).parent))), [])

    def test_modules(self) -> None:
        """No module of imgd has the name of one of the standard library's; imgd.collections alone
        has, because it is the word of the product.
        """
        names = list(shadows(read(Path(imgd.__file__).parent)))
        self.assertEqual(names, ["imgd.collections has the name of a standard library module"])

    def test_checkers(self) -> None:
        """Both are found, in whatever module and at whatever depth."""
        sources = {
            "imgd.a": "class Same: ...",
            "imgd.b.token": "class Other:\n    class Same: ...",
            "imgd.c": "def f():\n    class Third: ...",
        }
        self.assertEqual(list(doubles(sources)), ["Same is a class of imgd.a and of imgd.b.token"])
        self.assertEqual(
            list(shadows(sources)), ["imgd.b.token has the name of a standard library module"]
        )
        self.assertTrue(list(doubles({"imgd.a": "class A: ...\nclass A: ..."})))


HOUSE = {
    "imgd": "__version__ = '1'",
    "imgd.errors": "",
    "imgd.logs": "from twisted.logger import Logger",
    "imgd.settings": "from imgd.core import paths\nfrom imgd.errors import StartError",
    "imgd.core": "",
    "imgd.core.paths": "import re\nfrom imgd import errors",
    "imgd.core.plan": "from . import paths\nfrom .paths import parse",
    "imgd.host": "",
    "imgd.files.disk": "import os\nfrom imgd.core.paths import parse\nopen('x')",
    "imgd.web": "",
    "imgd.web.server": "import imgd.files.disk\nfrom imgd import __version__",
    "imgd.net": "",
    "imgd.host.clock": "",
    "imgd.net.tls": "from imgd.host import clock\nfrom twisted.internet.defer import Deferred",
    "imgd.service": "from imgd.web import server\nfrom imgd.net import tls",
    "imgd.tap": "from imgd import service\ndef f():\n    from twisted.internet import reactor",
    "imgd.client": "",
    "imgd.client.cli": "import twisted.internet.reactor\nfrom imgd.host import clock",
}


class CheckerTests(SynchronousTestCase):
    """The checker sees what it is there for."""

    def broken(self, module: str, source: str) -> str:
        """The one problem of the sound house with this module changed or added."""
        found = list(problems({**HOUSE, module: source}))
        self.assertEqual(len(found), 1, (module, source, found))
        return found[0]

    def test_sound(self) -> None:
        """A house that keeps the rules has no problem."""
        self.assertEqual(list(problems(HOUSE)), [])

    def test_layers(self) -> None:
        """An import upwards, or into a neighbour, is found however it is written."""
        for module, source in (
            ("imgd.errors", "import imgd.core"),
            ("imgd", "from imgd.errors import NotFound"),
            ("imgd.logs", "from imgd.core import paths"),
            ("imgd.core.new", "from imgd.logs import Logger"),
            ("imgd.core.new", "from imgd import settings"),
            ("imgd.core.new", "def f():\n    import imgd.files.disk"),
            ("imgd.core.new", "from ..host import clock"),
            ("imgd.core", "from ..host.clock import resolve"),
            ("imgd.host.new", "from imgd.web.server import Site"),
            ("imgd.net.new", "from imgd import web"),
            ("imgd.net.new", "from imgd.web import server"),
            ("imgd.certificates.new", "from imgd.net.tls import build_context"),
            ("imgd.settings", "from imgd.host import clock"),
            ("imgd.web.new", "from imgd import service"),
            ("imgd.web.new", "from imgd.tap import Options"),
            ("imgd.service", "from imgd.client.cli import main"),
            ("imgd.client.new", "from imgd.web import server"),
            ("imgd.client.new", "import imgd.net.tls as t"),
            ("imgd.client.new", "from imgd.service import make"),
            ("imgd.client.new", "from imgd import tap"),
        ):
            self.assertIn("may not import imgd.", self.broken(module, source))

    def test_rooms(self) -> None:
        """A module beside the rooms must be given a place in the plan."""
        self.assertIn("no room", self.broken("imgd.utils", ""))

    def test_core_decides(self) -> None:
        """Core imports neither I/O, nor clocks, nor Twisted."""
        for source in (
            *(
                "import os",
                "import os.path",
                "from os import path",
                "import time as t",
                "import io",
            ),
            *("from pathlib import Path", "import socket", "from threading import Lock"),
            *("from twisted.internet import defer", "import subprocess", "import sqlite3"),
            *("import asyncio", "def f():\n    import time"),
        ):
            self.assertIn("decides", self.broken("imgd.core.new", source))

    def test_reactor(self) -> None:
        """The global reactor is imported by the two entrances alone."""
        for source in (
            "from twisted.internet import reactor",
            "import twisted.internet.reactor",
            "import twisted.internet.reactor as r",
            "from twisted.internet.reactor import callLater",
            "def f():\n    from twisted.internet import defer, reactor as r",
        ):
            for module in ("imgd.web.new", "imgd.service", "imgd.client.new"):
                self.assertIn("global reactor", self.broken(module, source))

    def test_files(self) -> None:
        """Files are opened in host alone, by whatever call."""
        for source in (
            *("open('x')", "with open('x') as f: pass", "import os\nos.open('x', 0)"),
            *("from os import open as o\no('x', 0)", "import io\nio.open('x')", "p.open()"),
            *("Path('x').read_text()", "p.read_bytes()", "p.write_text('')", "p.write_bytes(b'')"),
            *("os.fdopen(3)", "FilePath('x').getContent()"),
        ):
            self.assertIn("open files", self.broken("imgd.web.new", source))

    def test_hidden(self) -> None:
        """An import for the type checker alone is an import that somebody hid."""
        for condition in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "not TYPE_CHECKING"):
            source = f"if {condition}:\n    from imgd.host import clock"
            self.assertIn("TYPE_CHECKING", self.broken("imgd.web.new", source))

    def test_circles(self) -> None:
        """Modules of one room that know each other are a circle, directly or around a corner."""
        self.assertIn("circle", self.broken("imgd.core.paths", "from imgd.core import plan"))
        around = {"imgd.web.a": "from imgd.web import b", "imgd.web.b": "from imgd.web.c import x"}
        found = list(problems({**HOUSE, **around, "imgd.web.c": "import imgd.web.a"}))
        self.assertEqual(len(found), 1, found)
        self.assertIn("circle", found[0])
