"""Certificates of a running daemon: renewed or replaced, and used by new connections at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from imgd.certificates.files import PairPaths
from imgd.certificates.local_certificates import LocalCertificates
from imgd.certificates.renewal import CertificateFiles
from imgd.certificates.user_certificates import UserCertificates
from imgd.core import health
from imgd.errors import ImgdError
from imgd.host.health_monitor import HealthMonitor
from imgd.logs import Logger

CHECK_EVERY: Final = 60  # seconds until a certificate that a user's tool renewed is in use

CertificateSource = UserCertificates | LocalCertificates
# Serves new connections with these pairs; StartError if it cannot.
Serve = Callable[[Sequence[PairPaths]], None]


class CertificateWatch:
    """Looks every minute, on another thread, whether new connections need another certificate."""

    log = Logger()

    def __init__(
        self,
        source: CertificateSource,
        serve: Serve,
        run_blocking: Callable[..., Deferred[Any]],
        clock: IReactorTime,
        health_monitor: HealthMonitor,
    ) -> None:
        self._source = source
        self._serve = serve
        self._run_blocking = run_blocking
        self._health_monitor = health_monitor
        self._report(source.problems)
        self._loop = LoopingCall(self.check)
        self._loop.clock = clock

    @property
    def files(self) -> CertificateFiles | None:
        """The local CA's certificates; None if the user's own are served."""
        return self._source.files

    def ca_pem(self) -> bytes | None:
        """The local CA's certificate; None if it cannot be read, or the user's own are served."""
        return self._source.ca_pem

    def start(self) -> None:
        self._loop.start(CHECK_EVERY, now=False)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def check(self) -> Deferred[None]:
        """Check now; a failure is logged, the present certificate stays, and checking goes on."""
        return Deferred.fromCoroutine(self._check())

    async def _check(self) -> None:
        try:
            if await self._run_blocking(self._source.renew):
                self._serve(self._source.pairs)
                self.log.info("New connections use the new certificate")
            self._report(self._source.problems)
        except (ImgdError, OSError) as error:
            self._report([str(error)])
        except Exception:
            self.log.failure("Checking the certificate failed, and goes on")

    def _report(self, problems: Sequence[str]) -> None:
        """Report once that the certificate should have been replaced, and once that it was."""
        if problems:
            self._health_monitor.report(health.CERTIFICATES, detail="; ".join(problems), lasts=True)
        else:
            self._health_monitor.clear(health.CERTIFICATES)
