"""Which server, and by what right: its URL, the CA to trust, the token to show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urljoin

from imgd.client.errors import ClientError, InvalidResponse
from imgd.core import urls
from imgd.core.urls import Origin, parse_url
from imgd.errors import BadRequest
from imgd.host import instance_lock
from imgd.host.secret_files import TOKEN
from imgd.settings import SettingsError, find_state_dir
from imgd.settings.table import BY_FIELD

# Where a daemon looks for its public URL, too; ``imgd tunnel`` prints the second to be evaluated.
PUBLIC_URLS: Final = ("IMGD_PUBLIC_URL", "NGROK_URL", "NGROK_DOMAIN")
MAX_CA: Final = 8 << 20  # bytes of a CA file; a system's bundle has a quarter of one MiB


@dataclass(frozen=True, slots=True)
class Server:
    """``ca`` is PEM, None for the system's store. ``also`` are other URLs of the same daemon, if it
    runs here; ``public`` are further origins whose URLs it may hand out.
    """

    url: str
    ca: bytes | None = None
    is_chosen_ca: bool = False  # by the user
    token: str | None = field(default=None, repr=False)  # kept out of every text
    also: tuple[str, ...] = ()
    public: frozenset[Origin] = frozenset()

    @property
    def is_local(self) -> bool:
        return origin_of(self.url).is_loopback or bool(self.also)

    @property
    def origins(self) -> frozenset[Origin]:
        """Its own origins, which alone get its token."""
        return frozenset(map(origin_of, (self.url, *self.also)))

    def may_hand_out(self, origin: Origin) -> bool:
        """Whether its URLs of this origin are requested: what else it lists might be anybody's."""
        return origin in self.public or any(_is_same(origin, own) for own in self.origins)

    def ca_for(self, origin: Origin) -> bytes | None:
        """Whom to trust for an origin: the certificate of a tunnel is not of the local CA."""
        return self.ca if self.is_chosen_ca or origin in self.origins else None

    def announcing(self, url: str) -> Server:
        """This server with the public URL that it announces, believed of the user's own daemon."""
        return self.with_public(url) if self.also else self

    def with_public(self, *urls: str) -> Server:
        public = (parsed.origin for parsed in map(parse_url, urls) if parsed is not None)
        return replace(self, public=self.public.union(public))


def find_server(
    environ: Mapping[str, str],
    *,
    url: str | None = None,
    token: str | None = None,
    ca_file: str | None = None,
    state_dir: str | None = None,
    public_url: str | None = None,
    cwd: str | None = None,
) -> Server:
    """ClientError or BadRequest if there is none. The state folder's CA is trusted for addresses of
    this machine alone, and its token goes only to the daemon that runs on it.
    """
    url = url or environ.get("IMGD_SERVER")
    folder = state_dir or _state_dir(environ, cwd or os.getcwd(), is_needed=url is None)
    daemon = instance_lock.find(folder)
    base = base_of(url or _local_url(daemon))
    origin = origin_of(base)
    if daemon is not None and not any(_is_same(origin, origin_of(own)) for own in daemon.urls):
        daemon = None
    ca = _read_ca(ca_file or (daemon.ca if daemon else _local_ca(folder, origin)))
    token = token or environ.get("IMGD_TOKEN") or (TOKEN.read(folder) if daemon else None)
    also = tuple(daemon.urls) if daemon else ()
    server = Server(base, ca, ca_file is not None, token, also)
    if public_url is not None:
        return server.with_public(base_of(public_url))
    named = filter(None, map(environ.get, PUBLIC_URLS))
    return server.with_public(*(text if "://" in text else f"https://{text}" for text in named))


def _state_dir(environ: Mapping[str, str], cwd: str, *, is_needed: bool) -> str:
    try:
        return find_state_dir(environ, cwd)
    except SettingsError as error:
        if not is_needed:  # the unsafe ``.env`` is ignored
            return str(BY_FIELD["state_dir"].default_value(cwd))
        raise ClientError(f"{error.detail} (or name the daemon's folder by --state-dir)") from None


def _local_url(daemon: instance_lock.RunningDaemon | None) -> str:
    if daemon is None or not daemon.urls:
        detail = "no imgd is running: start one with twistd -n imgd, or name one with --server URL"
        raise ClientError(detail)
    return next((url for url in daemon.urls if url.startswith("https:")), daemon.urls[0])


def _is_same(origin: Origin, own: Origin) -> bool:
    is_near = origin.is_loopback and own.is_loopback
    return origin == own or (is_near and origin._replace(host=own.host) == own)


def _local_ca(folder: str, origin: Origin) -> str | None:
    path = os.path.join(folder, "ca.pem")
    return path if origin.is_loopback and os.path.exists(path) else None


def _read_ca(path: str | None) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_CA + 1)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_CA:
        raise BadRequest(f"{path} is too large for a file of CA certificates: over 8 MiB.")
    return content


def origin_of(url: str) -> Origin:
    parsed = parse_url(url)
    if parsed is None:
        raise InvalidResponse("The server gave a URL that is not http:// or https://.")
    return parsed.origin


def split_url(url: str) -> tuple[str, bytes]:
    parts = urls.split_url(url)
    if parts is None:
        raise InvalidResponse("The server gave a URL that is not one.")
    return parts


def base_of(given: str) -> str:
    """A server's URL as a user gave it, without the last slash; ClientError if it is none."""
    text = given.strip().rstrip("/")
    if parse_url(text) is None or "?" in text or "#" in text:
        raise ClientError(f"Not a server's URL: {given!r}. Write it like https://localhost:8888")
    return text


def redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    if origin_of(target) != origin_of(url):
        raise InvalidResponse("Redirected to another origin, which is not followed.")
    return target
