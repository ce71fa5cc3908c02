"""Plain HTTP that was sent to a TLS port: refused, with the https URL to ask for."""

from __future__ import annotations

from typing import Any

from imgd.core.http_rules import HeadError
from imgd.core.request_head import RequestHead
from imgd.core.urls import Origin, parse_authority
from imgd.web.own_hosts import OwnHosts


def refusal(head: RequestHead, hosts: OwnHosts, local: Any) -> HeadError:
    """400 for a request that came to the ``local`` address, an IPv4Address or IPv6Address.

    The URL has the host that the client asked for if it is this daemon's, and else localhost.
    """
    if head.url is not None:
        host = head.url.origin.authority
    else:
        host = head.fields.values.get(b"host", (b"",))[0].decode("latin-1")
    authority = parse_authority(host)
    if authority is None or not hosts.is_own(host, local):
        origin = Origin("https", "localhost", local.port)
    else:
        origin = Origin("https", authority.host, authority.port or local.port)
    path = head.target.decode("ascii") if head.target[:1] == b"/" else "/"
    return HeadError(400, f"This port speaks HTTPS alone: ask for {origin}{path}")
