"""Who may control this daemon: its token, its allowed hosts, and what it answers to others."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from imgd.core import access_rules
from imgd.errors import Forbidden, ImgdError
from imgd.host.socket_owner import Lookup, SocketAddress, own_users
from imgd.logs import Logger
from imgd.web.request import Request

HINT = (
    "Send 'Authorization: Bearer TOKEN'; the token is in the file 'token' of imgd's state folder, "
    "which the log names at start."
)


log = Logger()


def make_access(
    token: str, allowed_hosts: Iterable[str], *, token_always: bool, socket_owner: Lookup | None
) -> Access:
    """Access for programs of this process's user.

    If the system does not tell whose a connection is, every user of the machine counts as that one,
    and a line of the log says so.
    """
    if socket_owner is None and not token_always:
        log.warn(
            "This system does not tell whose a connection is: every user of this machine, and "
            "proxies that run on it, may control without the token (--require-token)"
        )
    return Access(
        token,
        allowed_hosts,
        token_always=token_always,
        socket_owner=socket_owner,
        own_users=own_users(),
    )


class Access:
    """Who may control: the token's bearer, and programs of this daemon's own user.

    ``socket_owner`` tells whose a connection from this machine is; None if the system does not:
    then all users count as ``own_users``. ``token_always``: being local is not enough.
    """

    def __init__(
        self,
        token: str,
        allowed_hosts: Iterable[str],
        *,
        token_always: bool = False,
        socket_owner: Lookup | None = None,
        own_users: Collection[int] = (),
    ) -> None:
        self._token = token
        self._hosts = access_rules.host_names(allowed_hosts)
        self._token_always = token_always
        self._socket_owner = socket_owner
        self._own_users = own_users

    def require_control(self, request: Request) -> None:
        """Unauthorized or Forbidden unless the requester may control."""
        if not self.bears_token(request) and (reason := self._why_not_local(request)):
            raise Forbidden(f"Control needs imgd's token: {reason}. {HINT}")

    def require_reader(self, request: Request) -> None:
        """Unauthorized unless the requester may read if reading is private."""
        access_rules.may_read(request.requester(), self._token, HINT)

    def bears_token(self, request: Request) -> bool:
        """Whether the requester bears the token; Unauthorized if it is another one."""
        return access_rules.bears_token(request.requester(), self._token, HINT)

    def is_own_page(self, request: Request, own_origins: Collection[str]) -> bool:
        """Whether a page of this daemon, or no page at all, sent a form."""
        return access_rules.is_own_page(request.requester(), own_origins)

    def is_token(self, text: str) -> bool:
        """Whether somebody typed the token."""
        return access_rules.is_token(text, self._token)

    def is_controller(self, request: Request) -> bool:
        """Whether the requester may control, and so may see paths of the host."""
        try:
            self.require_control(request)
        except ImgdError:
            return False
        return True

    def _why_not_local(self, request: Request) -> str:
        if self._token_always:
            return "it is always asked for here (--require-token, --private)"
        return access_rules.why_not_local(request.requester(), self._hosts) or self._why_not_own(
            request
        )

    def _why_not_own(self, request: Request) -> str:
        """Checked last, as it costs a system call."""
        if self._socket_owner is None:
            return ""
        peer, host = request.other_end(), request.getHost()
        try:
            user = self._socket_owner(
                SocketAddress(peer.host, peer.port), SocketAddress(host.host, host.port)
            )
        except OSError:
            user = None
        if user in self._own_users:
            return ""
        return "another user of this machine sent it, as a proxy that runs here does"
