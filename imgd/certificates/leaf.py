"""The leaf certificates: which there are, and when they must be renewed."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from imgd.certificates.files import MALFORMED, LoadedPair
from imgd.certificates.names import SubjectAltNames

WILDCARD: Final = "server-wildcard"
STEMS: Final = ("server", "server-ec", WILDCARD)


def names_by_stem(names: SubjectAltNames) -> dict[str, SubjectAltNames]:
    """The names of each leaf that there must be, by its files' stem.

    RSA and P-256 hold the same names; top-level wildcards, which those two cannot hold, have a leaf
    of their own (:meth:`SubjectAltNames.split_wildcards`).
    """
    others, wildcards = names.split_wildcards()
    by_stem = {stem: wildcards if stem == WILDCARD else others for stem in STEMS}
    return {stem: held for stem, held in by_stem.items() if held.dns or held.ips}


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
