"""The local certificate authority and the leaf certificates it signs: kept, judged, renewed.

A client trusts ``ca.pem`` once; leaves come and go. There are two of the same names: RSA for every
client, P-256 for those that can take it, whose handshake is twice as cheap; and one more for the
broad wildcards that the two cannot hold (:meth:`Names.apart`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from imgd.certificates import authority, issuing, name_constraints
from imgd.certificates.authority import LocalAuthority
from imgd.certificates.files import (
    MALFORMED,
    LoadedPair,
    Pair,
    Write,
    check_pair,
    load,
    read_chain,
    recover,
    replace,
)
from imgd.certificates.issuing import SigningKey
from imgd.certificates.names import SubjectAltNames, names_wanted
from imgd.errors import StartError
from imgd.host import atomic_files

__all__ = ["CertificateFiles", "SubjectAltNames", "check_pair", "due", "ensure", "names_wanted"]

_BROAD: Final = "server-wildcard"
_LEAVES: Final[dict[str, Callable[[], SigningKey]]] = {
    "server": issuing.rsa_key,
    "server-ec": issuing.p256_key,
    _BROAD: issuing.p256_key,
}


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the certificates lie, and what was done to them.

    ``ca`` is the CA's certificate, None where it cannot be read; ``pairs`` are certificate and key
    of each leaf, for :func:`imgd.net.tls.build_context`, ``broad`` of the one for broad wildcards.
    ``made`` says what was made anew and why, ``problems`` what could not be and what to do;
    ``left_out`` are names that the CA does not permit. ``leaf_expires`` is aware, UTC.
    """

    folder: str
    ca: x509.Certificate | None
    pairs: tuple[tuple[str, str], ...]
    broad: tuple[str, str] | None
    leaf_expires: datetime
    made: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def ca_pem(self) -> str:
        """The path of the CA's certificate."""
        return Pair.in_folder(self.folder, "ca").certificate

    @property
    def server_pem(self) -> str:
        """The path of the RSA leaf."""
        return Pair.in_folder(self.folder, "server").certificate

    @property
    def server_key(self) -> str:
        """The path of its key."""
        return Pair.in_folder(self.folder, "server").key

    @property
    def server_ec_pem(self) -> str:
        """The path of the P-256 leaf."""
        return Pair.in_folder(self.folder, "server-ec").certificate

    @property
    def ca_fingerprint(self) -> str:
        """SHA-256, upper-case hex with colons; "" where the CA cannot be read."""
        return "" if self.ca is None else self.ca.fingerprint(SHA256()).hex(":").upper()

    @property
    def is_unlimited(self) -> bool:
        """Whether the CA can vouch for every name in the world."""
        try:
            return self.ca is not None and name_constraints.limits(self.ca) is None
        except MALFORMED:  # such a CA vouches for nothing
            return False


def ensure(
    state_dir: str,
    names: SubjectAltNames,
    now: datetime,
    *,
    force_leaf: bool = False,
    starting: bool = True,
    write: Write = atomic_files.write_file,
) -> CertificateFiles:
    """CA and leaves for ``names`` in ``state_dir``, made or renewed where they must be.

    ``now`` is aware. The folder and the CA are made only when ``starting``, and a CA that is there
    is never replaced. Where something is due but cannot be made, what there is stays in use and
    ``problems`` says so; ``StartError`` where there is nothing to stay with, or, when ``starting``,
    where the CA does not permit a name that the operator gave. One process at a time.
    """
    try:
        folder = _Folder(state_dir, now.astimezone(UTC), write)
        _tidy(folder, starting=starting)
        ca = authority.find(state_dir, folder.now)
        if ca is None:
            ca = _make_ca(folder, names) if starting else LocalAuthority(None, authority.missing())
        return _report(folder, ca, *_ensure_leaves(folder, ca, names, force_leaf, starting))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"Cannot keep certificates in {state_dir}: {reason}") from error


def due(leaf_pem: str, names: SubjectAltNames, now: datetime) -> str | None:
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

    def renew(self, stem: str, old: LoadedPair | str, new: LoadedPair, why: str) -> LoadedPair:
        """Put ``new`` in place of ``old``, or stay with that where the disk does not take it."""
        try:
            replace(self.pair(stem), *_pem(new), write=self._write)
        except OSError as error:
            if isinstance(old, str):
                raise
            self.problems.append(f"{stem}.pem is not renewed ({why}): {error.strerror}")
            return old
        self.made.append(f"{stem}.pem ({why})")
        return new


def _tidy(folder: _Folder, *, starting: bool) -> None:
    """Undo or finish what a crash interrupted. While running, temporary files may be in use."""
    if starting:
        atomic_files.make_private_folder(folder.path)
        atomic_files.remove_leftovers(folder.path)
    for stem in ("ca", *_LEAVES):
        recover(folder.pair(stem))


def _make_ca(folder: _Folder, names: SubjectAltNames) -> LocalAuthority:
    """Another CA, where there is none: its clients must trust it afresh."""
    why = "ca.pem is missing"
    return LocalAuthority(folder.renew("ca", why, issuing.make_ca(folder.now, names), why))


def _ensure_leaves(
    folder: _Folder, ca: LocalAuthority, names: SubjectAltNames, force: bool, starting: bool
) -> tuple[dict[str, LoadedPair], list[str]]:
    """The leaves that can serve, by stem, renewed together where one of them must be; and the names
    that they leave out.
    """
    if ca.problem:
        folder.problems.append(ca.problem)
    old = {stem: load(folder.pair(stem)) for stem in _LEAVES}
    if ca.signer is None:
        kept = {stem: leaf for stem, leaf in old.items() if isinstance(leaf, LoadedPair)}
        if not kept.keys() - {_BROAD}:
            raise StartError(f"There is no certificate to serve with, and {ca.problem}")
        return kept, []
    fit, left_out = name_constraints.permitted(names, ca.signer.certificate)
    if starting and (refused := sorted(names.given.intersection(left_out))):
        raise StartError(authority.refusal(folder.path, refused))
    return _renew(folder, ca.signer, old, fit, force), left_out


def _renew(
    folder: _Folder,
    ca: LoadedPair,
    old: dict[str, LoadedPair | str],
    names: SubjectAltNames,
    force: bool,
) -> dict[str, LoadedPair]:
    narrow, broad = names.apart()
    wanted = {stem: broad if stem == _BROAD else narrow for stem in _LEAVES}
    wanted = {stem: some for stem, some in wanted.items() if some.dns or some.ips}
    reasons = [_leaf_reason(old[stem], ca, some, folder.now) for stem, some in wanted.items()]
    why = next(filter(None, ["asked for" if force else None, *reasons]), None)
    leaves: dict[str, LoadedPair] = {}
    for stem, some in wanted.items():
        leaf = old[stem]
        if why is not None or isinstance(leaf, str):
            new = issuing.make_leaf(ca, _LEAVES[stem](), some, folder.now)
            leaf = folder.renew(stem, leaf, new, why or "missing")
        leaves[stem] = leaf
    return leaves


def _leaf_reason(
    leaf: LoadedPair | str, ca: LoadedPair, names: SubjectAltNames, now: datetime
) -> str | None:
    if isinstance(leaf, str):
        return leaf
    try:
        leaf.certificate.verify_directly_issued_by(ca.certificate)
        return _leaf_due(leaf.certificate, names, now, ca.certificate)
    except (TypeError, InvalidSignature, *MALFORMED):
        return "it is not signed by the present CA"


def _leaf_due(
    leaf: x509.Certificate,
    names: SubjectAltNames,
    now: datetime,
    ca: x509.Certificate | None = None,
) -> str | None:
    """Why a leaf is to be renewed; not for its end, where another would live no longer."""
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begins:
        return f"it is not valid before {begins:%Y-%m-%d}"
    is_last = ca is not None and ends >= ca.not_valid_after_utc
    if now >= begins + (ends - begins) * 2 / 3 and not is_last:
        return f"it ends on {ends:%Y-%m-%d}"
    missing = names.missing_from(leaf)
    return f"it does not cover {', '.join(missing)}" if missing else None


def _report(
    folder: _Folder, ca: LocalAuthority, leaves: dict[str, LoadedPair], left_out: list[str]
) -> CertificateFiles:
    paths = {stem: (folder.pair(stem).certificate, folder.pair(stem).key) for stem in leaves}
    broad = paths.pop(_BROAD, None)
    return CertificateFiles(
        folder=folder.path,
        ca=ca.certificate,
        pairs=tuple(paths.values()),
        broad=broad,
        leaf_expires=min(leaf.certificate.not_valid_after_utc for leaf in leaves.values()),
        made=tuple(folder.made),
        problems=tuple(folder.problems),
        left_out=tuple(left_out),
    )


def _pem(pair: LoadedPair) -> tuple[bytes, bytes]:
    """Certificate and key as files hold them."""
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pair.certificate.public_bytes(Encoding.PEM), key
