"""The one list of settings: options, environment, defaults and what they mean, a row each."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import platformdirs

from imgd.settings import values


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the environment. ``read`` takes the setting's text from its value, None where it
    says nothing of it; ``part`` says so in words. A path is below what the key ``base`` names.
    """

    name: str
    read: Callable[[str], str | None] = str
    part: str = ""
    base: str = ""

    def describe(self) -> str:
        """The key as documents and help name it."""
        return f"{self.part}{self.name}" + (f" (relative to {self.base})" if self.base else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A row. The first of ``options`` is the name, the others are aliases; ``keys`` are in order of
    precedence. ``default`` makes the value from the working folder, and ``shown`` tells it.

    ``flag`` is the text that an option without an argument stands for. A ``many`` setting is a
    tuple: its option may be repeated, and its keys separate by ``separator``.
    """

    field: str
    options: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    parse: Callable[[str], Any]
    default: Callable[[str], Any]
    shown: str
    help: str
    short: str = ""
    flag: str = ""
    many: bool = False
    separator: str = ","
    is_path: bool = False
    is_secret: bool = False


def _always(value: object) -> Callable[[str], object]:
    return lambda _cwd: value


_none: Final = _always(None)
_empty: Final = _always(())

TABLE: Final[tuple[Setting, ...]] = (
    Setting(
        field="port",
        options=("port",),
        short="p",
        keys=(
            Key("IMAGE_SERVER_PORT"),
            Key("IMAGE_SERVER", values.port_of, "port of "),
            Key("NIFTI_IMAGE_SERVER", values.port_of, "port of "),
        ),
        parse=values.port,
        default=_always(8888),
        shown="8888",
        help="The HTTPS port; 0 takes a free one, which the log names.",
    ),
    Setting(
        field="host",
        options=("host",),
        keys=(
            Key("IMAGE_SERVER_HOST"),
            Key("IMAGE_SERVER", values.host_of, "host of "),
            Key("NIFTI_IMAGE_SERVER", values.host_of, "host of "),
        ),
        parse=values.host,
        default=_always("localhost"),
        shown="localhost",
        help="The address to bind: localhost means 127.0.0.1, and ::1 where the machine has it.",
    ),
    Setting(
        field="http_port",
        options=("http-port",),
        keys=(Key("IMGD_HTTP_PORT"),),
        parse=values.port,
        default=_none,
        shown="off",
        help="One more listener, plain HTTP, on the same host.",
    ),
    Setting(
        field="tls",
        options=("no-tls",),
        flag="no",
        keys=(Key("IMAGE_SERVER", values.tls_of, "scheme http:// in "),),
        parse=values.boolean,
        default=_always(True),
        shown="off",
        help="The main port speaks plain HTTP; no certificate is made.",
    ),
    Setting(
        field="images_dir",
        options=("images-dir", "output-dir", "outputs-dir"),
        short="d",
        keys=(Key("IMGD_IMAGES_DIR"), Key("LOCAL_IMAGES_PATH", base="PROJECT_ROOT")),
        parse=values.folder,
        default=lambda cwd: os.path.join(cwd, "output"),
        shown="./output, created if missing",
        help="The document root. A named folder that does not exist is an error.",
        is_path=True,
    ),
    Setting(
        field="cert",
        options=("cert",),
        keys=(Key("IMGD_CERT"),),
        parse=values.file,
        default=_none,
        shown="made by imgd",
        help="A certificate of your own, PEM, its chain behind it; its key goes with it.",
        is_path=True,
    ),
    Setting(
        field="key",
        options=("key",),
        keys=(Key("IMGD_KEY"),),
        parse=values.file,
        default=_none,
        shown="made by imgd",
        help="The private key of that certificate, PEM.",
        is_path=True,
    ),
    Setting(
        field="tls_names",
        options=("tls-name",),
        keys=(Key("IMGD_TLS_NAMES"),),
        parse=values.certificate_name,
        default=_empty,
        shown="none",
        help="One more name or address for the made certificate.",
        many=True,
    ),
    Setting(
        field="generate_certs",
        options=("generate-certs",),
        flag="yes",
        parse=values.boolean,
        default=_always(False),
        shown="off",
        help="Make a new leaf certificate now; missing or expiring ones are made without it.",
    ),
    Setting(
        field="state_dir",
        options=("state-dir",),
        keys=(Key("IMGD_STATE_DIR"), Key("STATE_DIRECTORY", values.first_of_many)),
        parse=values.place,
        default=lambda _cwd: platformdirs.user_state_dir("imgd", appauthor=False),
        shown="the user's state folder",
        help="Where certificates, the token and the catalog lie; never inside a served folder.",
        is_path=True,
    ),
    Setting(
        field="timeout_minutes",
        options=("timeout",),
        keys=(Key("IMAGE_SERVER_TIMEOUT"),),
        parse=values.minutes,
        default=_always(30),
        shown="30",
        help="Minutes until a loaded directory unloads itself; 0 never.",
    ),
    Setting(
        field="frame_base_dir",
        options=("frame-base-dir",),
        keys=(Key("FRAME_BASE_DIR"),),
        parse=values.folder,
        default=lambda cwd: cwd,
        shown="the working folder",
        help="The base of relative directories given to the API.",
        is_path=True,
    ),
    Setting(
        field="allow_roots",
        options=("allow-root",),
        keys=(Key("IMGD_ALLOW_ROOTS"),),
        parse=values.root,
        default=_empty,
        shown="anywhere but /proc, /sys, /dev, the state folder",
        help="Loads are accepted only below this folder, after symbolic links are resolved.",
        many=True,
        separator=os.pathsep,
        is_path=True,
    ),
    Setting(
        field="token",
        options=("token",),
        keys=(Key("IMGD_TOKEN"),),
        parse=values.token,
        default=_none,
        shown="made once, kept in the state folder",
        help="The bearer token of the control API.",
        is_secret=True,
    ),
    Setting(
        field="require_token",
        options=("require-token",),
        flag="yes",
        keys=(Key("IMGD_REQUIRE_TOKEN"),),
        parse=values.boolean,
        default=_always(False),
        shown="off",
        help="Control needs the token on this machine too.",
    ),
    Setting(
        field="allow_hosts",
        options=("allow-host",),
        keys=(Key("IMGD_ALLOW_HOSTS"),),
        parse=values.allowed_host,
        default=_empty,
        shown="localhost, 127.0.0.1, ::1 and the bound address",
        help="One more Host name of this daemon: local control works under it without a token.",
        many=True,
    ),
    Setting(
        field="cors_origins",
        options=("cors-origin",),
        keys=(Key("IMGD_CORS_ORIGINS"),),
        parse=values.origin,
        default=_empty,
        shown="* for files, none for what lists them",
        help="An origin whose pages may read everything that is served; * is every one.",
        many=True,
    ),
    Setting(
        field="public_url",
        options=("public-url",),
        keys=(
            Key("IMGD_PUBLIC_URL"),
            Key("NGROK_URL", values.with_scheme),
            Key("NGROK_DOMAIN", values.with_scheme, "https:// + "),
        ),
        parse=values.url,
        default=_none,
        shown="the listener's own URL",
        help="The base of the URLs that imgd hands out.",
    ),
    Setting(
        field="follow_symlinks",
        options=("follow-symlinks",),
        flag="yes",
        keys=(Key("IMGD_FOLLOW_SYMLINKS"),),
        parse=values.boolean,
        default=_always(False),
        shown="off",
        help="Serve symbolic links that leave their root.",
    ),
    Setting(
        field="private",
        options=("private",),
        flag="yes",
        keys=(Key("IMGD_PRIVATE"),),
        parse=values.boolean,
        default=_always(False),
        shown="off",
        help="To read, the token or a signed link is needed.",
    ),
    Setting(
        field="header_timeout",
        options=("header-timeout",),
        keys=(Key("IMGD_HEADER_TIMEOUT"),),
        parse=values.seconds,
        default=_always(20),
        shown="20",
        help="Seconds in which the whole head of a request must arrive.",
    ),
    Setting(
        field="body_timeout",
        options=("body-timeout",),
        keys=(Key("IMGD_BODY_TIMEOUT"),),
        parse=values.seconds,
        default=_always(30),
        shown="30",
        help="Seconds in which the whole body of a request must arrive.",
    ),
    Setting(
        field="handshake_timeout",
        options=("handshake-timeout",),
        keys=(Key("IMGD_HANDSHAKE_TIMEOUT"),),
        parse=values.seconds,
        default=_always(10),
        shown="10",
        help="Seconds for the TLS handshake.",
    ),
    Setting(
        field="idle_timeout",
        options=("idle-timeout",),
        keys=(Key("IMGD_IDLE_TIMEOUT"),),
        parse=values.seconds,
        default=_always(75),
        shown="75",
        help="Seconds that a connection may wait for its next request.",
    ),
    Setting(
        field="stall_timeout",
        options=("stall-timeout",),
        keys=(Key("IMGD_STALL_TIMEOUT"),),
        parse=values.seconds,
        default=_always(60),
        shown="60",
        help="Seconds in which a client must take some of its answer.",
    ),
    Setting(
        field="disk_timeout",
        options=("disk-timeout",),
        keys=(Key("IMGD_DISK_TIMEOUT"),),
        parse=values.seconds,
        default=_always(60),
        shown="60",
        help="Seconds in which a directory must be read, for a load or a listing.",
    ),
    Setting(
        field="max_connections",
        options=("max-connections",),
        keys=(Key("IMGD_MAX_CONNECTIONS"),),
        parse=values.connections,
        default=_none,
        shown="from the limit of descriptors, at most 10000",
        help="Connections at once; one more closes an idle or a slow one, or is answered 503.",
    ),
    Setting(
        field="max_per_client",
        options=("max-per-client",),
        keys=(Key("IMGD_MAX_PER_CLIENT"),),
        parse=values.connections_or_none,
        default=_none,
        shown="a quarter of --max-connections",
        help="Connections of one address at once, 0 for any number; loopback is never limited.",
    ),
    Setting(
        field="proxies",
        options=("proxy",),
        keys=(Key("IMGD_PROXIES"),),
        parse=values.network,
        default=_empty,
        shown="none",
        help="A trusted reverse proxy's address or network: its clients are counted by their own.",
        many=True,
    ),
    Setting(
        field="grace",
        options=("grace",),
        keys=(Key("IMGD_GRACE"),),
        parse=values.grace,
        default=_always(30),
        shown="30",
        help="Seconds that transfers under way have to end when imgd is told to stop.",
    ),
    Setting(
        field="memory_cache",
        options=("memory-cache",),
        keys=(Key("IMGD_MEMORY_CACHE"),),
        parse=values.megabytes,
        default=_always(64),
        shown="64",
        help="Megabytes of small files kept in memory; 0 none.",
    ),
    Setting(
        field="access_log",
        options=("access-log",),
        keys=(Key("IMGD_ACCESS_LOG"),),
        parse=values.log_file,
        default=_none,
        shown="off",
        help="Log requests in the combined format to this file; - is the log.",
        is_path=True,
    ),
    Setting(
        field="env_file",
        options=("env-file",),
        parse=values.file,
        default=_none,
        shown=".env in the working folder, where there is one",
        help="A file of settings, KEY=VALUE a line.",
        is_path=True,
    ),
)
