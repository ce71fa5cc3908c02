"""Certificates and keys as files: reading, judging a pair, replacing it without a gap.

Two files cannot be renamed in one step. A pair is therefore written beside itself first
(``.new``), then its key is renamed, then its certificate: whatever the moment of a crash,
:func:`recover` finds either the old pair, or the new key and the certificate that belongs to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from imgd.errors import StartError
from imgd.host import atomic_files

_NEW: Final = ".new"

# What reading a certificate's extensions raises if they make no sense.
MALFORMED: Final = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

Write = Callable[[str, bytes, int], None]
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey


class LoadedPair(NamedTuple):
    """A certificate and its key, known to belong together."""

    certificate: x509.Certificate
    key: PrivateKey


class PairPaths(NamedTuple):
    """The paths of a certificate, whose chain may follow it in the file, and of its key."""

    certificate: str
    key: str

    @classmethod
    def in_folder(cls, folder: str, stem: str) -> PairPaths:
        """``STEM.pem`` and ``STEM.key`` of a folder."""
        return cls(os.path.join(folder, f"{stem}.pem"), os.path.join(folder, f"{stem}.key"))


def read_chain(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, the leaf first; OSError, ValueError."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:  # whose words are about the inside of a parser
        raise ValueError(f"{os.path.basename(path)} holds no certificate in PEM format") from error


def subject_names(path: str) -> list[str]:
    """The names and addresses that a PEM file's certificate is for, none if they cannot be read;
    OSError.
    """
    try:
        extensions = read_chain(path)[0].extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *MALFORMED):
        return []
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def read_key(path: str) -> PrivateKey:
    """The private key of a PEM file; OSError, TypeError if it is encrypted, else ValueError."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        key = load_pem_private_key(data, None)
    except TypeError as error:
        name = os.path.basename(path)
        raise TypeError(f"{name} is encrypted, and imgd asks for no password") from error
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    except ValueError as error:
        name = os.path.basename(path)
        raise ValueError(f"{name} holds no private key in PEM format") from error
    if not isinstance(key, PrivateKey):
        raise ValueError("a key of this kind cannot serve TLS")  # noqa: TRY004 - it is about data
    return key


def load(paths: PairPaths) -> LoadedPair | str:
    """The pair, or why it cannot be used, with the name of its certificate.

    A file that may not be read is no reason to make another: that raises ``StartError``.
    """
    for path in paths:
        if not os.path.lexists(path):
            return f"{os.path.basename(path)} is missing"
    name = os.path.basename(paths.certificate)
    try:
        certificate, key = read_chain(paths.certificate)[0], read_key(paths.key)
    except OSError as error:
        raise StartError(f"Cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError):
        return f"{name} or its key is damaged"
    if not belong_together(certificate, key):
        return f"{name} does not match its key"
    return LoadedPair(certificate, key)


def belong_together(certificate: x509.Certificate, key: PrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def replace(paths: PairPaths, pair: LoadedPair, *, write: Write) -> None:
    """Put a new pair in the old one's place.

    ``OSError`` while writing, a full disk, leaves the old pair as it was.
    """
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        write(paths.key + _NEW, key, 0o600)
        write(paths.certificate + _NEW, pair.certificate.public_bytes(Encoding.PEM), 0o644)
    except BaseException:
        _discard_new(paths)
        raise
    atomic_files.rename(paths.key + _NEW, paths.key)
    atomic_files.rename(paths.certificate + _NEW, paths.certificate)


def recover(paths: PairPaths) -> None:
    """Finish, or undo, the replacement of a pair that a crash interrupted."""
    half_renamed = PairPaths(paths.certificate + _NEW, paths.key)
    if isinstance(load(half_renamed), LoadedPair):
        atomic_files.rename(half_renamed.certificate, paths.certificate)
    _discard_new(paths)


def _discard_new(paths: PairPaths) -> None:
    atomic_files.remove(paths.key + _NEW)
    atomic_files.remove(paths.certificate + _NEW)
