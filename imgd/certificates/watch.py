"""Certificates of a running daemon: renewed or replaced, and used by new connections at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from imgd.certificates import renewal
from imgd.certificates.files import read_chain
from imgd.certificates.renewal import CertificateFiles, SubjectAltNames
from imgd.core import health
from imgd.errors import ImgdError, StartError
from imgd.host.health_monitor import HealthMonitor
from imgd.logs import Logger
from imgd.net.tls import SwappableContext, build_context

Pairs = Sequence[tuple[str, str]]
CHECK_EVERY: Final = (
    60  # seconds: a certificate that a user's tool renewed is in use a minute later
)
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


class OwnCertificates:
    """The user's ``--cert`` and ``--key``: used again when they change on disk."""

    def __init__(self, cert: str, key: str) -> None:
        self._pair = (cert, key)
        self._seen = self._stamps()
        self._unfit: list[tuple[int, int, int]] | None = None

    made: CertificateFiles | None = None
    broad: tuple[str, str] | None = None
    ca_pem: bytes | None = None
    problems: Sequence[str] = ()

    def pairs(self) -> Pairs:
        """What to serve with."""
        return [self._pair]

    def renewed(self) -> Pairs | None:
        """The pair, where it changed since the last time; None where it did not. Blocks.

        One that is unfit may be half written: StartError says so when the next check finds it still
        the same.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return None
        if problems := renewal.check_pair(*self._pair):
            was_unfit, self._unfit = self._unfit == stamps, stamps
            if was_unfit:
                raise StartError(" ".join(problems))
            return None
        self._seen = stamps
        return self.pairs()

    def _stamps(self) -> list[tuple[int, int, int]]:
        found = (os.stat(path) for path in self._pair)
        return [(st.st_mtime_ns, st.st_size, st.st_ino) for st in found]


class MadeCertificates:
    """imgd's own: made where missing, renewed where due."""

    log = Logger()

    def __init__(
        self, state_dir: str, names: Callable[[], SubjectAltNames], *, force_leaf: bool
    ) -> None:
        self._state_dir = state_dir
        self._names = names
        self._told: set[str] = set()  # names that are left out
        self.files = self._ensure(starting=True, force_leaf=force_leaf)
        if self.files.is_unlimited:
            self.log.warn(_UNLIMITED, path=self.files.ca_pem)

    def _ensure(self, *, starting: bool, force_leaf: bool = False) -> CertificateFiles:
        files = renewal.ensure(
            self._state_dir,
            self._names(),
            datetime.now(UTC),
            force_leaf=force_leaf,
            starting=starting,
        )
        for made in files.made:
            self.log.info("Made the certificate {made}", made=made)
        if news := [name for name in files.left_out if name not in self._told]:
            self._told.update(news)
            self.log.warn(_LEFT_OUT, names=", ".join(news))
        return files

    @property
    def made(self) -> CertificateFiles | None:
        """The files as they are now."""
        return self.files

    @property
    def problems(self) -> Sequence[str]:
        """What could not be renewed."""
        return self.files.problems

    def pairs(self) -> Pairs:
        """What to serve with."""
        return self.files.pairs

    @property
    def broad(self) -> tuple[str, str] | None:
        """What to serve for names that broad wildcards match."""
        return self.files.broad

    @property
    def ca_pem(self) -> bytes | None:
        """The CA's certificate, to be trusted by clients; None where it cannot be read."""
        try:
            return read_chain(self.files.ca_pem)[0].public_bytes(Encoding.PEM)
        except (OSError, ValueError):
            return None

    def renewed(self) -> Pairs | None:
        """The pairs, where one was made anew; None where nothing was due. Blocks."""
        self.files = self._ensure(starting=False)
        return self.pairs() if self.files.made else None


class CertificateWatch:
    """Looks every minute, on another thread, whether new connections need another certificate."""

    log = Logger()

    def __init__(
        self,
        source: OwnCertificates | MadeCertificates,
        run_blocking: Callable[..., Deferred[Any]],
        clock: IReactorTime,
        health_monitor: HealthMonitor | None = None,
    ) -> None:
        self._source = source
        self._run = run_blocking
        self._health_monitor = (
            HealthMonitor(clock.seconds) if health_monitor is None else health_monitor
        )
        self.context = SwappableContext(build_context(source.pairs(), source.broad))
        self._judge(source.problems)
        self._loop = LoopingCall(self.check)
        self._loop.clock = clock

    @property
    def made(self) -> CertificateFiles | None:
        """imgd's own certificates, None where the user's are served."""
        return self._source.made

    def ca_pem(self) -> bytes | None:
        """The local CA's certificate; None where the user's own certificate is served."""
        return self._source.ca_pem

    def start(self) -> None:
        """Check from now on."""
        self._loop.start(CHECK_EVERY, now=False)

    def stop(self) -> None:
        """Check no more."""
        if self._loop.running:
            self._loop.stop()

    def check(self) -> Deferred[None]:
        """Check now; a failure is logged, the present certificate stays, and checking goes on."""
        return Deferred.fromCoroutine(self._check())

    async def _check(self) -> None:
        try:
            pairs = await self._run(self._source.renewed)
            if pairs is not None:
                self.context.swap(build_context(pairs, self._source.broad))
                self.log.info("New connections use the new certificate")
            self._judge(self._source.problems)
        except (ImgdError, OSError) as error:
            self._judge([str(error)])
        except Exception:
            self.log.failure("Checking the certificate failed, and goes on")

    def _judge(self, problems: Sequence[str]) -> None:
        """Tell once that the certificate should have been replaced, and once that it was."""
        if problems:
            self._health_monitor.report(health.CERTIFICATES, detail="; ".join(problems), lasts=True)
        else:
            self._health_monitor.clear(health.CERTIFICATES)
