"""The local CA in the state folder: read and judged, never replaced.

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
from imgd.certificates.files import LoadedPair, PairPaths, load, read_chain
from imgd.errors import StartError

MIN_LIFE: Final = timedelta(days=30)  # a CA that ends sooner is reported
_MAKE_ANOTHER: Final = (
    "move ca.pem and ca.key of the state folder away and start imgd again: it then makes another "
    "CA, which every client must trust"
)
_PUT_BACK: Final = f"put it back as it was, or {_MAKE_ANOTHER}"


@dataclass(frozen=True, slots=True)
class LocalAuthority:
    """The CA: its certificate, None if it cannot be read; what signs leaves, None if it cannot; and
    what to do about what is wrong with it, "" if nothing is.
    """

    certificate: x509.Certificate | None = None
    signer: LoadedPair | None = None
    problem: str = ""


MISSING: Final = LocalAuthority(
    problem=f"ca.pem and ca.key are missing: put them back, or {_MAKE_ANOTHER}"
)


def find(state_dir: str, now: datetime) -> LocalAuthority | None:
    """The CA in a folder, as far as it can be used; None if neither of its files is there.

    A CA that is not valid yet can sign: a clock that is behind is likelier than a CA of the future.
    """
    paths = PairPaths.in_folder(state_dir, "ca")
    if not any(map(os.path.lexists, paths)):
        return None
    pair = load(paths)
    if isinstance(pair, str):
        problem = f"{pair}: {_PUT_BACK}"
        return LocalAuthority(_read(paths), None, problem)
    if not issuing.can_sign(pair):
        problem = f"ca.pem is not a certificate authority: {_PUT_BACK}"
        return LocalAuthority(pair.certificate, None, problem)
    end = pair.certificate.not_valid_after_utc
    if now >= end:
        problem = f"ca.pem ended on {end:%Y-%m-%d}: set the clock, or {_MAKE_ANOTHER}"
        return LocalAuthority(pair.certificate, None, problem)
    problem = f"ca.pem ends on {end:%Y-%m-%d}: before that day {_MAKE_ANOTHER}"
    return LocalAuthority(pair.certificate, pair, problem if now >= end - MIN_LIFE else "")


def not_permitted(state_dir: str, names: Iterable[str]) -> StartError:
    """The error that names which the operator gave cannot be served."""
    return StartError(
        f"The CA in {state_dir} does not permit {', '.join(names)} (--tls-name, --host): leave it "
        f"out, or {_MAKE_ANOTHER}"
    )


def _read(paths: PairPaths) -> x509.Certificate | None:
    try:
        return read_chain(paths.certificate)[0]
    except (OSError, ValueError, StartError):
        return None
