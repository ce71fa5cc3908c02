"""Which user's program is at the other end of a connection from this machine. Linux.

The kernel is asked for one socket by netlink (sock_diag(7)): 20 us, however many there are. If
that is not allowed, ``/proc/net/tcp`` and ``tcp6`` are read (proc(5)): 25 ms with 8,000 sockets.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

TIMEOUT: Final = 1.0  # seconds; the kernel answers within the call that asks
# What stands for every user that a user namespace does not map (user_namespaces(7)): it may be
# anybody, and so is nobody's.
UNMAPPED: Final = 65534
_SOCK_DIAG_BY_FAMILY: Final = 20
_NETLINK_SOCK_DIAG: Final = 4
_REQUEST: Final = 1  # NLM_F_REQUEST
_ANY: Final = 0xFFFFFFFF  # every state, any cookie
_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr
_QUESTION: Final = struct.Struct("=BBBBI")  # inet_diag_req_v2, before its inet_diag_sockid
_PORTS: Final = struct.Struct("!HH")
_ID_END: Final = struct.Struct("=III")  # interface and cookie of a sockid
_ANSWER: Final = struct.Struct("=II")  # uid and inode, at the end of an inet_diag_msg
_ANSWER_AT: Final = _HEADER.size + 64

Address = IPv4Address | IPv6Address


class SocketAddress(NamedTuple):
    """One end of a TCP connection."""

    host: str
    port: int


Lookup = Callable[[SocketAddress, SocketAddress], int | None]


def choose() -> Lookup | None:
    """This system's way to find whose a socket is, None if it has none: a function that gives the
    user's id, None if there is no such socket, and OSError if the system does not answer.

    Its arguments are the socket's own end, and the one that it is connected to.
    """
    nowhere = SocketAddress("127.0.0.1", 1), SocketAddress("127.0.0.1", 1)
    for lookup in (by_netlink, by_proc):
        try:
            lookup(*nowhere)
        except (OSError, struct.error):
            continue
        return lookup
    return None


def own_users() -> frozenset[int]:
    """The users whose programs are this process's own: its own one, and root."""
    return frozenset((0, os.geteuid())) if hasattr(os, "geteuid") else frozenset()


def by_netlink(own: SocketAddress, other: SocketAddress) -> int | None:
    """Ask the kernel for this one socket."""
    if not hasattr(socket, "AF_NETLINK"):
        raise OSError(errno.EAFNOSUPPORT, "there is no netlink")
    here, there = _address(own.host), _address(other.host)
    family = socket.AF_INET if here.version == 4 else socket.AF_INET6
    ends = here.packed.ljust(16, b"\0") + there.packed.ljust(16, b"\0")
    question = (
        _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY)
        + _PORTS.pack(own.port, other.port)
        + ends
        + _ID_END.pack(0, _ANY, _ANY)
    )
    size = _HEADER.size + len(question)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(TIMEOUT)
        link.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + question)
        answer = link.recv(4096)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        number = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if number == errno.ENOENT:
            return None
        raise OSError(number, os.strerror(number))
    return _user(*_ANSWER.unpack_from(answer, _ANSWER_AT))


def by_proc(own: SocketAddress, other: SocketAddress, folder: str = "/proc/net") -> int | None:
    """Find this one socket in the tables of all."""
    here, there = _address(own.host), _address(other.host)
    spellings = [(here, there)]
    if here.version == 4:  # a socket of IPv6 may be connected to an address of IPv4
        spellings.append((_mapped(here), _mapped(there)))
    for one, two in spellings:
        row = f": {_hex(one, own.port)} {_hex(two, other.port)} ".encode("ascii")
        with open(os.path.join(folder, "tcp" if one.version == 4 else "tcp6"), "rb") as table:
            content = table.read()
        if (start := content.find(row)) >= 0:
            fields = content[start + len(row) :].split(None, 7)
            return _user(int(fields[4]), int(fields[6]))
    return None


def _user(uid: int, inode: int) -> int | None:
    """A socket that its program has closed has no inode any more, and root's id: nobody's."""
    return uid if inode and uid != UNMAPPED else None


def _address(host: str) -> Address:
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _mapped(address: Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}")


def _hex(address: Address, port: int) -> str:
    """As the kernel writes an address: words of 32 bits in its own byte order."""
    words = struct.unpack(f"={len(address.packed) // 4}I", address.packed)
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"
