"""What describes one setting: its options, its environment variables, its default, its meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of the environment or of ``.env``.

    ``read`` takes the text of the setting from the variable's value, None if the value does not
    give it; ``part`` says in words which part it takes. If ``base`` is set, the value is a path
    below the folder that the variable ``base`` names. ``note`` and ``sample`` are the comment and
    the value in ``.env.example`` of a variable that is not the first of its setting.
    """

    name: str
    read: Callable[[str], str | None] = str
    part: str = ""
    base: str = ""
    note: str = ""
    sample: str = ""

    def describe(self) -> str:
        """The variable as documents and ``--help`` name it."""
        return f"{self.part}{self.name}" + (f" (relative to {self.base})" if self.base else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSpec:
    """One row of the table of settings.

    The first of ``options`` is the name, the others are aliases. ``variables`` are in order of
    precedence. ``parse`` makes the value from a text, or raises ValueError. The default is what
    ``default_path`` makes of the working folder if it is set, else ``default``; ``default_text``
    describes it. ``flag`` is the text that an option without an argument stands for. A setting with
    ``many`` is a tuple: its option may be repeated, and its variables are split at ``separator``.
    """

    field: str
    help: str
    parse: Callable[[str], Any]
    options: tuple[str, ...]
    variables: tuple[Variable, ...]
    default: Any
    default_text: str
    default_path: Callable[[str], str] | None = None
    example: str = ""
    short: str = ""
    flag: str = ""
    many: bool = False
    separator: str = ","
    is_path: bool = False
    is_secret: bool = False

    def default_value(self, cwd: str) -> Any:
        """The value if nothing is given, for this working folder."""
        return self.default_path(cwd) if self.default_path else self.default
