"""The leaf certificates: which there are, and when they must be renewed."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from imgd.certificates.files import MALFORMED, LoadedPair
from imgd.certificates.names import SubjectAltNames

STEMS: Final = ("server", "server-ec")  # RSA and P-256, which hold the same names


def renewal_reason(
    pair: LoadedPair | str, ca: x509.Certificate, names: SubjectAltNames, now: datetime
) -> str | None:
    """Why a leaf must be renewed, None if it need not be. A ``str`` is why there is none."""
    if isinstance(pair, str):
        return pair
    leaf = pair.certificate
    try:
        leaf.verify_directly_issued_by(ca)
        missing = names.missing_from(leaf)
    except (TypeError, InvalidSignature, *MALFORMED):
        return "it is not signed by the present CA"
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begin:
        return f"it is not valid before {begin:%Y-%m-%d}"
    # A new leaf would live no longer than its CA.
    if now >= begin + (end - begin) * 2 / 3 and end < ca.not_valid_after_utc:
        return f"it ends on {end:%Y-%m-%d}"
    return f"it does not cover {', '.join(missing)}" if missing else None
