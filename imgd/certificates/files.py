"""Certificates and keys as files: reading, judging a pair, replacing it without a gap.

Two files cannot be renamed in one step. A pair is therefore written beside itself first
(``.new``), then its key is renamed, then its certificate: whatever the moment of a crash,
:func:`recover` finds either the old pair, or the new key and the certificate that belongs to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from imgd.errors import StartError
from imgd.host import atomic_files

_NEW: Final = ".new"

# What reading a certificate's extensions raises where they make no sense.
MALFORMED: Final = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

Write = Callable[[str, bytes, int], None]
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey


class LoadedPair(NamedTuple):
    """A certificate and its key, known to belong together."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a certificate and its key lie."""

    certificate: str
    key: str

    @classmethod
    def in_folder(cls, folder: str, stem: str) -> Pair:
        """``STEM.pem`` and ``STEM.key`` of a folder."""
        return cls(os.path.join(folder, f"{stem}.pem"), os.path.join(folder, f"{stem}.key"))


def read_chain(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, the first being the file's own; OSError, ValueError."""
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificates(file.read())


def subject_names(path: str) -> list[str]:
    """The names and addresses that a PEM file's certificate is for, none where it
    cannot tell; OSError.
    """
    try:
        extensions = read_chain(path)[0].extensions
        held = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *MALFORMED):
        return []
    addresses = map(str, held.get_values_for_type(x509.IPAddress))
    return [*held.get_values_for_type(x509.DNSName), *addresses]


def read_key(path: str) -> PrivateKey:
    """The private key of a PEM file; OSError, TypeError where it is encrypted, else ValueError."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        key = load_pem_private_key(data, None)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, PrivateKey):
        raise ValueError("a key of this kind cannot serve TLS")  # noqa: TRY004 - it is about data
    return key


def load(pair: Pair) -> LoadedPair | str:
    """The pair, or why there is none that can be used, told of its certificate.

    A file that may not be read is no reason to make another: that raises ``StartError``.
    """
    for path in (pair.certificate, pair.key):
        if not os.path.lexists(path):
            return f"{os.path.basename(path)} is missing"
    try:
        certificate, key = read_chain(pair.certificate)[0], read_key(pair.key)
    except OSError as error:
        raise StartError(f"Cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError):
        return f"{os.path.basename(pair.certificate)} or its key is damaged"
    if not belong_together(certificate, key):
        return f"{os.path.basename(pair.certificate)} does not match its key"
    return LoadedPair(certificate, key)


def belong_together(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether the certificate is for this key."""
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def replace(pair: Pair, certificate: bytes, key: bytes, *, write: Write) -> None:
    """Put a new pair (PEM) in the old one's place.

    ``OSError`` while writing, a full disk, leaves the old pair as it was.
    """
    try:
        write(pair.key + _NEW, key, 0o600)
        write(pair.certificate + _NEW, certificate, 0o644)
    except BaseException:
        _discard_new(pair)
        raise
    atomic_files.rename(pair.key + _NEW, pair.key)
    atomic_files.rename(pair.certificate + _NEW, pair.certificate)


def recover(pair: Pair) -> None:
    """Finish, or undo, the replacement of a pair that a crash interrupted."""
    finished = Pair(pair.certificate + _NEW, pair.key)
    if isinstance(load(finished), LoadedPair):
        atomic_files.rename(finished.certificate, pair.certificate)
    _discard_new(pair)


def _discard_new(pair: Pair) -> None:
    atomic_files.remove(pair.key + _NEW)
    atomic_files.remove(pair.certificate + _NEW)


def check_pair(certificate: str, key: str, now: datetime | None = None) -> list[str]:
    """What is wrong with a user's own ``--cert`` and ``--key``, a sentence each; none is well.

    The certificate's file may go on with its chain. ``now`` is aware, by default the clock's.
    """
    problems: list[str] = []
    leaf = secret = None
    try:
        leaf = read_chain(certificate)[0]
    except OSError as error:
        problems.append(f"--cert {certificate} cannot be read: {error.strerror}.")
    except ValueError:
        problems.append(f"--cert {certificate} is no certificate in PEM format.")
    try:
        secret = read_key(key)
    except OSError as error:
        problems.append(f"--key {key} cannot be read: {error.strerror}.")
    except TypeError:
        problems.append(f"--key {key} is encrypted: give a key that needs no password.")
    except ValueError:
        problems.append(f"--key {key} is no private key in PEM format that can serve TLS.")
    if leaf and leaf.not_valid_after_utc <= (now or datetime.now(UTC)):
        problems.append(f"--cert {certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}.")
    if leaf and secret and not belong_together(leaf, secret):
        problems.append(f"--key {key} does not match --cert {certificate}.")
    return problems
