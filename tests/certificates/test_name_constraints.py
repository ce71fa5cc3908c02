"""The CA vouches for local names alone, and for what its machine was called."""

from __future__ import annotations

import os
import shutil
import subprocess
from ipaddress import ip_network
from unittest import skipUnless

from cryptography import x509

from imgd.certificates import renewal
from imgd.certificates.names import collect
from imgd.errors import StartError
from tests.certificates.folder_case import (
    NOW,
    StateFolderCase,
    alt_names,
    certificate,
    forge,
    read,
    rebuild,
    unlimit,
)

REMEDY = "move ca.pem and ca.key of the state folder away and start imgd again"


class ConstraintTests(StateFolderCase):
    """What a CA vouches for."""

    def constraints_for(self, *names: str, own: tuple[str, ...] = ()) -> x509.NameConstraints:
        self.folder = os.path.abspath(self.mktemp())
        self.ensure(names=collect("localhost", names, own))
        ca = certificate(self.path("ca.pem"))
        extension = ca.extensions.get_extension_for_class(x509.NameConstraints)
        self.assertTrue(extension.critical)
        self.assertIsNone(extension.value.excluded_subtrees)
        return extension.value

    def test_extension(self) -> None:
        """Local names and networks, this machine's names, and the operator's; nothing else."""
        constraints = self.constraints_for(
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
        """Names and addresses that this machine has since are left out of the leaf, and named;
        while running, the operator's too.
        """
        names = collect("localhost", (), ("laptop.example", "198.51.100.9", "10.0.0.9"))
        files = self.ensure(names=names)
        self.assertEqual(files.left_out, ("laptop.example", "198.51.100.9"))
        self.assertEqual(self.ensure(names=names).made, (), "not made again for them")
        given = collect("localhost", ["images.example"], ())
        files = self.ensure(names=given, starting=False)
        self.assertEqual((files.left_out, files.problems), (("images.example",), ()))
        held = alt_names(certificate(self.path("server.pem")))
        self.assertNotIn("laptop.example", held.get_values_for_type(x509.DNSName))

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

    def test_wildcards(self) -> None:
        """A wildcard that clients accept stands in each leaf, and none for ``*.localhost`` does."""
        files = self.ensure(names=collect("localhost", ["*.a.local"], ()))
        for pem, _ in files.pairs:
            dns = alt_names(certificate(pem)).get_values_for_type(x509.DNSName)
            self.assertEqual([name for name in dns if "*" in name], ["*.a.local"])


@skipUnless(shutil.which("openssl"), "openssl is not there")
class OpenSslTests(StateFolderCase):
    real_keys = True

    def verify(self, leaf: str, *how: str) -> str:
        command = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp())), *how]
        command += ["-CAfile", self.path("ca.pem"), self.path(leaf)]
        return subprocess.run(command, capture_output=True, text=True).stderr

    def test_inside(self) -> None:
        """What imgd makes is accepted, by name and by address."""
        renewal.ensure(self.folder, collect("localhost", (), ()), NOW)
        for leaf in ("server.pem", "server-ec.pem"):
            for name in ("localhost", "host.docker.internal"):
                self.assertEqual(self.verify(leaf, "-verify_hostname", name), "")
            for ip in ("127.0.0.1", "::1"):
                self.assertEqual(self.verify(leaf, "-verify_ip", ip), "")

    def forged(self, name: str) -> str:
        forge(self.folder, name, NOW)
        return "forged.pem"

    def test_outside(self) -> None:
        """What somebody else makes with the CA's key for a site of the world is refused."""
        for name in ("example.com", "*.com", "8.8.8.8", "2001:4860::8888"):
            self.assertIn("permitted subtree violation", self.verify(self.forged(name)))
