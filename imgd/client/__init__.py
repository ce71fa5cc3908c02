"""The client: loads directories into a running daemon and writes manifests of URLs.

As a library: :func:`connect` gives a :class:`Client`, whose methods return Deferreds of the typed
messages of :mod:`imgd.core.messages`.
"""

from imgd.client.api import Client, connect
from imgd.client.errors import (
    ClientError,
    ErrorResponse,
    InvalidResponse,
    TimedOut,
    Unreachable,
    Untrusted,
)

__all__ = [
    "Client",
    "ClientError",
    "ErrorResponse",
    "InvalidResponse",
    "TimedOut",
    "Unreachable",
    "Untrusted",
    "connect",
]
