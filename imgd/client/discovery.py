"""Which server, and by what right: its URL, the CA to trust, the token to show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from imgd.client.errors import ClientError, Misbehaved
from imgd.client.urls import Origin, base_of, origin_of
from imgd.host import instance_lock, secret_files
from imgd.host.instance_lock import RunningDaemon
from imgd.host.manifest_file import read_small

# Where a daemon looks for its public URL, too; ``imgd tunnel`` prints the second to be evaluated.
PUBLIC_URLS: Final = ("IMGD_PUBLIC_URL", "NGROK_URL", "NGROK_DOMAIN")


@dataclass(frozen=True, slots=True)
class Server:
    """A server to ask. ``ca`` is PEM, None for the system's store; ``is_chosen_ca``: by the user.

    ``token`` is kept out of every text that is made of this. ``also`` are other URLs of the same
    daemon, where it runs here. ``public`` are origins besides that it may hand out URLs of.
    """

    url: str
    ca: bytes | None = None
    is_chosen_ca: bool = False
    token: str | None = field(default=None, repr=False)
    also: tuple[str, ...] = ()
    public: frozenset[Origin] = frozenset()

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, so that it sees the same files."""
        return origin_of(self.url).is_loopback

    @property
    def origins(self) -> frozenset[Origin]:
        """Where it is itself: who else asks for its token does not get it."""
        return frozenset(map(origin_of, (self.url, *self.also)))

    def may_hand_out(self, origin: Origin) -> bool:
        """Whether its URLs of this origin are asked: what else it lists might be anybody's.

        The names of this machine are one, at one port.
        """
        if origin in self.origins or origin in self.public:
            return True
        doors = {(own.scheme, own.port) for own in self.origins if own.is_loopback}
        return origin.is_loopback and (origin.scheme, origin.port) in doors

    def announcing(self, url: str) -> Server:
        """The same with the public URL that it announces, where it is the daemon that runs here:
        that one's word is as good as its user's, who set it.
        """
        return self.with_public(url) if self.also else self

    def with_public(self, *urls: str) -> Server:
        """The same with public URLs by those who may say so; what is no URL is no public one."""
        found = set(self.public)
        for url in urls:
            with suppress(Misbehaved):
                found.add(origin_of(url))
        return replace(self, public=frozenset(found))

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
    public_url: str | None = None,
) -> Server:
    """The server that is meant; ClientError or BadRequest says what is missing.

    ``url`` before ``IMGD_SERVER`` before the daemon that runs on the state folder. The folder's CA
    is trusted for addresses of this machine alone, and its token goes to the daemon that runs on it
    and to nobody else. ``public_url`` before the environment's.
    """
    folder = state_dir or instance_lock.default_state_dir(environ)
    daemon = instance_lock.find(folder)
    base = base_of(url or environ.get("IMGD_SERVER") or _local_url(daemon))
    found_ca = read_small(ca_file) if ca_file else _local_ca(base, folder, daemon)
    said = token or environ.get("IMGD_TOKEN") or _local_token(base, folder, daemon)
    also = tuple(daemon.urls) if daemon and _is_it(base, daemon) else ()
    server = Server(base, found_ca, ca_file is not None, said, also)
    if public_url is not None:
        return server.with_public(base_of(public_url))
    named = (environ.get(key, "") for key in PUBLIC_URLS)
    return server.with_public(*(url if "://" in url else f"https://{url}" for url in named if url))


def _local_url(daemon: RunningDaemon | None) -> str:
    if daemon is None or not daemon.urls:
        raise ClientError(
            "no imgd is running: start one with twistd -n imgd, or name a server with --server URL"
        )
    return next((url for url in daemon.urls if url.startswith("https:")), daemon.urls[0])


def _is_it(base: str, daemon: RunningDaemon | None) -> bool:
    """Whether this URL is the daemon's: one that it names, or its port on this machine."""
    asked = origin_of(base)
    for url in daemon.urls if daemon else []:
        named = origin_of(url)
        same_door = (asked.scheme, asked.port) == (named.scheme, named.port)
        if same_door and (asked.is_loopback or asked.host == named.host):
            return True
    return False


def _local_ca(base: str, folder: str, daemon: RunningDaemon | None) -> bytes | None:
    if _is_it(base, daemon) and daemon is not None:
        return read_small(daemon.ca) if daemon.ca else None
    own = os.path.join(folder, "ca.pem")
    return read_small(own) if origin_of(base).is_loopback and os.path.exists(own) else None


def _local_token(base: str, folder: str, daemon: RunningDaemon | None) -> str | None:
    return secret_files.TOKEN.read(folder) if _is_it(base, daemon) else None
