"""The certificates of the local CA, as a running daemon keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from imgd.certificates import issuing, renewal
from imgd.certificates.files import PairPaths, read_chain
from imgd.certificates.names import SubjectAltNames
from imgd.certificates.renewal import CertificateFiles
from imgd.logs import Logger

_UNLIMITED: Final = (
    "The CA {path} can vouch for every site in the world to whoever trusts it. To have one that is "
    "limited to this machine and local names, move ca.pem and ca.key away and start imgd again: "
    "every client must then trust the new one"
)
_LEFT_OUT: Final = (
    "The certificate leaves out {names}: the CA permits what was this machine's when it was made. "
    "To have them in, move ca.pem and ca.key away and start imgd again: every client must then "
    "trust the new CA"
)


class LocalCertificates:
    """Made if missing, renewed if due; each name that is left out is logged once."""

    log = Logger()

    def __init__(
        self,
        state_dir: str,
        names: Callable[[], SubjectAltNames],
        *,
        force_leaf: bool,
        keys: renewal.Keys = issuing.KEYS,
    ) -> None:
        self._state_dir = state_dir
        self._names = names
        self._keys = keys
        self._logged: set[str] = set()
        self.files = self._ensure(starting=True, force_leaf=force_leaf)
        if self.files.is_unlimited:
            self.log.warn(_UNLIMITED, path=self.files.ca_pem)

    @property
    def problems(self) -> Sequence[str]:
        """What could not be renewed."""
        return self.files.problems

    @property
    def pairs(self) -> Sequence[PairPaths]:
        """The leaves to serve with."""
        return self.files.pairs

    @property
    def ca_pem(self) -> bytes | None:
        """The CA's certificate, for clients to trust; None if it cannot be read."""
        try:
            return read_chain(self.files.ca_pem)[0].public_bytes(Encoding.PEM)
        except (OSError, ValueError):
            return None

    def renew(self) -> bool:
        """Whether a leaf was due and made anew. Blocks."""
        self.files = self._ensure(starting=False)
        return bool(self.files.made)

    def _ensure(self, *, starting: bool, force_leaf: bool = False) -> CertificateFiles:
        files = renewal.ensure(
            self._state_dir,
            self._names(),
            datetime.now(UTC),
            force_leaf=force_leaf,
            starting=starting,
            keys=self._keys,
        )
        for made in files.made:
            self.log.info("Made the certificate {made}", made=made)
        if names := [name for name in files.left_out if name not in self._logged]:
            self._logged.update(names)
            self.log.warn(_LEFT_OUT, names=", ".join(names))
        return files
