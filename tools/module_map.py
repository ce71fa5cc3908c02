"""The map in docs/architecture.md: each module of imgd with the first sentence of its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# In the order of imports: each package knows only those above it (tests/test_layers.py).
PACKAGES: Final = (
    *("settings", "core", "host", "files", "collections", "pictures", "certificates", "net"),
    *("web", "client"),
)
FIRST: Final = ("errors.py", "logs.py")
LAST: Final = ("service.py", "tap.py")
COLUMN: Final = 24  # characters before a sentence


def module_map(package: Path) -> str:
    """The map of ``imgd/``, in a block of code."""
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    names = [*FIRST, *PACKAGES, *sorted(folders - set(PACKAGES)), *LAST]
    files = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    lines = ["imgd/"]
    for name in (*names, *sorted(files - set(names))):
        if name in files:
            lines.append(_line("  ", name, package / name))
        elif name in folders:
            lines += _package_lines(package / name)
    return "\n".join(("```", *lines, "```"))


def _package_lines(folder: Path, indent: str = "  ") -> Iterator[str]:
    yield ""
    yield _line(indent, f"{folder.name}/", folder / "__init__.py")
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            yield _line(f"{indent}  ", path.name, path)
    for package in sorted(folder.glob("*/__init__.py")):
        yield from _package_lines(package.parent, f"{indent}  ")


def _line(indent: str, name: str, path: Path) -> str:
    return f"{indent + name:<{COLUMN}}  {_first_sentence(path)}".rstrip()


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split()).replace("``", "")
    match = re.match(r".*?\.(?= [A-Z]|$)", paragraph)
    return match[0] if match else paragraph
