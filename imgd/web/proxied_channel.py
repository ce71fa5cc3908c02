"""A connection of a trusted proxy: it counts for the client whose request it carries."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.http import Request as TwistedRequest

from imgd.core.http_rules import HeadError
from imgd.core.request_head import RequestHead
from imgd.web import early_errors
from imgd.web.channel import Channel
from imgd.web.response_headers import EVERY_ANSWER, RETRY_AFTER

TOO_MANY = HeadError(503, "This address has as many requests under way as it may. Try again soon.")


class ProxiedChannel(Channel):
    """One HTTP/1.1 connection of a proxy that ``imgd.core.forwarded`` trusts."""

    _client = ""  # the address that the last request came from; "" for the proxy's own

    def getPeer(self) -> Any:
        """The address of the client, for the access log."""
        if not self._client:
            return super().getPeer()
        kind = IPv4Address if ip_address(self._client).version == 4 else IPv6Address
        return kind("TCP", self._client, 0)

    def _answer(self, head: RequestHead) -> bool:
        """Whether it was answered here: by an error, or by the fast path."""
        self._client = ""
        self._client = self.site.proxies.client(head.fields.values) or self.getPeer().host
        if not self.site.limiter.assign_client(self, self._client):
            self._answer_too_many()
            return True
        is_answered = super()._answer(head)
        self._release_if_idle()
        return is_answered

    def _answer_too_many(self) -> None:
        self.persistent = False
        self.write(early_errors.answer(TOO_MANY, (*EVERY_ANSWER, RETRY_AFTER)))
        self.loseConnection()

    def requestDone(self, request: TwistedRequest) -> None:
        super().requestDone(request)
        self._release_if_idle()

    def _release_if_idle(self) -> None:
        """Count for the proxy again, unless some of the answer is not taken yet."""
        if self.is_idle():
            self.site.limiter.release_client(self)
