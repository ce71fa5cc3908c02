"""What is in the certificates that imgd makes."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from ipaddress import ip_address
from unittest import skipUnless

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates.folder_case import NAMES, NOW, StateFolderCase, alt_names, certificate


class ProfileTests(StateFolderCase):
    real_keys = True

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
        assert isinstance(key, rsa.RSAPublicKey)
        self.assertEqual(key.key_size, 2048)
        assert isinstance(curve, ec.EllipticCurvePublicKey)
        self.assertEqual(curve.curve.name, "secp256r1")
        for leaf in (first, second):
            names = alt_names(leaf)
            self.assertEqual(tuple(names.get_values_for_type(x509.DNSName)), NAMES.dns)
            self.assertEqual(
                names.get_values_for_type(x509.IPAddress), [ip_address(ip) for ip in NAMES.ips]
            )

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
