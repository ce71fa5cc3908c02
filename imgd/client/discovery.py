"""Which server, and by what right: its URL, the CA to trust, the token to show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from imgd.client.errors import ClientError
from imgd.client.urls import Origin, base_of, origin_of
from imgd.host import running
from imgd.host import token as token_file
from imgd.host.manifest_file import read_small
from imgd.host.running import Running


@dataclass(frozen=True, slots=True)
class Server:
    """A server to ask. ``ca`` is PEM, None for the system's store; ``is_chosen_ca``: by the user.

    ``token`` is kept out of every text that is made of this. ``also`` are other URLs of the same
    daemon, where it runs here.
    """

    url: str
    ca: bytes | None = None
    is_chosen_ca: bool = False
    token: str | None = field(default=None, repr=False)
    also: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, so that it sees the same files."""
        return origin_of(self.url).is_loopback

    @property
    def origins(self) -> frozenset[Origin]:
        """Where it is itself: who else asks for its token does not get it."""
        return frozenset(map(origin_of, (self.url, *self.also)))

    @property
    def far_ca(self) -> bytes | None:
        """What to trust where the server hands out URLs of another origin, such as a tunnel's."""
        return self.ca if self.is_chosen_ca else None


def find_server(
    environ: Mapping[str, str],
    *,
    url: str | None = None,
    token: str | None = None,
    ca_file: str | None = None,
    state_dir: str | None = None,
) -> Server:
    """The server that is meant; ClientError or BadRequest says what is missing.

    ``url`` before ``IMGD_SERVER`` before the daemon that runs on the state folder. The folder's CA
    is trusted for addresses of this machine alone, and its token goes to the daemon that runs on it
    and to nobody else.
    """
    folder = state_dir or running.default_state_dir(environ)
    daemon = running.find(folder)
    base = base_of(url or environ.get("IMGD_SERVER") or _local_url(daemon))
    found_ca = read_small(ca_file) if ca_file else _local_ca(base, folder, daemon)
    said = token or environ.get("IMGD_TOKEN") or _local_token(base, folder, daemon)
    also = tuple(daemon.urls) if daemon and _is_it(base, daemon) else ()
    return Server(base, found_ca, ca_file is not None, said, also)


def _local_url(daemon: Running | None) -> str:
    if daemon is None or not daemon.urls:
        raise ClientError(
            "no imgd is running: start one with twistd -n imgd, or name a server with --server URL"
        )
    return next((url for url in daemon.urls if url.startswith("https:")), daemon.urls[0])


def _is_it(base: str, daemon: Running | None) -> bool:
    """Whether this URL is the daemon's: one that it names, or its port on this machine."""
    asked = origin_of(base)
    for url in daemon.urls if daemon else []:
        named = origin_of(url)
        same_door = (asked.scheme, asked.port) == (named.scheme, named.port)
        if same_door and (asked.is_loopback or asked.host == named.host):
            return True
    return False


def _local_ca(base: str, folder: str, daemon: Running | None) -> bytes | None:
    if _is_it(base, daemon) and daemon is not None:
        return read_small(daemon.ca) if daemon.ca else None
    own = os.path.join(folder, "ca.pem")
    return read_small(own) if origin_of(base).is_loopback and os.path.exists(own) else None


def _local_token(base: str, folder: str, daemon: Running | None) -> str | None:
    return token_file.read(folder) if _is_it(base, daemon) else None
