"""``python -m tools.documents`` writes the parts of documents that come from the code: the table
of settings in docs/configuration.md, .env.example, and the map in docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.module_map import module_map
from tools.settings_documents import env_example, markdown_table

CHECKOUT: Final = Path(__file__).resolve().parent.parent
COMMAND: Final = "python -m tools.documents"
BEGIN: Final = f"<!-- made by {COMMAND} -->\n"
END: Final = "\n<!-- end -->"


def between_markers(document: str, part: str) -> str:
    """A document with the part between its markers replaced. ValueError if it has no markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"a document has lost its markers {BEGIN!r} and {END!r}")
    return before + begin + part + end + after


def _map(document: str) -> str:
    return between_markers(document, module_map(CHECKOUT / "imgd"))


def _configuration(document: str) -> str:
    return between_markers(document, markdown_table())


#: Each document, and what makes its new text from its present one.
DOCUMENTS: Final[dict[str, Callable[[str], str]]] = {
    ".env.example": lambda _document: env_example(),
    "docs/architecture.md": _map,
    "docs/configuration.md": _configuration,
}


def main() -> None:
    """Write every document anew."""
    for name, make in DOCUMENTS.items():
        path = CHECKOUT / name
        path.write_text(make(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
