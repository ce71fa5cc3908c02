"""The local CA: made once, never replaced, and for local names alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime, timedelta
from ipaddress import ip_network
from unittest import skipUnless

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from imgd.certificates import issuing, renewal
from imgd.certificates.files import Pair, load
from imgd.certificates.names import SubjectAltNames, collect
from imgd.certificates.renewal import CertificateFiles
from imgd.errors import StartError
from imgd.host import atomic_files
from tests.certificates.test_renewal import (
    NAMES,
    NOW,
    Disk,
    StateFolderCase,
    certificate,
    read,
)

REMEDY = "move ca.pem and ca.key of the state folder away and start imgd again"
END = NOW + timedelta(days=3650)


def unlimit(folder: str) -> None:
    """Make the CA of a state folder one without constraints, as imgd 0.1.0 made them."""
    rebuild(folder, None)


def rebuild(folder: str, limits: x509.ExtensionType | None) -> None:
    """Sign the CA of a state folder anew, with other constraints or none."""
    ca = load(Pair.in_folder(folder, "ca"))
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
    """A leaf for this name and the usual ones, by the CA's own key; where it and its key lie."""
    ca = load(Pair.in_folder(folder, "ca"))
    assert not isinstance(ca, str)
    leaf = issuing.make_leaf(ca, issuing.p256_key(), collect(name, (), ()), now)
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair = os.path.join(folder, "forged.pem"), os.path.join(folder, "forged.key")
    for path, data in zip(pair, (leaf.certificate.public_bytes(Encoding.PEM), key), strict=True):
        atomic_files.write_file(path, data)
    return pair


class CaCase(StateFolderCase):
    def ensure(
        self, now: datetime = NOW, names: SubjectAltNames = NAMES, *, starting: bool = True
    ) -> CertificateFiles:
        return renewal.ensure(self.folder, names, now, starting=starting)

    def refused(self, now: datetime = NOW, *, starting: bool = True) -> str:
        with self.assertRaises(StartError) as caught:
            self.ensure(now, starting=starting)
        self.assertNotIn("\n", caught.exception.detail)
        return caught.exception.detail

    def remove(self, *names: str) -> None:
        for name in names:
            os.unlink(self.path(name))

    def assert_kept(self, *problem: str, now: datetime = NOW) -> None:
        """Nothing in the folder changes, at start and later; the leaves serve on, and ``problem``
        is told together with what to do.
        """
        before = self.contents()
        for starting in (True, False):
            files = self.ensure(now, starting=starting)
            self.assertEqual(files.made, ())
            self.assertEqual(self.contents(), before)
            self.assertEqual(len(files.pairs), 2)
            self.assertEqual(len(files.problems), 1, files.problems)
            for part in (*problem, REMEDY):
                self.assertIn(part, files.problems[0])


class NeverReplacedTests(CaCase):
    def test_damaged(self) -> None:
        """A CA that is damaged, or another's, stays as it is, and its leaves serve on."""
        other = os.path.abspath(self.mktemp())
        renewal.ensure(other, NAMES, NOW)
        damages = {
            "ca.pem": [b"nonsense", read(os.path.join(other, "ca.pem"))],
            "ca.key": [b"", read(os.path.join(other, "ca.key")), b"\x00" * 99],
        }
        for name, texts in damages.items():
            for text in texts:
                self.folder = self.copy()
                atomic_files.write_file(self.path(name), text)
                self.assert_kept("ca.pem")

    def test_half_missing(self) -> None:
        """Where one of its two files is gone, the other stays."""
        for name in ("ca.pem", "ca.key"):
            self.folder = self.copy()
            self.remove(name)
            self.assert_kept(f"{name} is missing")

    def test_leaf_in_its_place(self) -> None:
        """A certificate that is no authority does not sign, and stays."""
        shutil.copy(self.path("server.pem"), self.path("ca.pem"))
        shutil.copy(self.path("server.key"), self.path("ca.key"))
        self.assert_kept("not a certificate authority")

    def test_malformed(self) -> None:
        """A CA whose extensions cannot be read does not sign, and stays."""
        odd = x509.UnrecognizedExtension(x509.NameConstraints.oid, b"nonsense")
        rebuild(self.folder, odd)
        self.assert_kept("not a certificate authority")
        self.assertFalse(self.ensure().is_unlimited)

    def test_ended(self) -> None:
        """An ended CA, or a clock that ran ahead, changes nothing: when the clock is right again,
        all is well.
        """
        self.assert_kept("ca.pem ended on 2036-02-27: set the clock", now=END)
        self.assert_kept("ca.pem ended on", now=END + timedelta(days=9000))
        self.assertEqual(self.ensure().problems, ())

    def test_ends_soon(self) -> None:
        """A CA with less than 30 days to live is told, and signs on; no leaf outlives it, and none
        is made again and again because of that.
        """
        late = END - timedelta(days=29)
        self.assertEqual(self.ensure(END - timedelta(days=31)).problems, ())
        ca = read(self.path("ca.pem"))
        files = self.ensure(late, SubjectAltNames(("more.local",), ()))
        self.assertEqual((len(files.made), files.leaf_expires), (2, END))
        for now in (late, END - timedelta(days=1), END - timedelta(minutes=1)):
            files = self.ensure(now, SubjectAltNames(("more.local",), ()), starting=False)
            self.assertEqual(files.made, ())
            self.assertIn("ca.pem ends on 2036-02-27: before that day " + REMEDY, files.problems[0])
        self.assertEqual(read(self.path("ca.pem")), ca)

    def test_leaf_due(self) -> None:
        """A leaf that must be renewed while the CA cannot sign serves on, with the same words."""
        self.remove("ca.key")
        self.assert_kept("ca.key is missing", now=NOW + timedelta(days=300))

    def test_nothing_to_serve_with(self) -> None:
        """Without a leaf and with a CA that cannot sign, one sentence says what to do; with one
        leaf of the two, that one serves.
        """
        self.remove("ca.key", "server.key")
        files = self.ensure()
        self.assertEqual(files.pairs, ((self.path("server-ec.pem"), self.path("server-ec.key")),))
        self.remove("server-ec.pem")
        detail = self.refused()
        self.assertTrue(detail.startswith("There is no certificate to serve with, and ca.key is"))
        self.assertIn(REMEDY, detail)

    def test_unreadable(self) -> None:
        """A CA key that cannot be read is an error naming it: no other CA is made for it."""
        self.remove("ca.key")
        os.mkdir(self.path("ca.key"))
        self.assertIn(self.path("ca.key"), self.refused())

    def test_missing(self) -> None:
        """With both its files gone, another is made at start, and leaves that it signed; while
        running nothing is.
        """
        self.remove("ca.pem", "ca.key")
        files = self.ensure(starting=False)
        self.assertEqual(files.made, ())
        self.assertIn("ca.pem and ca.key are missing: put them back", files.problems[0])
        self.assertFalse(os.path.exists(self.path("ca.pem")))
        files = self.ensure()
        self.assertEqual(files.made[0], "ca.pem (ca.pem is missing)")
        self.assertIn("not signed by the present CA", files.made[1])
        self.assert_nothing_beside()

    def test_folder_vanishes(self) -> None:
        """Where the state folder vanishes under a running daemon, nothing is made."""
        shutil.rmtree(self.folder)
        self.assertIn("ca.pem and ca.key are missing", self.refused(starting=False))
        self.assertFalse(os.path.exists(self.folder))
        os.mkdir(self.folder)
        self.refused(starting=False)
        self.assertEqual(os.listdir(self.folder), [])

    def test_full_disk(self) -> None:
        """A disk without room for a first CA is one sentence."""
        shutil.rmtree(self.folder)
        with self.assertRaises(StartError):
            renewal.ensure(self.folder, NAMES, NOW, write=Disk(0).write)

    def test_while_running(self) -> None:
        """A leaf is renewed while running; temporary files of others are left alone then."""
        atomic_files.write_file(self.path(".imgd-0123456789abcdef.tmp"), b"")
        more = SubjectAltNames((*NAMES.dns, "more.local"), NAMES.ips)
        self.assertEqual(len(self.ensure(names=more, starting=False).made), 2)
        self.assertTrue(os.path.exists(self.path(".imgd-0123456789abcdef.tmp")))


class ConstraintTests(CaCase):
    """What a CA vouches for."""

    def made_for(self, *names: str, own: tuple[str, ...] = ()) -> x509.NameConstraints:
        self.folder = os.path.abspath(self.mktemp())
        self.ensure(names=collect("localhost", names, own))
        ca = certificate(self.path("ca.pem"))
        extension = ca.extensions.get_extension_for_class(x509.NameConstraints)
        self.assertTrue(extension.critical)
        self.assertIsNone(extension.value.excluded_subtrees)
        return extension.value

    def test_extension(self) -> None:
        """Local names and networks, this machine's names, and the operator's; nothing else."""
        constraints = self.made_for(
            *("*.imaging.example", "pacs.example", "203.0.113.7", "a.local"),
            own=("scanner", "scanner.hospital.example", "2001:db8::5", "10.1.2.3"),
        )
        held = [name.value for name in constraints.permitted_subtrees or ()]
        dns = {name for name in held if isinstance(name, str)}
        local = {"localhost", "internal", "local"}
        own = {"scanner", "scanner.hospital.example", "imaging.example", "pacs.example"}
        self.assertEqual(dns, local | own)
        networks = {str(name) for name in held if not isinstance(name, str)}
        private = {"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
        private |= {"169.254.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"}
        self.assertEqual(networks, private | {"203.0.113.7/32", "2001:db8::5/128"})

    def test_given_name(self) -> None:
        """A --tls-name or --host that the CA does not permit ends the start with what to do; one
        that it permits does not.
        """
        for name in ("images.example", "*.example.org", "203.0.113.8", "xlocalhost", "::2"):
            with self.assertRaises(StartError) as caught:
                self.ensure(names=collect("localhost", [name], ()))
            self.assertIn(f"does not permit {name} (--tls-name", caught.exception.detail)
            self.assertIn(REMEDY, caught.exception.detail)
            with self.assertRaises(StartError):
                self.ensure(names=collect(name, (), ()))
        fine = ["images.local", "*.docker.internal", "10.9.9.9", "fd00::1", "a.b.localhost"]
        self.assertEqual(self.ensure(names=collect("localhost", fine, ())).left_out, ())

    def test_machine_that_changed(self) -> None:
        """Names and addresses that this machine has since are left out of the leaf, and told; while
        running, the operator's too.
        """
        names = collect("localhost", (), ("laptop.example", "198.51.100.9", "10.0.0.9"))
        files = self.ensure(names=names)
        self.assertEqual(files.left_out, ("laptop.example", "198.51.100.9"))
        self.assertEqual(self.ensure(names=names).made, (), "not made again for them")
        given = collect("localhost", ["images.example"], ())
        files = self.ensure(names=given, starting=False)
        self.assertEqual((files.left_out, files.problems), (("images.example",), ()))
        held = certificate(self.path("server.pem")).extensions
        san = held.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertNotIn("laptop.example", san.get_values_for_type(x509.DNSName))

    def test_another_authority(self) -> None:
        """Of a CA that the operator made, what it excludes counts, and a kind of names that it does
        not limit is free.
        """
        excluded = [x509.DNSName("docker.internal"), x509.IPAddress(ip_network("::/0"))]
        rebuild(self.folder, x509.NameConstraints(None, excluded))
        own = ("laptop.example", "198.51.100.9", "2001:db8::1")
        files = self.ensure(names=collect("localhost", (), own))
        self.assertEqual(files.left_out, ("host.docker.internal", "2001:db8::1", "::1"))
        self.assertFalse(files.is_unlimited)

    def test_unlimited(self) -> None:
        """A CA that imgd 0.1.0 made, without constraints, is kept, with every name in its leaf."""
        unlimit(self.folder)
        before = read(self.path("ca.pem"))
        files = self.ensure(names=collect("localhost", ["images.example"], ()))
        self.assertTrue(files.is_unlimited)
        self.assertEqual((files.left_out, files.problems), ((), ()))
        self.assertEqual(read(self.path("ca.pem")), before)
        self.folder = self.copy()
        self.assertFalse(self.ensure().is_unlimited)

    def test_broad_wildcards(self) -> None:
        """``*.localhost`` has a leaf of its own, for under constraints Firefox refuses a
        certificate that holds such a wildcard by whatever name it is reached.
        """
        files = self.ensure(names=collect("localhost", ["*.local", "*.a.local"], ()))
        assert files.broad is not None
        held = {}
        for pem, _ in (*files.pairs, files.broad):
            extension = certificate(pem).extensions
            san = extension.get_extension_for_class(x509.SubjectAlternativeName).value
            held[os.path.basename(pem)] = san.get_values_for_type(x509.DNSName)
        self.assertEqual(held.pop("server-wildcard.pem"), ["*.local", "*.localhost"])
        self.assertEqual(len(held), 2)
        for names in held.values():
            self.assertIn("*.a.local", names)
            self.assertNotIn("*.localhost", names)


@skipUnless(shutil.which("openssl"), "openssl is not there")
class OpenSslTests(CaCase):
    def verify(self, leaf: str, *how: str) -> str:
        command = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp())), *how]
        command += ["-CAfile", self.path("ca.pem"), self.path(leaf)]
        return subprocess.run(command, capture_output=True, text=True).stderr

    def test_inside(self) -> None:
        """What imgd makes is accepted, by name and by address."""
        self.ensure(names=collect("localhost", (), ()))
        for leaf in ("server.pem", "server-ec.pem"):
            for name in ("localhost", "host.docker.internal"):
                self.assertEqual(self.verify(leaf, "-verify_hostname", name), "")
            for ip in ("127.0.0.1", "::1"):
                self.assertEqual(self.verify(leaf, "-verify_ip", ip), "")
        self.assertEqual(self.verify("server-wildcard.pem"), "")

    def forged(self, name: str) -> str:
        forge(self.folder, name, NOW)
        return "forged.pem"

    def test_outside(self) -> None:
        """What somebody else makes with the CA's key for a site of the world is refused."""
        for name in ("example.com", "*.com", "8.8.8.8", "2001:4860::8888"):
            self.assertIn("permitted subtree violation", self.verify(self.forged(name)))


class NamesDividedTests(SynchronousTestCase):
    def test_given(self) -> None:
        """What the operator gave is known, in the certificate's own writing."""
        names = collect("10.0.0.1", ["Images.Example."], ("own",))
        self.assertEqual(names.given, {"10.0.0.1", "images.example"})
