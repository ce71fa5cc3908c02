"""The local CA and its leaves in the state folder: made if missing, renewed if due.

A client trusts ``ca.pem`` once; leaves come and go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from imgd.certificates import authority, issuing, leaf, name_constraints
from imgd.certificates.authority import LocalAuthority
from imgd.certificates.files import (
    MALFORMED,
    LoadedPair,
    PairPaths,
    Write,
    load,
    recover,
    replace,
)
from imgd.certificates.names import SubjectAltNames
from imgd.errors import StartError
from imgd.host import atomic_files

# A leaf for *.localhost, which an older imgd made and hardly any client accepted, and its key.
OBSOLETE: Final = ("server-wildcard.key", "server-wildcard.pem")

Keys = Mapping[str, Callable[[], issuing.SigningKey]]


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The certificates in a state folder, and what was done to them.

    ``ca`` is the CA's certificate, None if it cannot be read; ``pairs`` are the leaves. ``made``
    says what was made anew and why, ``problems`` what could not be and what to do; ``left_out`` are
    names that the CA does not permit. ``leaf_expires`` is aware, UTC.
    """

    folder: str
    ca: x509.Certificate | None
    pairs: tuple[PairPaths, ...]
    leaf_expires: datetime
    made: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def ca_pem(self) -> str:
        """The path of the CA's certificate."""
        return PairPaths.in_folder(self.folder, "ca").certificate

    @property
    def ca_fingerprint(self) -> str:
        """SHA-256, upper-case hex with colons; "" if the CA cannot be read."""
        return "" if self.ca is None else self.ca.fingerprint(SHA256()).hex(":").upper()

    @property
    def is_unlimited(self) -> bool:
        """Whether the CA can vouch for every name in the world."""
        try:
            return self.ca is not None and name_constraints.constraints_of(self.ca) is None
        except MALFORMED:  # such a CA vouches for nothing
            return False


def ensure(
    state_dir: str,
    names: SubjectAltNames,
    now: datetime,
    *,
    force_leaf: bool = False,
    starting: bool = True,
    keys: Keys = issuing.KEYS,
    write: Write = atomic_files.write_file,
) -> CertificateFiles:
    """CA and leaves for ``names`` in ``state_dir``, made or renewed if they must be.

    ``now`` is aware. The folder and the CA are made only when ``starting``, and a CA that is there
    is never replaced. If something is due but cannot be made, what is there stays in use and
    ``problems`` says so. ``StartError`` if there is nothing to stay with, or, when ``starting``,
    if the CA does not permit a name that the operator gave. One process at a time.
    """
    folder = _StateFolder(state_dir, now.astimezone(UTC), keys, write)
    try:
        folder.tidy(starting=starting)
        ca = authority.find(state_dir, folder.now)
        if ca is None:
            ca = folder.make_ca(names) if starting else authority.MISSING
        if ca.problem:
            folder.problems.append(ca.problem)
        if ca.signer is None:
            return folder.report(ca, folder.usable_leaves(ca.problem))
        fit, left_out = name_constraints.permitted(names, ca.signer.certificate)
        if starting and (not_permitted := sorted(names.given.intersection(left_out))):
            raise authority.not_permitted(state_dir, not_permitted)
        return folder.report(ca, folder.renew_leaves(ca.signer, fit, force_leaf), left_out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"Cannot keep certificates in {state_dir}: {reason}") from error


class _StateFolder:
    """The folder during one :func:`ensure`: what was made in it, and what could not be."""

    def __init__(self, path: str, now: datetime, keys: Keys, write: Write) -> None:
        self.now = now
        self.problems: list[str] = []
        self._made: list[str] = []
        self._path, self._keys, self._write = path, keys, write

    def tidy(self, *, starting: bool) -> None:
        """Undo or finish what a crash interrupted. While running, temporary files may be in use."""
        if starting:
            atomic_files.make_private_folder(self._path)
            atomic_files.remove_leftovers(self._path)
            for name in OBSOLETE:
                atomic_files.remove(os.path.join(self._path, name))
        for stem in ("ca", *leaf.STEMS):
            recover(self._paths(stem))

    def make_ca(self, names: SubjectAltNames) -> LocalAuthority:
        reason = "ca.pem is missing"
        new = issuing.make_ca(self._keys["ca"](), names, self.now)
        return LocalAuthority(new.certificate, self._replace("ca", reason, new, reason))

    def usable_leaves(self, ca_problem: str) -> dict[str, LoadedPair]:
        """The leaves that can serve as they are, by stem."""
        pairs = {stem: load(self._paths(stem)) for stem in leaf.STEMS}
        usable = {stem: pair for stem, pair in pairs.items() if isinstance(pair, LoadedPair)}
        if not usable:
            raise StartError(f"There is no certificate to serve with, and {ca_problem}")
        return usable

    def renew_leaves(
        self, ca: LoadedPair, names: SubjectAltNames, force: bool
    ) -> dict[str, LoadedPair]:
        """The leaves by stem: all are made anew if one of them must be."""
        current = {stem: load(self._paths(stem)) for stem in leaf.STEMS}
        reasons = {
            stem: "asked for"
            if force
            else leaf.renewal_reason(pair, ca.certificate, names, self.now)
            for stem, pair in current.items()
        }
        due = next(filter(reasons.get, reasons), None)
        leaves: dict[str, LoadedPair] = {}
        for stem in leaf.STEMS:
            pair = current[stem]
            if isinstance(pair, str) or due is not None:
                new = issuing.make_leaf(ca, self._keys[stem](), names, self.now)
                pair = self._replace(stem, pair, new, reasons[stem] or f"with {due}.pem")
            leaves[stem] = pair
        return leaves

    def report(
        self, ca: LocalAuthority, leaves: Mapping[str, LoadedPair], left_out: Sequence[str] = ()
    ) -> CertificateFiles:
        return CertificateFiles(
            folder=self._path,
            ca=ca.certificate,
            pairs=tuple(map(self._paths, leaves)),
            leaf_expires=min(pair.certificate.not_valid_after_utc for pair in leaves.values()),
            made=tuple(self._made),
            problems=tuple(self.problems),
            left_out=tuple(left_out),
        )

    def _paths(self, stem: str) -> PairPaths:
        return PairPaths.in_folder(self._path, stem)

    def _replace(self, stem: str, old: LoadedPair | str, new: LoadedPair, why: str) -> LoadedPair:
        """Put ``new`` in place of ``old``, or keep that if the disk does not take the new one."""
        try:
            replace(self._paths(stem), new, write=self._write)
        except OSError as error:
            if isinstance(old, str):
                raise
            self.problems.append(f"{stem}.pem is not renewed ({why}): {error.strerror}")
            return old
        self._made.append(f"{stem}.pem ({why})")
        return new
