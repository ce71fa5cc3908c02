"""The local certificate authority and the leaf certificates it signs: kept, judged, renewed.

A client trusts ``ca.pem`` once; leaves come and go. There are two of the same names: RSA for every
client, P-256 for those that can take it, whose handshake is twice as cheap.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from imgd.errors import StartError
from imgd.host import atomic, authority
from imgd.host.authority import SigningKey
from imgd.host.certificate_files import (
    Loaded,
    Pair,
    Write,
    check_pair,
    load,
    read_chain,
    recover,
    replace,
)
from imgd.host.certificate_names import Names, names_wanted

__all__ = ["CertificateFiles", "Names", "check_pair", "due", "ensure", "names_wanted"]

CA_MARGIN: Final = timedelta(days=30)  # a CA with less to live is made anew
_LEAVES: Final[dict[str, Callable[[], SigningKey]]] = {
    "server": authority.rsa_key,
    "server-ec": authority.p256_key,
}


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the certificates lie, and what was done to them.

    ``ca_fingerprint`` is SHA-256, upper-case hex with colons; ``leaf_expires`` is aware, UTC.
    ``made`` says what was made anew and why, ``problems`` what could not be.
    """

    ca_pem: str
    server_pem: str
    server_key: str
    server_ec_pem: str
    server_ec_key: str
    ca_fingerprint: str
    leaf_expires: datetime
    made: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Certificate and key of each leaf, for :func:`imgd.net.tls.build_context`."""
        return (self.server_pem, self.server_key), (self.server_ec_pem, self.server_ec_key)


def ensure(
    state_dir: str,
    names: Names,
    now: datetime,
    *,
    force_leaf: bool = False,
    write: Write = atomic.write_file,
) -> CertificateFiles:
    """CA and leaves for ``names`` in ``state_dir``, made or renewed where they must be.

    ``now`` is aware. Where something is due but cannot be written, what there is stays in use and
    ``problems`` says so; ``StartError`` where there is nothing to stay with. One process at a time.
    """
    try:
        return _ensure(_Folder(state_dir, now.astimezone(UTC), write), names, force_leaf)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"Cannot keep certificates in {state_dir}: {reason}") from error


def due(leaf_pem: str, names: Names, now: datetime) -> str | None:
    """Why the leaf at this path must be renewed, or None: it is good, and covers ``names``."""
    try:
        return _leaf_due(read_chain(leaf_pem)[0], names, now)
    except (OSError, ValueError):
        return f"{os.path.basename(leaf_pem)} cannot be read"


class _Folder:
    """The state folder during one :func:`ensure`, and what was done in it so far."""

    def __init__(self, path: str, now: datetime, write: Write) -> None:
        self.path, self.now, self._write = path, now, write
        self.made: list[str] = []
        self.problems: list[str] = []

    def pair(self, stem: str) -> Pair:
        return Pair.in_folder(self.path, stem)

    def renew(self, stem: str, old: Loaded | str, new: Loaded, why: str, aside: str = "") -> Loaded:
        """Put ``new`` in place of ``old``, or stay with that where the disk does not take it."""
        pair = self.pair(stem)
        had_one = os.path.lexists(pair.certificate)
        try:
            replace(pair, *_pem(new), write=self._write, aside=aside)
        except OSError as error:
            if isinstance(old, str):
                raise
            self.problems.append(f"{stem}.pem is not renewed ({why}): {error.strerror}")
            return old
        kept = f"; the one before is {stem}.pem.{aside}" if aside and had_one else ""
        self.made.append(f"{stem}.pem ({why}){kept}")
        return new


def _ensure(folder: _Folder, names: Names, force_leaf: bool) -> CertificateFiles:
    atomic.make_private_folder(folder.path)
    atomic.remove_leftovers(folder.path)
    for stem in ("ca", *_LEAVES):
        recover(folder.pair(stem))
    ca = _ensure_ca(folder)
    leaves = _ensure_leaves(folder, ca, names, force_leaf)
    server, server_ec = map(folder.pair, _LEAVES)
    return CertificateFiles(
        ca_pem=folder.pair("ca").certificate,
        server_pem=server.certificate,
        server_key=server.key,
        server_ec_pem=server_ec.certificate,
        server_ec_key=server_ec.key,
        ca_fingerprint=ca.certificate.fingerprint(SHA256()).hex(":").upper(),
        leaf_expires=min(leaf.certificate.not_valid_after_utc for leaf in leaves),
        made=tuple(folder.made),
        problems=tuple(folder.problems),
    )


def _ensure_ca(folder: _Folder) -> Loaded:
    """The CA, made where there is none to use; its clients must trust the new one afresh.

    One that is not valid yet stays: likelier than a CA of the future is a clock that is behind.
    """
    old = load(folder.pair("ca"))
    if isinstance(old, Loaded) and not authority.can_sign(old):
        old = "ca.pem is not a certificate authority"
    stamp = f"{folder.now:%Y%m%dT%H%M%SZ}"
    if isinstance(old, str):
        return folder.renew("ca", old, authority.make_ca(folder.now), old, f"damaged-{stamp}")
    ends = old.certificate.not_valid_after_utc
    if folder.now < ends - CA_MARGIN:
        return old
    why = f"the one before ends on {ends:%Y-%m-%d}"
    return folder.renew("ca", old, authority.make_ca(folder.now), why, f"expired-{stamp}")


def _ensure_leaves(folder: _Folder, ca: Loaded, names: Names, force: bool) -> list[Loaded]:
    """Both leaves, renewed together where one of them must be."""
    old = {stem: load(folder.pair(stem)) for stem in _LEAVES}
    reasons = [_leaf_reason(leaf, ca, names, folder.now) for leaf in old.values()]
    why = next(filter(None, ["asked for" if force else None, *reasons]), None)
    renewed: list[Loaded] = []
    for (stem, make_key), leaf in zip(_LEAVES.items(), old.values(), strict=True):
        if isinstance(leaf, Loaded) and why is None:
            renewed.append(leaf)
        else:
            new = authority.make_leaf(ca, make_key(), names, folder.now)
            renewed.append(folder.renew(stem, leaf, new, why or "missing"))
    return renewed


def _leaf_reason(leaf: Loaded | str, ca: Loaded, names: Names, now: datetime) -> str | None:
    if isinstance(leaf, str):
        return leaf
    try:
        leaf.certificate.verify_directly_issued_by(ca.certificate)
        return _leaf_due(leaf.certificate, names, now)
    except (ValueError, TypeError, InvalidSignature):
        return "it is not signed by the present CA"


def _leaf_due(leaf: x509.Certificate, names: Names, now: datetime) -> str | None:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begins:
        return f"it is not valid before {begins:%Y-%m-%d}"
    if now >= begins + (ends - begins) * 2 / 3:
        return f"it ends on {ends:%Y-%m-%d}"
    missing = names.missing_from(leaf)
    return f"it does not cover {', '.join(missing)}" if missing else None


def _pem(pair: Loaded) -> tuple[bytes, bytes]:
    """Certificate and key as files hold them."""
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pair.certificate.public_bytes(Encoding.PEM), key
