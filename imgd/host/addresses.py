"""What this machine is called, and its addresses. Cheap, and never raising."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Final

import ifaddr

NAME_TIMEOUT: Final = 1.0  # seconds; a resolver that does not answer would take five and more


def machine_names() -> list[str]:
    """The machine's name and its fully qualified one, without repetition.

    The second asks the resolver, which has ``NAME_TIMEOUT`` seconds to answer.
    """
    answers: list[str] = []
    resolver = threading.Thread(target=lambda: answers.append(socket.getfqdn()), daemon=True)
    resolver.start()
    resolver.join(NAME_TIMEOUT)
    names = [name for name in (machine_name(), *answers) if _is_name(name)]
    return list(dict.fromkeys(names))


def machine_name() -> str:
    """The machine's own name; "" if it has none."""
    try:
        return socket.gethostname()
    except (OSError, UnicodeError):
        return ""


def _is_name(name: str) -> bool:
    """Whether it names a machine: a reverse lookup may answer with ``….ip6.arpa`` (macOS)."""
    return bool(name) and not name.endswith(".arpa")


def machine_addresses() -> list[str]:
    """The addresses of every interface, IPv4 and IPv6, without scoped (link-local IPv6) ones."""
    try:
        addresses = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    except (
        Exception
    ):  # a system call of one platform or another: no address is worth a failed start
        return []
    texts = [ip if isinstance(ip, str) else ip[0] for ip in addresses]
    return list(dict.fromkeys(text for text in texts if _is_global_scope(text)))


def _is_global_scope(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == 4 or not address.is_link_local
