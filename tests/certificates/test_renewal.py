"""The local CA and its leaves: what is in them, when they are renewed, what a crash leaves."""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import stat
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from unittest import skipUnless

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from imgd.certificates import renewal
from imgd.certificates.names import SubjectAltNames, collect
from imgd.errors import StartError
from imgd.host import addresses, atomic_files

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = SubjectAltNames(("host.docker.internal", "localhost"), ("127.0.0.1", "::1"))
STEMS = ("ca", "server", "server-ec")


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def certificate(path: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(read(path))


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
def template() -> str:
    """A state folder made at ``NOW``, once for all tests."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    renewal.ensure(folder, NAMES, NOW)
    return folder


class StateFolderCase(SynchronousTestCase):
    """Each test has a copy of a state folder made at ``NOW``."""

    def setUp(self) -> None:
        self.folder = self.copy()

    def copy(self) -> str:
        folder = os.path.abspath(self.mktemp())
        shutil.copytree(template(), folder)
        return folder

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def contents(self) -> dict[str, bytes]:
        return {name: read(self.path(name)) for name in os.listdir(self.folder)}

    def assert_pairs_match(self) -> None:
        for stem in STEMS:
            key = load_pem_private_key(read(self.path(f"{stem}.key")), None)
            self.assertEqual(certificate(self.path(f"{stem}.pem")).public_key(), key.public_key())

    def assert_nothing_beside(self) -> None:
        files = sorted(f"{stem}.{kind}" for stem in STEMS for kind in ("pem", "key"))
        self.assertEqual(sorted(os.listdir(self.folder)), files)


class ProfileTests(StateFolderCase):
    def test_authority(self) -> None:
        """The CA lives ten years, signs leaves alone, and is named after imgd and the machine."""
        ca = certificate(self.path("ca.pem"))
        constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
        self.assertEqual(constraints.value, x509.BasicConstraints(ca=True, path_length=0))
        self.assertTrue(constraints.critical and usage.critical)
        self.assertTrue(usage.value.key_cert_sign and usage.value.crl_sign)
        self.assertFalse(usage.value.digital_signature)
        self.assertEqual(ca.not_valid_after_utc, NOW + timedelta(days=3650))
        self.assertIn("CN=imgd local CA (", ca.subject.rfc4514_string())

    def test_leaves(self) -> None:
        """Both leaves live 365 days from an hour ago, serve TLS, and are signed with SHA-256."""
        ca = certificate(self.path("ca.pem"))
        identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        for name in ("server.pem", "server-ec.pem"):
            leaf = certificate(self.path(name))
            leaf.verify_directly_issued_by(ca)
            self.assertEqual(leaf.not_valid_before_utc, NOW - timedelta(hours=1))
            self.assertEqual(leaf.not_valid_after_utc, NOW + timedelta(days=365))
            self.assertIsInstance(leaf.signature_hash_algorithm, SHA256)
            extensions = leaf.extensions
            purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
            extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            self.assertEqual(list(purposes), [ExtendedKeyUsageOID.SERVER_AUTH])
            self.assertEqual(authority.key_identifier, identifier.digest)
            self.assertFalse(extensions.get_extension_for_class(x509.BasicConstraints).value.ca)

    def test_kinds(self) -> None:
        """One leaf is RSA of 2048 bits, its twin P-256, with the same names."""
        first, second = (
            certificate(self.path("server.pem")),
            certificate(self.path("server-ec.pem")),
        )
        key, curve = first.public_key(), second.public_key()
        self.assertIsInstance(key, rsa.RSAPublicKey)
        self.assertEqual(key.key_size, 2048)
        self.assertIsInstance(curve, ec.EllipticCurvePublicKey)
        self.assertEqual(curve.curve.name, "secp256r1")
        for leaf in (first, second):
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            self.assertEqual(tuple(names.get_values_for_type(x509.DNSName)), NAMES.dns)
            self.assertEqual(
                names.get_values_for_type(x509.IPAddress), [ip_address(ip) for ip in NAMES.ips]
            )

    @skipUnless(os.name == "posix", "modes are POSIX's")
    def test_modes(self) -> None:
        """Keys are their owner's alone, as is the folder."""
        for stem in STEMS:
            self.assertEqual(stat.S_IMODE(os.stat(self.path(f"{stem}.key")).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(template()).st_mode), 0o700)

    def test_report(self) -> None:
        """What is told: paths, the CA's fingerprint as browsers show it, expiry, nothing made."""
        files = renewal.ensure(self.folder, NAMES, NOW)
        self.assertEqual(files.made, ())
        self.assertEqual(files.problems, ())
        self.assertEqual(files.ca_pem, self.path("ca.pem"))
        self.assertEqual(files.pairs[1], (self.path("server-ec.pem"), self.path("server-ec.key")))
        self.assertEqual(files.leaf_expires, NOW + timedelta(days=365))
        digest = certificate(files.ca_pem).fingerprint(SHA256()).hex().upper()
        self.assertEqual(files.ca_fingerprint.replace(":", ""), digest)
        self.assertRegex(files.ca_fingerprint, r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$")

    @skipUnless(shutil.which("openssl"), "openssl is not there")
    def test_strict(self) -> None:
        """OpenSSL's strict verification accepts both leaves."""
        for leaf in ("server.pem", "server-ec.pem"):
            command = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp()))]
            command += ["-purpose", "sslserver", "-verify_ip", "127.0.0.1"]
            ended = subprocess.run(
                [*command, "-CAfile", self.path("ca.pem"), self.path(leaf)], capture_output=True
            )
            self.assertEqual(ended.returncode, 0, ended.stderr)


class RenewalTests(StateFolderCase):
    def renewed(self, names: SubjectAltNames, now: datetime, **options: bool) -> str:
        """What was made, in one text; the CA must have stayed."""
        before = read(self.path("ca.pem"))
        files = renewal.ensure(self.folder, names, now, **options)
        self.assertEqual(read(self.path("ca.pem")), before)
        self.assert_pairs_match()
        self.assert_nothing_beside()
        return "\n".join(files.made)

    def test_nothing_due(self) -> None:
        """A start with everything in order changes no file."""
        before = self.contents()
        self.assertEqual(self.renewed(NAMES, NOW + timedelta(days=200)), "")
        self.assertEqual(self.contents(), before)

    def test_two_thirds(self) -> None:
        """A leaf past two thirds of its life is renewed, one just before is not."""
        turn = NOW - timedelta(hours=1) + (timedelta(days=365, hours=1)) * 2 / 3
        leaf = self.path("server.pem")
        self.assertIsNone(renewal.due(leaf, NAMES, turn - timedelta(seconds=2)))
        self.assertIn("2027-03-01", renewal.due(leaf, NAMES, turn) or "")
        made = self.renewed(NAMES, turn)
        self.assertIn("server.pem (", made)
        self.assertIn("server-ec.pem (", made)
        self.assertIsNone(renewal.due(leaf, NAMES, turn))

    def test_new_name(self) -> None:
        """A name that the leaf lacks renews it, and is said; one name fewer does not."""
        more = SubjectAltNames((*NAMES.dns, "scanner.local"), (*NAMES.ips, "10.1.2.3"))
        self.assertIn("does not cover scanner.local, 10.1.2.3", self.renewed(more, NOW))
        self.assertEqual(self.renewed(NAMES, NOW), "")

    def test_forced(self) -> None:
        """A leaf that is asked for is made, with the CA that there is."""
        self.assertIn("asked for", self.renewed(NAMES, NOW, force_leaf=True))

    def test_clock_behind(self) -> None:
        """A leaf from the future is renewed, the CA is not: its clients trust it already."""
        self.assertIn("not valid before", self.renewed(NAMES, NOW - timedelta(days=9)))

    def test_damaged_leaf(self) -> None:
        """A leaf or key that is no PEM, missing or another's is made anew."""
        foreign = read(self.path("ca.key"))
        for name in ("server.pem", "server.key", "server-ec.key"):
            for damage in (b"\x00" * 64, foreign):
                with open(self.path(name), "wb") as file:
                    file.write(damage)
                self.assertIn("server", self.renewed(NAMES, NOW))
            os.unlink(self.path(name))
            self.assertIn("is missing", self.renewed(NAMES, NOW))

    def test_due_without_a_leaf(self) -> None:
        """A leaf that is gone or damaged is due."""
        self.assertIn("cannot be read", renewal.due(self.path("none.pem"), NAMES, NOW) or "")
        self.assertIn("cannot be read", renewal.due(self.path("ca.key"), NAMES, NOW) or "")


class CrashTests(StateFolderCase):
    """Each moment at which the replacement of a pair can be cut short, and the start after it."""

    def setUp(self) -> None:
        super().setUp()
        newer = self.copy()
        renewal.ensure(newer, NAMES, NOW, force_leaf=True)
        self.new = {name: read(os.path.join(newer, name)) for name in os.listdir(newer)}
        self.old = self.contents()

    def put(self, name: str, data: bytes) -> None:
        atomic_files.write_file(self.path(name), data)

    def assert_recovers(self, expected: dict[str, bytes]) -> None:
        files = renewal.ensure(self.folder, NAMES, NOW)
        self.assertEqual(files.made, ())
        self.assertEqual(self.contents(), expected)

    def test_while_writing(self) -> None:
        """A crash in the middle of the first file leaves the old pair, and no half of a key."""
        self.put(".imgd-0123456789abcdef.tmp", self.new["server.key"][:99])
        self.assert_recovers(self.old)

    def test_after_the_key(self) -> None:
        """A crash with only the new key written leaves the old pair."""
        self.put("server.key.new", self.new["server.key"])
        self.assert_recovers(self.old)

    def test_after_both(self) -> None:
        """A crash before the first rename leaves the old pair."""
        self.put("server.key.new", self.new["server.key"])
        self.put("server.pem.new", self.new["server.pem"])
        self.assert_recovers(self.old)

    def test_between_the_renames(self) -> None:
        """A crash between the renames is finished: the new pair serves."""
        self.put("server.key", self.new["server.key"])
        self.put("server.pem.new", self.new["server.pem"])
        wanted = {"server.key": self.new["server.key"], "server.pem": self.new["server.pem"]}
        self.assert_recovers({**self.old, **wanted})

    def test_authority_between_the_renames(self) -> None:
        """The same for the CA: the one whose key is in place is the one that signs."""
        other = os.path.abspath(self.mktemp())
        renewal.ensure(other, NAMES, NOW)
        self.put("ca.key", read(os.path.join(other, "ca.key")))
        self.put("ca.pem.new", read(os.path.join(other, "ca.pem")))
        files = renewal.ensure(self.folder, NAMES, NOW)
        self.assertEqual(read(files.ca_pem), read(os.path.join(other, "ca.pem")))
        self.assertEqual(len(files.made), 2)
        self.assert_pairs_match()
        self.assert_nothing_beside()

    def test_authority_set_aside(self) -> None:
        """A crash after an old CA went aside and before the new one came: another is made."""
        for kind in ("pem", "key"):
            os.rename(self.path(f"ca.{kind}"), self.path(f"ca.{kind}.expired-1"))
            self.put(f"ca.{kind}.new", self.new[f"ca.{kind}"])
        files = renewal.ensure(self.folder, NAMES, NOW)
        self.assertEqual(len(files.made), 3)
        self.assert_pairs_match()


class FullDiskTests(StateFolderCase):
    def test_leaf(self) -> None:
        """Wherever the disk fills up, a renewal leaves pairs that match, and says what is not."""
        for room in range(4):
            self.folder = self.copy()
            before = self.contents()
            files = renewal.ensure(self.folder, NAMES, NOW, force_leaf=True, write=Disk(room).write)
            self.assertEqual(len(files.made), room // 2)
            self.assertEqual(len(files.problems), 2 - room // 2)
            self.assertIn("(asked for): No space left on device", files.problems[-1])
            self.assertEqual(read(self.path("server.pem")) == before["server.pem"], room < 2)
            self.assertEqual(read(self.path("server-ec.pem")), before["server-ec.pem"])
            self.assert_pairs_match()
            self.assert_nothing_beside()

    def test_first_start(self) -> None:
        """With no pair to stay with, a full disk is one clear error, and nothing half-made."""
        folder = self.mktemp()
        with self.assertRaises(StartError) as caught:
            renewal.ensure(folder, NAMES, NOW, write=Disk(1).write)
        self.assertEqual(
            caught.exception.detail,
            f"Cannot keep certificates in {folder}: No space left on device",
        )
        self.assertEqual(os.listdir(folder), [])


class NamesTests(SynchronousTestCase):
    def test_always(self) -> None:
        """Every leaf is for the loopback names and those by which containers reach their host."""
        names = collect("localhost", (), ())
        self.assertEqual(
            names.dns,
            ("*.localhost", "host.containers.internal", "host.docker.internal", "localhost"),
        )
        self.assertEqual(names.ips, ("127.0.0.1", "::1"))

    def test_machine(self) -> None:
        """This machine's own names and addresses are in."""
        names = renewal.names_wanted("localhost", ())
        self.assertLessEqual(
            {n.lower() for n in addresses.machine_names()}, {*names.dns, *names.ips}
        )
        self.assertLessEqual(set(addresses.machine_addresses()), set(names.ips))

    def test_wildcard_addresses(self) -> None:
        """An unspecified address names no machine, wherever it comes from."""
        for host in ("0.0.0.0", "::", "[::]", ""):
            self.assertEqual(collect(host, (), ("0.0.0.0",)), collect("localhost", (), ()))

    def test_given(self) -> None:
        """Names are given in any writing; the certificate has one."""
        table = {
            "Scanner.Example.ORG.": "scanner.example.org",
            "bücher.example": "xn--bcher-kva.example",
            "*.imaging.example": "*.imaging.example",
            "pacs_1": "pacs_1",
            "3t.example": "3t.example",
            "[2001:DB8::0:1]": "2001:db8::1",
            "fe80::1%eth0": "fe80::1",
            "10.0.0.7": "10.0.0.7",
        }
        for given, wanted in table.items():
            names = collect("localhost", [given], ())
            self.assertIn(wanted, (*names.dns, *names.ips))
            self.assertEqual(collect(given, (), ()), names)

    def test_bad(self) -> None:
        """What no certificate can hold is an error naming it, from a user, and ignored from
        the machine.
        """
        bad = ("", " ", "a b", "-a", "a-", "a..b", "300.1.1.1", "x" * 64, "a." * 127 + "ab")
        for name in (*bad, "https://a", "a:8888", "a/b", "*", "a.*.b", "\udcff", "☃.-x"):
            with self.assertRaises(StartError) as caught:
                collect("localhost", [name], ())
            self.assertIn(f"--tls-name {name!r}", caught.exception.detail)
            self.assertEqual(collect("localhost", (), [name]), collect("localhost", (), ()))
        with self.assertRaises(StartError) as caught:
            collect("a b", (), ())
        self.assertIn("--host 'a b'", caught.exception.detail)


class OwnPairTests(StateFolderCase):
    def check(self, cert: str, key: str, now: datetime = NOW) -> list[str]:
        return renewal.check_pair(self.path(cert), self.path(key), now)

    def test_good(self) -> None:
        """A pair that matches is well, alone, with a chain, and with both in one file."""
        with open(self.path("chain.pem"), "wb") as file:
            file.write(read(self.path("server.pem")) + read(self.path("ca.pem")))
            file.write(read(self.path("server.key")))
        for cert in ("server.pem", "chain.pem"):
            for key in ("server.key", "chain.pem"):
                self.assertEqual(self.check(cert, key), [])
        self.assertEqual(self.check("server-ec.pem", "server-ec.key"), [])

    def test_unreadable(self) -> None:
        """Files that are missing or no PEM are told together, each by its setting and path."""
        problems = self.check("none.pem", "server.pem")
        self.assertIn(f"--cert {self.path('none.pem')} cannot be read: No such file", problems[0])
        self.assertIn(f"--key {self.path('server.pem')} is no private key", problems[1])
        problems = self.check("server.key", "none.key")
        self.assertIn(f"--cert {self.path('server.key')} is no certificate", problems[0])
        self.assertIn(f"--key {self.path('none.key')} cannot be read", problems[1])

    def test_mismatch(self) -> None:
        """A key of another certificate is told."""
        (problem,) = self.check("server.pem", "server-ec.key")
        self.assertIn("does not match --cert", problem)

    def test_expired(self) -> None:
        """A certificate that has expired is told with its day, by the clock if by none other."""
        (problem,) = self.check("server.pem", "server.key", NOW + timedelta(days=365))
        self.assertIn("expired on 2027-03-01", problem)
        past = os.path.abspath(self.mktemp())
        renewal.ensure(past, NAMES, datetime(2001, 1, 1, tzinfo=UTC))
        pair = os.path.join(past, "server.pem"), os.path.join(past, "server.key")
        self.assertIn("expired on 2002-01-01", renewal.check_pair(*pair)[0])

    def test_encrypted(self) -> None:
        """A key under a password is told; nothing asks for it."""
        key = load_pem_private_key(read(self.path("server.key")), None)
        locked = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        atomic_files.write_file(self.path("locked.key"), locked)
        (problem,) = self.check("server.pem", "locked.key")
        self.assertIn(f"--key {self.path('locked.key')} is encrypted", problem)
