"""Where settings come from: options, then the environment, then a file of KEY=VALUE lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dotenv import dotenv_values

from imgd.settings import env_search, file_trust, paths
from imgd.settings.spec import SettingSpec, Variable
from imgd.settings.table import BY_FIELD

ENV_FILE = BY_FIELD["env_file"]


@dataclass(frozen=True, slots=True)
class RawValue:
    """The text that a user gave for a setting: ``name`` is the option or variable as errors name it
    (``--port``, ``IMAGE_SERVER``, ``.env: IMAGE_SERVER``), ``written`` its whole value, ``texts``
    the parts of it to parse.
    """

    name: str
    written: str
    texts: tuple[str, ...]


class UnusableError(Exception):
    """A value that cannot be used; ``why`` follows its name and itself."""

    def __init__(self, spec: SettingSpec, name: str, written: str, why: str) -> None:
        subject = "it" if spec.is_secret else repr(written)
        super().__init__(f"{name}: {subject} {why}")


@dataclass(slots=True)
class SettingSources:
    """The three sources. They are only read; the process's own environment does not change."""

    options: Mapping[str, object]
    environ: Mapping[str, str]
    cwd: str
    file_name: str = env_search.NAME  # as errors name it
    file: Mapping[str, str] = field(default_factory=dict)
    file_path: str | None = None
    passed_over: str = ""  # why a file that was found is not read

    def read_file(self, path: str | None) -> None:
        """Read the file at ``path``; if that is None, ``.env`` in the working folder or the nearest
        above it, which need not exist. ``UnusableError`` if it cannot be read, or others could have
        written it.

        A reference like ``${HOME}`` in it is replaced as python-dotenv does.
        """
        if path is None:
            name, self.passed_over = env_search.find(self.cwd)
            if name is None:
                return
            self.file_name = env_search.NAME if os.path.dirname(name) == self.cwd else name
        else:
            name, self.file_name = path, os.path.basename(path)
        _refuse_untrusted(name, is_named=path is not None)
        try:
            lines = dotenv_values(name, encoding="utf-8-sig")  # editors on Windows begin with a BOM
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UnusableError(ENV_FILE, "--env-file", name, f"cannot be read: {why}") from None
        self.file = {key: value for key, value in lines.items() if value is not None}
        self.file_path = name

    def keyed(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """The two sources of keys, each with what errors write before a key."""
        yield "", self.environ
        yield f"{self.file_name}: ", self.file

    def find(self, spec: SettingSpec) -> RawValue | None:
        """The text from the source that comes first, None if no source has any.

        An empty value of the environment or the file counts as unset. An empty option is
        ``UnusableError``: the variable that a script meant to put there was not set.
        """
        for option in spec.options:
            if raw := _from_option(spec, f"--{option}", self.options.get(option)):
                return raw
        for prefix, source in self.keyed():
            for variable in spec.variables:
                if raw := self._from_variable(spec, variable, prefix, source):
                    return raw
        return None

    def _from_variable(
        self, spec: SettingSpec, variable: Variable, prefix: str, source: Mapping[str, str]
    ) -> RawValue | None:
        written = source.get(variable.name, "").strip()
        if not written:
            return None
        name = prefix + variable.name
        try:
            text = variable.read(written)
        except ValueError as error:
            raise UnusableError(spec, name, written, str(error)) from None
        if variable.base and text:
            text = os.path.join(self._base(variable.base), os.path.expanduser(text))
        texts: tuple[str, ...] = (text,) if text else ()
        if spec.many:
            parts = (part.strip() for part in written.split(spec.separator))
            texts = tuple(part for part in parts if part)
        return RawValue(name, written, texts) if texts else None

    def _base(self, name: str) -> str:
        return os.path.expanduser(self.environ.get(name) or self.file.get(name) or "")

    def parse(self, spec: SettingSpec, raw: RawValue) -> tuple[Any, list[str]]:
        """A setting's value, and what is wrong with the texts that were given."""
        parsed, problems = [], []
        for text in raw.texts:
            try:
                path = paths.absolute(text, self.cwd) if spec.is_path else text
                parsed.append(spec.parse(path))
            except ValueError as error:
                written = text if spec.many else raw.written
                problems.append(str(UnusableError(spec, raw.name, written, str(error))))
        if spec.many:
            return tuple(dict.fromkeys(parsed)), problems
        return (parsed[0] if parsed else None), problems


def _refuse_untrusted(name: str, *, is_named: bool) -> None:
    """``UnusableError`` if others could have written the file: imgd would obey them."""
    source = "--env-file" if is_named else ".env"
    try:
        why = (file_trust.why_untrusted_named if is_named else file_trust.why_untrusted_found)(name)
    except OSError as error:
        why = f"cannot be examined: {error.strerror}"
        raise UnusableError(ENV_FILE, source, name, why) from None
    if why:
        advice = "take that right away (chown, chmod, setfacl -b)"
        if not is_named:
            advice += ", delete the file, or name it by --env-file if it is yours"
        raise UnusableError(ENV_FILE, source, name, f"is not read, as {why}: {advice}")


def _from_option(spec: SettingSpec, name: str, value: object) -> RawValue | None:
    if spec.flag:
        return RawValue(name, "", (spec.flag,)) if value else None
    if value is None or value in ([], ()):
        return None
    texts = tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)
    if not all(text.strip() for text in texts):
        raise UnusableError(spec, name, "", "is empty")
    return RawValue(name, ", ".join(texts), texts)
