"""The gate of this daemon: its token, its allowed hosts, what it says to those it turns away."""

from __future__ import annotations

from collections.abc import Iterable

from imgd.core import gate
from imgd.web.request import Request

HINT = (
    "Send 'Authorization: Bearer TOKEN'; the token is in the file 'token' of imgd's state folder, "
    "which the log names at start."
)


class Access:
    """Who may control, contract section 3."""

    def __init__(self, token: str, allowed_hosts: Iterable[str]) -> None:
        self._token = token
        self._hosts = gate.host_names(allowed_hosts)

    def check(self, request: Request) -> None:
        """Unauthorized or Forbidden unless this asker may control."""
        gate.may_control(request.asker(), self._token, self._hosts, HINT)

    def check_reader(self, request: Request) -> None:
        """Unauthorized unless this asker may read where reading is private."""
        gate.may_read(request.asker(), self._token, HINT)

    def is_controller(self, request: Request) -> bool:
        """Whether this asker might control, and so may see paths of the host."""
        return gate.is_controller(request.asker(), self._token, self._hosts)
