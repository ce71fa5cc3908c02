"""The local CA as it lies in the state folder: found and judged, never replaced.

Its clients trust it, each by a person's hand: another one, made because a disk or a clock failed
once, would lock them all out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from imgd.certificates import issuing
from imgd.certificates.files import LoadedPair, Pair, load, read_chain
from imgd.errors import StartError

CA_MARGIN: Final = timedelta(days=30)  # a CA with less to live is a fault
_ANOTHER: Final = (
    "move ca.pem and ca.key of the state folder away and start imgd again: it then makes another "
    "CA, which every client must trust"
)


@dataclass(frozen=True, slots=True)
class LocalAuthority:
    """The CA: ``signer`` signs leaves, None where it cannot; ``problem`` says what to do about what
    is wrong with it, "" where nothing is. ``found`` is a certificate without its key.
    """

    signer: LoadedPair | None
    problem: str = ""
    found: x509.Certificate | None = None

    @property
    def certificate(self) -> x509.Certificate | None:
        """The CA's certificate, where it can be read."""
        return self.found if self.signer is None else self.signer.certificate


def find(state_dir: str, now: datetime) -> LocalAuthority | None:
    """The CA in a folder, as far as it can be used; None where neither of its files is there.

    One that is not valid yet is well: likelier than a CA of the future is a clock that is behind.
    """
    pair = Pair.in_folder(state_dir, "ca")
    if not any(map(os.path.lexists, (pair.certificate, pair.key))):
        return None
    found = load(pair)
    if isinstance(found, str):
        return LocalAuthority(None, f"{found}: put it back as it was, or {_ANOTHER}", _read(pair))
    if not issuing.can_sign(found):
        why = f"ca.pem is not a certificate authority: put it back as it was, or {_ANOTHER}"
        return LocalAuthority(None, why, found.certificate)
    ends = found.certificate.not_valid_after_utc
    if now >= ends:
        why = f"ca.pem ended on {ends:%Y-%m-%d}: set the clock, or {_ANOTHER}"
        return LocalAuthority(None, why, found.certificate)
    return LocalAuthority(found, _ending(ends) if now >= ends - CA_MARGIN else "")


def missing() -> str:
    """What is wrong where neither file is there any more."""
    return f"ca.pem and ca.key are missing: put them back, or {_ANOTHER}"


def refusal(state_dir: str, names: Iterable[str]) -> str:
    """Why names that the operator gave cannot be served."""
    return (
        f"The CA in {state_dir} does not permit {', '.join(names)} (--tls-name, --host): leave it "
        f"out, or {_ANOTHER}"
    )


def _ending(ends: datetime) -> str:
    return f"ca.pem ends on {ends:%Y-%m-%d}: before that day {_ANOTHER}"


def _read(pair: Pair) -> x509.Certificate | None:
    try:
        return read_chain(pair.certificate)[0]
    except (OSError, ValueError, StartError):
        return None
