"""The daemon's settings as one frozen value, or every problem with them at once.

Options come before the environment, that before ``.env``, that before defaults. The settings
themselves are rows of :data:`imgd.settings.table.TABLE`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from imgd.errors import ImgdError
from imgd.settings import paths, unknown_keys
from imgd.settings.sources import ENV_FILE, RawValue, SettingSources, UnusableError
from imgd.settings.spec import SettingSpec
from imgd.settings.table import BY_FIELD, COMPAT_B_DEFAULTS, TABLE
from imgd.settings.values import is_everywhere

COMPAT_B: Final = BY_FIELD["compat_b"]
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the daemon. Paths are absolute. Defaults are in the table alone.

    ``images_dir_is_default``: nobody named the document root, so it is made if it is missing.
    ``timeout_minutes`` 0 is never. ``allow_roots`` are real paths, empty for anywhere that is not
    forbidden anyway. ``allow_hosts``, in lower case, are this machine's own names, the bound host
    and the user's. ``public_url`` has no slash at its end. ``memory_cache``,
    ``archive_limit`` and ``picture_cache`` are in megabytes.
    ``access_log`` may be ``-``, the log.
    ``private``: to read, the token or a signed link is needed; ``require_token``: to control, the
    token is. ``cors_origins`` is empty if none was named. Timeouts, ``grace`` and ``max_age`` are
    seconds; limits of connections and of workers are None if they follow from the machine's.
    ``proxies`` are networks. ``env_file`` is the file that the user named, ``settings_file`` the
    one that was read; ``warnings`` are sentences about settings that have no effect. ``compat_b``
    changes defaults.
    """

    compat_b: bool
    port: int
    host: str
    http_port: int | None
    tls: bool
    images_dir: str
    images_dir_is_default: bool
    cert: str | None
    key: str | None
    tls_names: tuple[str, ...]
    generate_certs: bool
    state_dir: str
    timeout_minutes: int
    frame_base_dir: str
    allow_roots: tuple[str, ...]
    token: str | None = field(repr=False)
    require_token: bool
    allow_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...]
    public_url: str | None
    follow_symlinks: bool
    private: bool
    patient_data: bool
    max_age: int
    niivue: str | None
    header_timeout: int
    body_timeout: int
    handshake_timeout: int
    idle_timeout: int
    stall_timeout: int
    disk_timeout: int
    max_connections: int | None
    max_per_client: int | None
    proxies: tuple[str, ...]
    grace: int
    memory_cache: int
    archive_limit: int
    picture_workers: int | None
    picture_pixels: int
    picture_timeout: int
    picture_cache: int
    access_log: str | None
    env_file: str | None
    settings_file: str | None = field(compare=False)
    warnings: tuple[str, ...] = field(compare=False)


class SettingsError(ImgdError):
    """The settings cannot be used. ``problems`` are all of them, one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("; ".join(self.problems))


Check = Callable[[Settings], Iterable[str]]


def load(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    cwd: str,
    checks: Iterable[Check] = (),
) -> Settings:
    """The settings that these sources give, or SettingsError.

    ``options`` maps long names without dashes to texts, to a sequence of texts if they may be
    repeated, to true for a flag; None is not given. ``cwd`` is an absolute path. ``checks`` find
    further problems; a setting that could not be read has its default when they see it.
    """
    draft = _Draft(SettingSources(options, environ, cwd))
    draft.fill()
    settings = draft.settings()
    problems = [*draft.problems, *draft.conflicts()]
    problems += [problem for check in checks for problem in check(settings)]
    if problems:
        raise SettingsError(dict.fromkeys(problems))
    return settings


def find_state_dir(environ: Mapping[str, str], cwd: str) -> str:
    """The state folder that a daemon started in ``cwd`` without options would use: from the
    environment, else from ``.env`` as the daemon finds it, else the default. An absolute path,
    which need not exist.

    SettingsError if the value cannot be used, or if ``.env`` is needed and others can write it.
    """
    sources = SettingSources({}, environ, cwd)
    spec = BY_FIELD["state_dir"]
    try:
        raw = sources.find(spec)
        if raw is None:
            sources.read_file(None)
            raw = sources.find(spec)
        path, problems = sources.parse(spec, raw) if raw else (spec.default_value(cwd), [])
    except UnusableError as error:
        raise SettingsError([str(error)]) from None
    if problems:
        raise SettingsError(problems)
    return str(path)


class _Draft:
    """Settings while they are read: values, the texts given for them, and the problems."""

    def __init__(self, sources: SettingSources) -> None:
        self._sources = sources
        self._values: dict[str, Any] = {}
        self._given: dict[str, RawValue | None] = {}
        self._failed: set[str] = set()
        self.problems: list[str] = []

    def fill(self) -> None:
        """Read every setting; first those that others depend on: the file, then ``compat_b``."""
        self._add(ENV_FILE)
        if "env_file" not in self._failed:
            try:
                self._sources.read_file(self._values["env_file"])
            except UnusableError as error:
                self.problems.append(str(error))
        self._add(COMPAT_B)
        for spec in TABLE:
            if spec not in (ENV_FILE, COMPAT_B):
                self._add(spec)

    def _add(self, spec: SettingSpec) -> None:
        raw, value = None, None
        problems: list[str] = []
        try:
            if raw := self._sources.find(spec):
                value, problems = self._sources.parse(spec, raw)
        except UnusableError as error:
            problems = [str(error)]
        if problems:
            self._failed.add(spec.field)
        if problems or raw is None:
            value = self._default(spec)
        self.problems += problems
        self._given[spec.field] = raw
        self._values[spec.field] = value

    def _default(self, spec: SettingSpec) -> Any:
        if self._values.get("compat_b") and spec.field in COMPAT_B_DEFAULTS:
            return COMPAT_B_DEFAULTS[spec.field]
        return spec.default_value(self._sources.cwd)

    def settings(self) -> Settings:
        """The settings so far, with defaults for what could not be read."""
        bound = () if is_everywhere(self._values["host"]) else (self._values["host"],)
        hosts = (*LOCAL_HOSTS, *bound, *self._values["allow_hosts"])
        fields = {**self._values, "allow_hosts": tuple(dict.fromkeys(hosts))}
        if self._failed & {"cert", "key"}:
            fields["cert"] = fields["key"] = None
        unknown = unknown_keys.warnings(self._sources.keyed())
        return Settings(
            **fields,
            images_dir_is_default=self._given["images_dir"] is None,
            settings_file=self._sources.file_path,
            warnings=tuple(filter(None, (self._sources.passed_over, *unknown))),
        )

    def conflicts(self) -> Iterator[str]:
        """What is wrong between settings that are right by themselves."""
        yield from self._default_document_root()
        yield from self._certificate_pair()
        yield from self._ports()
        yield from self._state_folder()

    def _default_document_root(self) -> Iterator[str]:
        """The default is made if it is missing, and must be usable if it exists."""
        path = self._values["images_dir"]
        is_default = self._given["images_dir"] is None and self._are_valid("images_dir")
        if is_default and os.path.lexists(path):
            try:
                paths.folder(path)
            except ValueError as error:
                yield f"{self._describe('images_dir')} {error}"

    def _certificate_pair(self) -> Iterator[str]:
        for one, other in (("cert", "key"), ("key", "cert")):
            if self._are_valid(one, other) and self._values[one] and not self._values[other]:
                yield f"{self._describe(one)} needs its --{other} beside it"

    def _ports(self) -> Iterator[str]:
        port = self._values["port"]
        if port and port == self._values["http_port"] and self._are_valid("port", "http_port"):
            yield f"{self._describe('http_port')} is the main port already; give another"

    def _state_folder(self) -> Iterator[str]:
        """Certificates, keys and the token never lie in a folder that is served."""
        if not self._are_valid("state_dir"):
            return
        state, root = self._values["state_dir"], self._values["images_dir"]
        if self._are_valid("images_dir") and _is_below(state, root):
            yield f"{self._describe('state_dir')} lies inside the document root {root!r}"
        elif self._are_valid("images_dir") and _is_below(root, state):
            yield f"{self._describe('images_dir')} lies inside the state folder {state!r}"
        for path in self._values["allow_roots"]:
            if _is_below(path, state):
                name = self._describe("allow_roots", path)
                yield f"{name} lies inside the state folder {state!r}"

    def _are_valid(self, *fields: str) -> bool:
        return self._failed.isdisjoint(fields)

    def _describe(self, field: str, value: str = "") -> str:
        """A setting's name as the user gave it, and its value."""
        raw = self._given[field]
        if raw is not None:
            return f"{raw.name}: {value or raw.written!r}"
        return f"--{BY_FIELD[field].options[0]}: its default {self._values[field]!r}"


def _is_below(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies in it, once symbolic links are resolved."""
    return PurePath(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
