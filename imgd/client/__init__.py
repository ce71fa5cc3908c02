"""The client: loads directories into a running daemon and writes manifests of URLs.

As a library: :func:`connect` gives a :class:`Client`, whose methods return Deferreds of the typed
messages of :mod:`imgd.core.messages`.
"""

from imgd.client.api import Client as Client
from imgd.client.api import connect as connect
from imgd.client.errors import ClientError as ClientError
from imgd.client.errors import ErrorResponse as ErrorResponse
from imgd.client.errors import InvalidResponse as InvalidResponse
from imgd.client.errors import TimedOut as TimedOut
from imgd.client.errors import Unreachable as Unreachable
from imgd.client.errors import Untrusted as Untrusted
