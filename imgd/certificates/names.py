"""The names and addresses that a leaf certificate must hold, in its subjectAltName: clients ignore
the common name (RFC 9525 section 2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final

import idna
from cryptography import x509

from imgd.errors import StartError
from imgd.host import addresses

ALWAYS_NAMES: Final = ("localhost", "host.docker.internal", "host.containers.internal")
ALWAYS_ADDRESSES: Final = ("127.0.0.1", "::1")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")  # some hosts have an underscore
_MAX_NAME: Final = 253  # octets, RFC 1035 section 2.3.4 less the root's


@dataclass(frozen=True, slots=True)
class SubjectAltNames:
    """What a leaf is for: DNS names (ASCII, lower case, sorted) and addresses (canonical).

    ``given`` are those of them that the operator asked for.
    """

    dns: tuple[str, ...]
    ips: tuple[str, ...]
    given: frozenset[str] = field(default=frozenset(), compare=False)

    def general_names(self) -> list[x509.GeneralName]:
        return [
            *(x509.DNSName(name) for name in self.dns),
            *(x509.IPAddress(ip_address(ip)) for ip in self.ips),
        ]

    def partition(self, fits: Callable[[str], bool]) -> tuple[SubjectAltNames, list[str]]:
        """Those that fit, and a list of the others."""
        dns, ips = tuple(filter(fits, self.dns)), tuple(filter(fits, self.ips))
        others = [name for name in (*self.dns, *self.ips) if name not in (*dns, *ips)]
        return replace(self, dns=dns, ips=ips), others

    def missing_from(self, leaf: x509.Certificate) -> list[str]:
        """Those that the certificate does not hold; ValueError if its names cannot be read."""
        try:
            extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return [*self.dns, *self.ips]
        dns = set(extension.value.get_values_for_type(x509.DNSName))
        ips = {str(ip) for ip in extension.value.get_values_for_type(x509.IPAddress)}
        return [*(n for n in self.dns if n not in dns), *(i for i in self.ips if i not in ips)]


def required_names(host: str, tls_names: Iterable[str]) -> SubjectAltNames:
    """The names for a daemon bound to ``host`` (0.0.0.0, :: and "" add none) on this machine.

    A ``host`` or one of ``tls_names`` that no certificate can hold is a ``StartError`` naming it.
    """
    machine = [*addresses.machine_names(), *addresses.machine_addresses()]
    return collect(host, tls_names, machine)


def collect(host: str, tls_names: Iterable[str], machine: Iterable[str]) -> SubjectAltNames:
    """As :func:`required_names`, with the machine's names; bad ones of those are dropped."""
    given = {_canonical_or_error("--tls-name", name) for name in tls_names}
    if host:
        given.add(_canonical_or_error("--host", host))
    own = filter(None, map(_canonical, machine))
    names = {*ALWAYS_NAMES, *ALWAYS_ADDRESSES, *own, *given}
    ips = set(filter(is_address, names))
    specific = {ip for ip in ips if not ip_address(ip).is_unspecified}
    return SubjectAltNames(tuple(sorted(names - ips)), tuple(sorted(specific)), frozenset(given))


def is_address(name: str) -> bool:
    """Whether a canonical name is an address."""
    return _address(name) is not None


def _canonical_or_error(setting: str, text: str) -> str:
    canonical = _canonical(text)
    if canonical is None:
        raise StartError(f"{setting} {text!r} is neither a host name nor an address")
    return canonical


def _canonical(text: str) -> str | None:
    """An address or DNS name as a certificate holds it, or None."""
    return _address(text) or _dns_name(text)


def _address(text: str) -> str | None:
    """An IP address without brackets and zone: neither can stand in a certificate."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare.partition("%")[0]))
    except ValueError:
        return None


def _dns_name(text: str) -> str | None:
    """A host name in ASCII (RFC 5891), lower case; a wildcard may be its first label.

    Not one right below a top-level name: browsers, curl and OpenSSL accept no such wildcard, and
    under a CA with constraints Firefox refuses the whole certificate that holds one.
    """
    star, bare = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        ascii_name = bare if bare.isascii() else idna.encode(bare, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None
    name = star + ascii_name.lower().removesuffix(".")
    labels = name.removeprefix(star).split(".")
    if star and len(labels) == 1:
        return None
    is_number = labels[-1].isdigit()  # 999.1.1.1 is a mistaken address
    if is_number or len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        return None
    return name
