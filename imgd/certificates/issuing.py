"""Making X.509 certificates, such as Python's VERIFY_X509_STRICT, Node and browsers accept.

The profile is RFC 5280's: critical basicConstraints and keyUsage, and key identifiers by which an
issuer is found. Nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from imgd.certificates import name_constraints
from imgd.certificates.files import MALFORMED, LoadedPair
from imgd.certificates.names import SubjectAltNames
from imgd.host import addresses

CA_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=365)  # Apple refuses more than 825 days, whoever signed
BACKDATED: Final = timedelta(hours=1)  # for clients whose clock is behind
_COMMON_NAME_LENGTH: Final = 64  # RFC 5280, ub-common-name

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def p256_key() -> SigningKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int) -> SigningKey:
    return rsa.generate_private_key(65537, bits)


# The key of each pair, by its files' stem. Every client takes RSA: 3072 bits for ten years, as 2048
# are not advised beyond 2030 (NIST SP 800-57, table 4). A handshake with P-256 costs half as much.
KEYS: Final[Mapping[str, Callable[[], SigningKey]]] = {
    "ca": partial(rsa_key, 3072),
    "server": partial(rsa_key, 2048),
    "server-ec": p256_key,
}


def make_ca(key: SigningKey, names: SubjectAltNames, now: datetime) -> LoadedPair:
    """A certificate authority for leaves alone, named after this machine; ten years from ``now``.

    Who has its key can vouch for local names and ``names``, and for no other site.
    """
    subject = _named(f"imgd local CA ({addresses.machine_name() or 'localhost'})")
    builder = _builder(subject, subject, key, now, now + CA_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
    builder = builder.add_extension(name_constraints.permitting(names), critical=True)
    return LoadedPair(builder.sign(key, SHA256()), key)


def make_leaf(ca: LoadedPair, key: SigningKey, names: SubjectAltNames, now: datetime) -> LoadedPair:
    """A server's certificate for ``names``: a year from ``now``, never longer than its CA."""
    issuer = ca.certificate
    end = min(now + LEAF_LIFE, issuer.not_valid_after_utc)
    server_auth = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = _builder(_named("imgd"), issuer.subject, key, now, end)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
    builder = builder.add_extension(_leaf_usage(key), critical=True)
    builder = builder.add_extension(server_auth, critical=False)
    builder = builder.add_extension(_issuer_identifier(issuer), critical=False)
    builder = builder.add_extension(
        x509.SubjectAlternativeName(names.general_names()), critical=False
    )
    return LoadedPair(builder.sign(signing_key(ca), SHA256()), key)


def can_sign(ca: LoadedPair) -> bool:
    """Whether a pair is an authority's, with a key of a kind that can sign."""
    try:
        extensions = ca.certificate.extensions
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        name_constraints.constraints_of(ca.certificate)
    except (x509.ExtensionNotFound, *MALFORMED):
        return False
    return constraints.value.ca and isinstance(ca.key, SigningKey)


def signing_key(ca: LoadedPair) -> SigningKey:
    """The key of an authority that :func:`can_sign`."""
    if not isinstance(ca.key, SigningKey):
        raise TypeError("the authority's key cannot sign")
    return ca.key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: SigningKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _issuer_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_COMMON_NAME_LENGTH])])


def _leaf_usage(key: SigningKey) -> x509.KeyUsage:
    """keyEncipherment is for RSA keys; RFC 8813 forbids it for those of elliptic curves."""
    if isinstance(key, rsa.RSAPrivateKey):
        return _key_usage("digital_signature", "key_encipherment")
    return _key_usage("digital_signature")


def _key_usage(*bits: str) -> x509.KeyUsage:
    """The extension with these bits set (RFC 5280 section 4.2.1.3)."""
    all_bits = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: bit in bits for bit in all_bits})
