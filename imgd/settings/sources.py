"""Where settings come from: options, then the environment, then a file of KEY=VALUE lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dotenv import dotenv_values

from imgd.settings import values, writers
from imgd.settings.table import TABLE, Key, Setting

ENV_FILE = next(setting for setting in TABLE if setting.field == "env_file")
STATE_DIR = next(setting for setting in TABLE if setting.field == "state_dir")


@dataclass(frozen=True, slots=True)
class Given:
    """What a user gave for a setting: under which ``name`` (``--port``, ``IMAGE_SERVER``,
    ``.env: IMAGE_SERVER``), how it was written, and the texts to read the value from.
    """

    name: str
    written: str
    texts: tuple[str, ...]


class UnusableError(Exception):
    """A value that cannot be used; ``why`` follows its name and itself."""

    def __init__(self, setting: Setting, name: str, written: str, why: str) -> None:
        subject = "it" if setting.is_secret else repr(written)
        super().__init__(f"{name}: {subject} {why}")


@dataclass(slots=True)
class Sources:
    """The three sources. Nothing here changes them, nor the process's own environment."""

    options: Mapping[str, object]
    environ: Mapping[str, str]
    cwd: str
    file_name: str = ".env"
    file: Mapping[str, str] = field(default_factory=dict)
    file_path: str | None = None

    def read_file(self, path: str | None) -> None:
        """Read the file at ``path``, or where it is None ``.env`` in the working folder, which need
        not be there. ``UnusableError`` where it cannot be read, or others could have written it.

        A reference like ``${HOME}`` in it is replaced as python-dotenv does.
        """
        name = os.path.join(self.cwd, ".env") if path is None else path
        self.file_name = os.path.basename(name)
        if not os.path.exists(name) or os.path.isdir(name):
            return
        _refuse_foreign(name, is_named=path is not None)
        try:
            found = dotenv_values(name, encoding="utf-8-sig")  # editors on Windows begin with a BOM
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UnusableError(ENV_FILE, "--env-file", name, f"cannot be read: {why}") from None
        self.file = {key: value for key, value in found.items() if value is not None}
        self.file_path = name

    def find(self, setting: Setting) -> Given | None:
        """What was given for a setting by the source that comes first, None where nothing was.

        An empty value of the environment or the file is none. An empty option is
        ``UnusableError``: the variable that a script meant to put there was not set.
        """
        for option in setting.options:
            if given := _from_option(setting, f"--{option}", self.options.get(option)):
                return given
        for prefix, source in (("", self.environ), (f"{self.file_name}: ", self.file)):
            for key in setting.keys:
                if given := self._from_key(setting, key, prefix, source):
                    return given
        return None

    def _from_key(
        self, setting: Setting, key: Key, prefix: str, source: Mapping[str, str]
    ) -> Given | None:
        written = source.get(key.name, "").strip()
        if not written:
            return None
        name = prefix + key.name
        try:
            text = key.read(written)
        except ValueError as error:
            raise UnusableError(setting, name, written, str(error)) from None
        if key.base and text:
            text = os.path.join(self._base(key.base), os.path.expanduser(text))
        texts: tuple[str, ...] = (text,) if text else ()
        if setting.many:
            parts = (part.strip() for part in written.split(setting.separator))
            texts = tuple(part for part in parts if part)
        return Given(name, written, texts) if texts else None

    def _base(self, name: str) -> str:
        return os.path.expanduser(self.environ.get(name) or self.file.get(name) or "")

    def value(self, setting: Setting, given: Given) -> tuple[Any, list[str]]:
        """A setting's value, and what is wrong with what was given."""
        found, problems = [], []
        for text in given.texts:
            try:
                path = values.absolute(text, self.cwd) if setting.is_path else text
                found.append(setting.parse(path))
            except ValueError as error:
                written = text if setting.many else given.written
                problems.append(str(UnusableError(setting, given.name, written, str(error))))
        if setting.many:
            return tuple(dict.fromkeys(found)), problems
        return (found[0] if found else None), problems


def _refuse_foreign(name: str, *, is_named: bool) -> None:
    """``UnusableError`` where others could have written the file: it would obey them."""
    source = "--env-file" if is_named else ".env"
    try:
        why = writers.of_named_file(name) if is_named else writers.of_found_file(name)
    except OSError as error:
        why = f"cannot be examined: {error.strerror}"
        raise UnusableError(ENV_FILE, source, name, why) from None
    if why:
        advice = "take that right away (chown, chmod, setfacl -b)"
        if not is_named:
            advice += ", delete the file, or name it by --env-file if it is yours"
        raise UnusableError(ENV_FILE, source, name, f"is not read, as {why}: {advice}")


def _from_option(setting: Setting, name: str, value: object) -> Given | None:
    if setting.flag:
        return Given(name, "", (setting.flag,)) if value else None
    if value is None or value in ([], ()):
        return None
    texts = tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)
    if not all(text.strip() for text in texts):
        raise UnusableError(setting, name, "", "is empty")
    return Given(name, ", ".join(texts), texts)
