"""Whether the fast transports work with the installed Twisted and pyOpenSSL."""

from __future__ import annotations

import OpenSSL

import twisted
from imgd.logs import Logger
from imgd.net import bulk_tls, tcp

_log: Logger = Logger()


def warn_if_slow(*, tls: bool) -> None:
    """Log one line if Twisted's own, slower transports serve, with what the faster ones lack."""
    missing = [*tcp.MISSING, *(bulk_tls.MISSING if tls else ())]
    if missing:
        _log.warn(
            "Connections are slower than they could be: this imgd's fast transports need {names}, "
            "which Twisted {twisted} and pyOpenSSL {pyopenssl} do not have",
            names=", ".join(missing),
            twisted=twisted.__version__,
            pyopenssl=OpenSSL.__version__,
        )
