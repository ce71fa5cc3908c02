"""What a CA vouches for: local names, and what its machine was called when it was made.

RFC 5280 section 4.2.1.10. A client refuses a whole certificate if one of its names lies outside, so
that leaves must hold none that their CA does not permit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from cryptography import x509

from imgd.certificates.names import SubjectAltNames, is_address

# Names that no public authority gives away, each with all below it: RFC 6761, ICANN's resolution
# of July 2024 for "internal", RFC 6762.
LOCAL_NAMES: Final = ("localhost", "internal", "local")
# Loopback, private, link-local and shared addresses: RFC 1122, 1918, 3927, 6598, 4291, 4193.
LOCAL_NETWORKS: Final = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
    *("100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"),
)

Network = IPv4Network | IPv6Network


def permitting(names: SubjectAltNames) -> x509.NameConstraints:
    """Constraints that permit what is local and these names alone.

    A wildcard is permitted as the name it is below, an address that is not local by itself.
    """
    local = NameLimits(LOCAL_NAMES, tuple(map(ip_network, LOCAL_NETWORKS)))
    dns = {name.removeprefix("*.") for name in names.dns}
    other_dns = sorted(name for name in dns if not local.include(name))
    other_ips = [ip_network(ip) for ip in names.ips if not local.include(ip)]
    subtrees: list[x509.GeneralName] = [x509.DNSName(name) for name in (*local.dns, *other_dns)]
    subtrees += [x509.IPAddress(network) for network in (*local.networks, *other_ips)]
    return x509.NameConstraints(permitted_subtrees=subtrees, excluded_subtrees=None)


@dataclass(frozen=True, slots=True)
class NameLimits:
    """Subtrees of a certificate's constraints: names with all below them, and networks."""

    dns: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @classmethod
    def from_subtrees(cls, subtrees: Iterable[x509.GeneralName] | None) -> NameLimits:
        """The subtrees of the kinds that stand in imgd's leaves."""
        general_names = list(subtrees or ())
        dns = (name.value.lower() for name in general_names if isinstance(name, x509.DNSName))
        ips = (name.value for name in general_names if isinstance(name, x509.IPAddress))
        networks = (ip for ip in ips if isinstance(ip, IPv4Network | IPv6Network))
        return cls(tuple(dns), tuple(networks))

    def include(self, name: str) -> bool:
        """Whether a name or an address lies inside."""
        if is_address(name):
            return any(ip_address(name) in network for network in self.networks)
        return any(name == top or name.endswith(f".{top.lstrip('.')}") for top in self.dns)

    def has_kind_of(self, name: str) -> bool:
        """Whether there is a subtree of the name's kind, DNS name or address."""
        return bool(self.networks if is_address(name) else self.dns)


def constraints_of(ca: x509.Certificate) -> x509.NameConstraints | None:
    """A CA's constraints; None if it may vouch for every name."""
    try:
        return ca.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def permitted(names: SubjectAltNames, ca: x509.Certificate) -> tuple[SubjectAltNames, list[str]]:
    """Those of the names that may stand in the CA's leaves, and the others.

    A kind of names without a permitted subtree is not limited (RFC 5280 section 4.2.1.10).
    """
    constraints = constraints_of(ca)
    if constraints is None:
        return names, []
    inside = NameLimits.from_subtrees(constraints.permitted_subtrees)
    outside = NameLimits.from_subtrees(constraints.excluded_subtrees)

    def is_permitted(name: str) -> bool:
        return not outside.include(name) and (inside.include(name) or not inside.has_kind_of(name))

    return names.partition(is_permitted)
