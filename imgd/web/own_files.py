"""What imgd has of its own: style, icons, its description, the CA's certificate, robots.txt."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert
from typing import Any, Final

from imgd.core import paths
from imgd.errors import NotFound
from imgd.web import niivue, pages
from imgd.web.endpoint import Reply, respond, respond_page
from imgd.web.request import Request

# What browsers and robots ask every server for. A file of that name in the document root is sent
# instead: it may appear at any time, so that no cache may answer for it.
_WELL_KNOWN: Final = ("favicon.ico", "robots.txt")
_FOR_AN_HOUR: Final = b"max-age=3600"


def own_files(ca_pem: Callable[[], bytes | None], bundle: niivue.NiiVue | None = None) -> Reply:
    """``/-/NAME``: imgd's own files, the certificate of its CA, a page about that, and NiiVue.

    ``ca_pem`` gives the certificate, None if imgd made none.
    """

    def answer(request: Request) -> Coroutine[Any, Any, None] | None:
        name = paths.decode(request.route.below or b"")
        if name == niivue.PATH and bundle is not None:
            return bundle.send(request)
        if name in pages.ASSETS:
            is_versioned = request.uri.partition(b"?")[2] == pages.EDITION.encode("ascii")
            _send_asset(request, name, niivue.FOREVER if is_versioned else _FOR_AN_HOUR)
        elif name in ("ca.pem", "trust") and (pem := ca_pem()) is not None:
            _send_certificate(request, pem) if name == "ca.pem" else _send_instructions(
                request, pem
            )
        else:
            raise NotFound
        return None

    return Reply(answer, deep=True)


def send_well_known(request: Request) -> bool:
    """Whether imgd has a file of its own for this path of the document root; then it is sent."""
    name = paths.decode(request.path[1:])
    if name not in _WELL_KNOWN:
        return False
    _send_asset(request, name, request.cache_control)
    return True


def _send_asset(request: Request, name: str, cache_control: bytes) -> None:
    media_type, body = pages.ASSETS[name]
    request.setHeader(b"Cache-Control", cache_control)
    respond(request, body, media_type.encode("ascii"))


def _send_certificate(request: Request, pem: bytes) -> None:
    """As a type that Firefox, iOS and Android offer to import. Not as an attachment: Firefox would
    only save it.
    """
    request.setHeader(b"Content-Disposition", b'inline; filename="imgd-ca.pem"')
    respond(request, pem, b"application/x-x509-ca-cert")


def _send_instructions(request: Request, pem: bytes) -> None:
    digest = sha256(PEM_cert_to_DER_cert(pem.decode("ascii"))).digest()
    respond_page(request, pages.trust_page(digest.hex(":").upper()))
