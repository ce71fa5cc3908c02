"""Which CA this machine's imgd has, and a file of the system's CAs with it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from imgd.client import trust
from imgd.client.discovery import origin_of
from imgd.client.errors import ClientError
from imgd.core.urls import Origin
from imgd.host import instance_lock
from imgd.host.atomic_files import write_file
from imgd.settings import SettingsError, find_state_dir

BUNDLE: Final = "ca-bundle.pem"  # in the state folder
SYSTEM_STORES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


@dataclass(frozen=True, slots=True)
class LocalCa:
    """``path`` is of the CA's certificate. ``origin`` is where the daemon serves over TLS, None if
    it does not run.
    """

    path: str
    folder: str
    origin: Origin | None


def find_ca(
    environ: Mapping[str, str], *, state_dir: str | None, ca_file: str | None, cwd: str
) -> LocalCa:
    """The CA of the imgd that runs here, or that ran last; ClientError if there is none."""
    try:
        folder = os.path.abspath(state_dir or find_state_dir(environ, cwd))
    except SettingsError as error:
        raise ClientError(f"{error.detail} (or name the daemon's folder by --state-dir)") from None
    daemon = instance_lock.find(folder)
    origins = [origin_of(url) for url in daemon.urls] if daemon else []
    origin = next((origin for origin in origins if origin.scheme == "https"), None)
    path = os.path.abspath(ca_file or os.path.join(folder, "ca.pem"))
    if ca_file is None and daemon is not None and daemon.ca is None:
        raise ClientError(
            "this imgd made no CA: it serves plain HTTP, or a certificate of your own (--cert), "
            "whose CA --ca FILE names"
        )
    if not os.path.exists(path):
        raise ClientError(f"there is no {path}: start imgd once, or name a CA by --ca FILE")
    return LocalCa(path, folder, origin)


def system_store() -> str | None:
    """The file of the certificates that this machine trusts."""
    own = ssl.get_default_verify_paths().openssl_cafile
    return next((path for path in (*SYSTEM_STORES, own) if path and os.path.isfile(path)), None)


def write_bundle(path: str, sources: Iterable[str]) -> int:
    """Put the certificates of these files, and nothing else of them, into one that all may read;
    returns how many. ClientError if a file has none, or cannot be read or written.
    """
    blocks: dict[bytes, None] = {}
    for source in sources:
        found = trust.certificates(_read(source))
        if not found:
            raise ClientError(f"{source} holds no certificate: give a PEM file")
        blocks.update(dict.fromkeys(found))
    try:
        write_file(path, b"".join(block + b"\n" for block in blocks), mode=0o644)
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}") from None
    return len(blocks)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}") from None
