"""What documents say of settings, made from the table of ``imgd/settings/table.py``."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import Final

from imgd.settings.spec import SettingSpec, Variable
from imgd.settings.table import SECTIONS, TABLE

INTRODUCTION: Final = (
    "Settings of imgd. Copy this file to .env in the folder that twistd is started in, or in one "
    "above it (or name it with --env-file), take the # off the lines you want, and change them. "
    "Options and the environment come before this file. A line shows the default, or nothing if "
    "there is none; an empty value counts as unset. The file and its folder must be yours alone: "
    "if others could write them, imgd does not start. docs/configuration.md tells more. "
    "(This file is made by: python -m tools.documents)"
)


def markdown_table() -> str:
    """Every setting: options, variables, default, meaning."""
    lines = [
        "| option | environment, in order of precedence | default | meaning |",
        "|---|---|---|---|",
        *map(_markdown_row, TABLE),
    ]
    return "\n".join(lines)


def _markdown_row(spec: SettingSpec) -> str:
    names = [f"`--{spec.options[0]}`", *([f"`-{spec.short}`"] if spec.short else [])]
    names += [f"`--{alias}`" for alias in spec.options[1:]]
    names += ["repeatable"] if spec.many else []
    described = ", ".join(variable.describe() for variable in spec.variables)
    variables = re.sub(r"\b[A-Z]+_[A-Z_]+\b", r"`\g<0>`", described)
    cells = [", ".join(names), variables, spec.default_text, spec.help]
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def env_example() -> str:
    """The whole of .env.example: each variable once, under the first setting that reads it."""
    blocks = [_comment(INTRODUCTION)]
    named: set[str] = set()
    for title, specs in SECTIONS.items():
        blocks.append(f"# --- {title} ---")
        for spec in specs:
            unnamed = [variable for variable in spec.variables if variable.name not in named]
            blocks += [_variable_block(spec, variable) for variable in unnamed]
            named |= {variable.name for variable in unnamed}
    return "\n\n".join(blocks) + "\n"


def _variable_block(spec: SettingSpec, variable: Variable) -> str:
    """A comment, and the line to take the # off."""
    if variable is spec.variables[0]:
        return f"{_comment(_explanation(spec))}\n#{variable.name}={_default(spec)}"
    base = f"#{variable.base}=.\n" if variable.base else ""
    return f"{_comment(variable.note)}\n{base}#{variable.name}={variable.sample}"


def _explanation(spec: SettingSpec) -> str:
    sentences = [f"--{spec.options[0]}: {spec.help}"]
    if spec.flag:
        sentences.append("Yes or no.")
    if spec.many:
        marks = "commas" if spec.separator == "," else "colons (semicolons on Windows)"
        sentences.append(f"Several are separated by {marks}.")
    if not _default(spec):
        sentences.append(f"Default: {spec.default_text}.")
    if spec.example:
        sentences.append(f"For example: {spec.example}")
    return " ".join(sentences)


def _default(spec: SettingSpec) -> str:
    """The default as a value in ``.env``; "" if it is no constant."""
    if spec.flag:
        return "no"
    return str(spec.default) if isinstance(spec.default, int | str) else ""


def _comment(text: str) -> str:
    lines = wrap(text, 98, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"# {line}" for line in lines)
