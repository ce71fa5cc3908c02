"""What the daemon is told, as one frozen value; or every problem with it, at once.

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
from imgd.settings import values
from imgd.settings.sources import ENV_FILE, STATE_DIR, Given, Sources, UnusableError
from imgd.settings.table import TABLE, Setting
from imgd.settings.values import is_everywhere

LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the daemon is told. Paths are absolute.

    ``images_dir_is_default``: nobody named the document root, so it is made where it is missing.
    ``timeout_minutes`` 0 is never. ``allow_roots`` are real paths, empty for anywhere that is not
    forbidden anyway. ``allow_hosts``, in lower case, are this machine's own names, the bound host
    and the user's. ``public_url`` has no slash at its end. ``memory_cache`` is in megabytes.
    ``access_log`` may be ``-``, the log.
    ``private``: to read, the token or a signed link is needed; ``require_token``: to control, the
    token is. ``cors_origins`` is empty where none was named. Timeouts and ``grace`` are seconds;
    bounds of connections are None where the machine's are to be taken. ``proxies`` are networks.
    ``env_file`` is the file that the user named, ``settings_file`` the one that was read.
    """

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
    allow_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...]
    public_url: str | None
    follow_symlinks: bool
    access_log: str | None
    private: bool = False
    require_token: bool = False
    header_timeout: int = 20
    body_timeout: int = 30
    handshake_timeout: int = 10
    idle_timeout: int = 75
    stall_timeout: int = 60
    disk_timeout: int = 60
    max_connections: int | None = None
    max_per_client: int | None = None
    proxies: tuple[str, ...] = ()
    grace: int = 30
    memory_cache: int = 64
    env_file: str | None = None
    settings_file: str | None = field(default=None, compare=False)


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

    ``options`` maps long names without dashes to their texts, to a sequence of texts where they may
    be repeated, to true for a flag; None is not given. ``cwd`` is an absolute path. ``checks`` give
    further problems of settings; what could not be read has its default in the settings they see.
    """
    draft = _Draft(Sources(options, environ, cwd))
    draft.fill()
    settings = draft.settings()
    found = [*draft.problems, *draft.conflicts()]
    found += [problem for check in checks for problem in check(settings)]
    if found:
        raise SettingsError(dict.fromkeys(found))
    return settings


def find_state_dir(environ: Mapping[str, str], cwd: str) -> str:
    """The state folder that a daemon started in ``cwd`` without options would use: from the
    environment, else from ``.env``, else the default. An absolute path, which need not exist.

    SettingsError if the value cannot be used, or if ``.env`` is needed and others can write it.
    """
    sources = Sources({}, environ, cwd)
    try:
        given = sources.find(STATE_DIR)
        if given is None:
            sources.read_file(None)
            given = sources.find(STATE_DIR)
        if given is None:
            return str(STATE_DIR.default(cwd))
        path, problems = sources.value(STATE_DIR, given)
    except UnusableError as error:
        problems = [str(error)]
    if problems:
        raise SettingsError(problems)
    return str(path)


class _Draft:
    """Settings while they are found: values, what was given for them, and the problems."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._values: dict[str, Any] = {}
        self._given: dict[str, Given | None] = {}
        self._failed: set[str] = set()
        self.problems: list[str] = []

    def fill(self) -> None:
        """Find every setting; the file that holds others is one, and comes first."""
        self._add(ENV_FILE)
        if "env_file" not in self._failed:
            try:
                self._sources.read_file(self._values["env_file"])
            except UnusableError as error:
                self.problems.append(str(error))
        for setting in TABLE:
            if setting is not ENV_FILE:
                self._add(setting)

    def _add(self, setting: Setting) -> None:
        given, value = None, None
        problems: list[str] = []
        try:
            if given := self._sources.find(setting):
                value, problems = self._sources.value(setting, given)
        except UnusableError as error:
            problems = [str(error)]
        if problems:
            self._failed.add(setting.field)
        if problems or given is None:
            value = setting.default(self._sources.cwd)
        self.problems += problems
        self._given[setting.field] = given
        self._values[setting.field] = value

    def settings(self) -> Settings:
        """The settings as they stand, with defaults for what could not be read."""
        bound = () if is_everywhere(self._values["host"]) else (self._values["host"],)
        hosts = (*LOCAL_HOSTS, *bound, *self._values["allow_hosts"])
        whole = {**self._values, "allow_hosts": tuple(dict.fromkeys(hosts))}
        if self._failed & {"cert", "key"}:
            whole["cert"] = whole["key"] = None
        return Settings(
            **whole,
            images_dir_is_default=self._given["images_dir"] is None,
            settings_file=self._sources.file_path,
        )

    def conflicts(self) -> Iterator[str]:
        """What is wrong between settings that are right by themselves."""
        yield from self._document_root()
        yield from self._pair()
        yield from self._ports()
        yield from self._state_folder()

    def _document_root(self) -> Iterator[str]:
        """The default is made where it is missing, and must be usable where it is there."""
        path = self._values["images_dir"]
        is_default = self._given["images_dir"] is None and self._are_good("images_dir")
        if is_default and os.path.lexists(path):
            try:
                values.folder(path)
            except ValueError as error:
                yield f"{self._tell('images_dir')} {error}"

    def _pair(self) -> Iterator[str]:
        for one, other in (("cert", "key"), ("key", "cert")):
            if self._are_good(one, other) and self._values[one] and not self._values[other]:
                yield f"{self._tell(one)} needs its --{other} beside it"

    def _ports(self) -> Iterator[str]:
        port = self._values["port"]
        if port and port == self._values["http_port"] and self._are_good("port", "http_port"):
            yield f"{self._tell('http_port')} is the main port already; give another"

    def _state_folder(self) -> Iterator[str]:
        """Certificates, keys and the token are never where files are served from."""
        if not self._are_good("state_dir"):
            return
        state, root = self._values["state_dir"], self._values["images_dir"]
        if self._are_good("images_dir") and _is_below(state, root):
            yield f"{self._tell('state_dir')} lies inside the document root {root!r}"
        elif self._are_good("images_dir") and _is_below(root, state):
            yield f"{self._tell('images_dir')} lies inside the state folder {state!r}"
        for place in self._values["allow_roots"]:
            if _is_below(place, state):
                yield f"{self._tell('allow_roots', place)} lies inside the state folder {state!r}"

    def _are_good(self, *fields: str) -> bool:
        return self._failed.isdisjoint(fields)

    def _tell(self, name: str, value: str = "") -> str:
        """A setting's name as the user gave it, and its value."""
        given = self._given[name]
        if given is not None:
            return f"{given.name}: {value or given.written!r}"
        option = next(setting.options[0] for setting in TABLE if setting.field == name)
        return f"--{option}: its default {self._values[name]!r}"


def _is_below(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies in it, once symbolic links are resolved."""
    return PurePath(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
