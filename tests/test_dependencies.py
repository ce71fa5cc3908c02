"""Every package that is imported is declared in pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.servers import PEER_PACKAGES
from tests.daemons import CHECKOUT

OWN = {"imgd", "tests", "benchmarks", "fuzz", "tools"}
# Packages that are installed by another name than they are imported by.
INSTALLED_BY = {"OpenSSL": "pyopenssl", "dotenv": "python-dotenv", "PIL": "pillow"}


def distribution(module: str) -> str:
    """The name by which a module's package is installed: ``zope`` is shared by many."""
    top, _, rest = module.partition(".")
    name = f"zope.{rest.partition('.')[0]}" if top == "zope" else INSTALLED_BY.get(top, top)
    return normal(name)


def normal(name: str) -> str:
    """A distribution's name as pip compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(source: str) -> Iterator[str]:
    """The distributions of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0, names=names):
                modules = [f"{module}.{alias.name}" for alias in names]
            case _:
                continue
        tops = {module: module.partition(".")[0] for module in modules}
        outside = OWN | sys.stdlib_module_names
        yield from (distribution(module) for module, top in tops.items() if top not in outside)


def declared(requirements: Iterable[str]) -> set[str]:
    """The distributions of requirements such as ``twisted[tls]>=26.4; python_version < '4'``."""
    names = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {normal(name[0]) for name in names if name}


def undeclared(folder: str, names: set[str]) -> list[str]:
    paths = sorted((CHECKOUT / folder).rglob("*.py"))
    assert paths, folder
    return [
        f"{path.relative_to(CHECKOUT)}: {name}"
        for path in paths
        for name in imported(path.read_text("utf-8"))
        if name not in names
    ]


class DeclaredTests(SynchronousTestCase):
    def setUp(self) -> None:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
        self.dependencies = declared(project["dependencies"])
        extras = project["optional-dependencies"]
        self.extras = {name: declared(extra) for name, extra in extras.items()}

    def test_imgd(self) -> None:
        """The daemon and the client import their dependencies alone, or those of an extra."""
        optional = set().union(*(names for extra, names in self.extras.items() if extra != "dev"))
        for folder in ("imgd", "twisted"):
            self.assertEqual(undeclared(folder, self.dependencies | optional), [])

    def test_development(self) -> None:
        """Tests and fuzzers import what the extra ``dev`` installs; benchmarks also import other
        servers, for which they make an environment.
        """
        names = self.dependencies | self.extras["dev"] | self.extras["pictures"]  # which dev names
        for folder in ("tests", "fuzz", "tools"):
            self.assertEqual(undeclared(folder, names), [])
        self.assertEqual(undeclared("benchmarks", names | declared(PEER_PACKAGES)), [])

    def test_sees(self) -> None:
        """An import is seen wherever it is, and by the name by which it is installed."""
        source = """
import a.b, os
from OpenSSL import SSL
from . import c
from zope.interface import implementer
def f():
    from typing_extensions import Self
    import imgd.core
"""
        names = {"a", "pyopenssl", "typing-extensions", "zope-interface"}
        self.assertEqual(set(imported(source)), names)
        self.assertEqual(
            declared(["zope.interface>=6.0", "a[x]~=1; python_version < '4'"]),
            {
                "zope-interface",
                "a",
            },
        )
