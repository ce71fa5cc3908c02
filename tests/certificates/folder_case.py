"""State folders with a CA and leaves, and what may happen to them."""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.trial.unittest import SynchronousTestCase

from imgd.certificates import issuing, renewal
from imgd.certificates.files import PairPaths, load
from imgd.certificates.issuing import KEYS, SigningKey, p256_key
from imgd.certificates.names import SubjectAltNames, collect, is_address
from imgd.certificates.renewal import CertificateFiles
from imgd.errors import StartError
from imgd.host import atomic_files

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = SubjectAltNames(("host.docker.internal", "localhost"), ("127.0.0.1", "::1"))
STEMS = ("ca", "server", "server-ec")
Keys = Mapping[str, Callable[[], SigningKey]]
# To read an RSA key of 3072 bits takes 120 ms: tests for which its kind means nothing use P-256.
QUICK_KEYS: Keys = dict.fromkeys(KEYS, p256_key)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def certificate(path: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(read(path))


def alt_names(leaf: x509.Certificate) -> x509.SubjectAlternativeName:
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


class Disk:
    """A disk that takes ``room`` files and is full then."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, path: str, data: bytes, mode: int) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        atomic_files.write_file(path, data, mode)


@cache
def template(owner: str = "", *, real_keys: bool = False) -> str:
    """A state folder made at ``NOW``, once for all tests: each ``owner`` has another CA."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    renewal.ensure(folder, NAMES, NOW, keys=KEYS if real_keys else QUICK_KEYS)
    return folder


def other_template() -> str:
    """A state folder with another CA than the tests' own."""
    return template("other")


class StateFolderCase(SynchronousTestCase):
    """Each test has a copy of a state folder made at ``NOW``."""

    real_keys = False  # RSA and P-256, as users have them

    def setUp(self) -> None:
        self.folder = self.copy()

    def copy(self) -> str:
        folder: str = os.path.abspath(self.mktemp())
        shutil.copytree(template(real_keys=self.real_keys), folder)
        return folder

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def contents(self) -> dict[str, bytes]:
        return {name: read(self.path(name)) for name in os.listdir(self.folder)}

    def ensure(
        self,
        now: datetime = NOW,
        names: SubjectAltNames = NAMES,
        *,
        starting: bool = True,
        force_leaf: bool = False,
    ) -> CertificateFiles:
        return renewal.ensure(
            self.folder, names, now, force_leaf=force_leaf, starting=starting, keys=QUICK_KEYS
        )

    def renewed(
        self, names: SubjectAltNames = NAMES, now: datetime = NOW, *, force_leaf: bool = False
    ) -> str:
        """What was made, in one text; the CA must have stayed."""
        before = read(self.path("ca.pem"))
        files = self.ensure(now, names, force_leaf=force_leaf)
        self.assertEqual(read(self.path("ca.pem")), before)
        self.assert_pairs_match()
        self.assert_nothing_beside()
        return "\n".join(files.made)

    def refused(self, now: datetime = NOW, *, starting: bool = True) -> str:
        with self.assertRaises(StartError) as caught:
            self.ensure(now, starting=starting)
        self.assertNotIn("\n", caught.exception.detail)
        return str(caught.exception.detail)

    def assert_pairs_match(self) -> None:
        for stem in STEMS:
            key = load_pem_private_key(read(self.path(f"{stem}.key")), None)
            self.assertEqual(certificate(self.path(f"{stem}.pem")).public_key(), key.public_key())

    def assert_nothing_beside(self) -> None:
        files = sorted(f"{stem}.{kind}" for stem in STEMS for kind in ("pem", "key"))
        self.assertEqual(sorted(os.listdir(self.folder)), files)


def unlimit(folder: str) -> None:
    """Make the CA of a state folder one without constraints, as imgd 0.1.0 made them."""
    rebuild(folder, None)


def rebuild(folder: str, limits: x509.ExtensionType | None) -> None:
    """Sign the CA of a state folder anew, with other constraints or none."""
    ca = load(PairPaths.in_folder(folder, "ca"))
    assert not isinstance(ca, str)
    old = ca.certificate
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), 1)
    builder = builder.not_valid_before(old.not_valid_before_utc)
    builder = builder.not_valid_after(old.not_valid_after_utc)
    for extension in old.extensions:
        if not isinstance(extension.value, x509.NameConstraints):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    if limits is not None:
        builder = builder.add_extension(limits, critical=True)
    made = builder.sign(issuing.signing_key(ca), SHA256())
    atomic_files.write_file(os.path.join(folder, "ca.pem"), made.public_bytes(Encoding.PEM))


def forge(folder: str, name: str, now: datetime) -> tuple[str, str]:
    """A leaf for this name and the usual ones, by the CA's own key: paths of it and of its key."""
    ca = load(PairPaths.in_folder(folder, "ca"))
    assert not isinstance(ca, str)
    usual = collect("localhost", (), ())
    names = (
        replace(usual, ips=(*usual.ips, name))
        if is_address(name)
        else replace(usual, dns=(*usual.dns, name))
    )
    leaf = issuing.make_leaf(ca, p256_key(), names, now)
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair = os.path.join(folder, "forged.pem"), os.path.join(folder, "forged.key")
    for path, data in zip(pair, (leaf.certificate.public_bytes(Encoding.PEM), key), strict=True):
        atomic_files.write_file(path, data)
    return pair
