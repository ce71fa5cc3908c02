"""How clients come to trust a CA: what to type, and what stores it and takes it out again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from glob import glob
from typing import Final

from imgd.client.errors import ClientError

STORES: Final = ("system", "chromium", "firefox")  # what can be installed
CLIENTS: Final = ("docker", "requests", "node", "curl", "java", *STORES)
IN_CONTAINER: Final = "/etc/ssl/imgd-ca-bundle.pem"
CONTAINER_HOST: Final = "host.docker.internal"
NAME: Final = "imgd"
# Python's ssl, requests, curl's library and Node: what a container fetches with is one of them.
VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")

Command = tuple[str, ...]
_FIREFOX: Final = (
    *(".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"),
    *(".config/mozilla/firefox", "Library/Application Support/Firefox/Profiles"),
)


@dataclass(frozen=True, slots=True)
class TrustStore:
    """A store of trusted CAs: what puts a CA into it, what takes it out, and in whose name."""

    install: tuple[Command, ...]
    uninstall: tuple[Command, ...]
    needs_root: bool = False


def docker_options(bundle: str) -> list[str]:
    """Options of ``docker run``, one a line."""
    if re.search(r"[:,\s]", bundle):
        raise ClientError(f"{bundle} has what docker's options cannot: name another by --output")
    return [
        f"-v {bundle}:{IN_CONTAINER}:ro",
        *(f"-e {name}={IN_CONTAINER}" for name in VARIABLES),
        f"--add-host {CONTAINER_HOST}:host-gateway",
    ]


def store(client: str, ca: str, environ: Mapping[str, str]) -> TrustStore:
    """The store of one of ``STORES``; ClientError if this machine has none."""
    home = environ.get("HOME") or os.path.expanduser("~")
    match client:
        case "chromium":
            return _nss_stores([_chromium_folder(home)], ca)
        case "firefox":
            return _nss_stores(_firefox_folders(home, ca), ca)
        case _:
            return _system_store(ca)


def _system_store(ca: str) -> TrustStore:
    if shutil.which("update-ca-certificates", path=_path()):  # Debian, Alpine, openSUSE
        place, update = f"/usr/local/share/ca-certificates/{NAME}.crt", "update-ca-certificates"
        return _copied(ca, place, update)
    if shutil.which("update-ca-trust", path=_path()):  # Fedora
        return _copied(ca, f"/etc/pki/ca-trust/source/anchors/{NAME}.pem", "update-ca-trust")
    if shutil.which("security"):  # macOS
        keychain = "/Library/Keychains/System.keychain"
        add = ("security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", keychain, ca)
        return TrustStore((add,), (("security", "remove-trusted-cert", "-d", ca),), needs_root=True)
    raise ClientError("this system's store is not known here: add the CA by its own tool")


def _copied(ca: str, place: str, update: str) -> TrustStore:
    install = (("install", "-m", "644", ca, place), (update,))
    return TrustStore(install, (("rm", "-f", place), (update,)), needs_root=True)


def _nss_stores(folders: list[str], ca: str) -> TrustStore:
    install: list[Command] = []
    uninstall: list[Command] = []
    for folder in folders:
        certutil = ("certutil", "-d", f"sql:{folder}")
        if not os.path.isdir(folder):
            install.append(("mkdir", "-p", "-m", "700", folder))
        if not os.path.exists(os.path.join(folder, "cert9.db")):
            install.append((*certutil, "-N", "--empty-password"))
        install.append((*certutil, "-A", "-t", "C,,", "-n", NAME, "-i", ca))
        uninstall.append((*certutil, "-D", "-n", NAME))
    return TrustStore(tuple(install), tuple(uninstall))


def _chromium_folder(home: str) -> str:
    of_snap = os.path.join(home, "snap/chromium/current/.pki/nssdb")
    return of_snap if os.path.isdir(of_snap) else os.path.join(home, ".pki/nssdb")


def _firefox_folders(home: str, ca: str) -> list[str]:
    patterns = (os.path.join(home, folder, "*", "cert9.db") for folder in _FIREFOX)
    profiles = sorted(os.path.dirname(path) for pattern in patterns for path in glob(pattern))
    if not profiles:
        raise ClientError(
            f"Firefox has no profile here: start it once, or import {ca} in its settings, under "
            "Privacy & Security, View Certificates, Authorities, Import"
        )
    return profiles


def java_commands(ca: str, folder: str, environ: Mapping[str, str]) -> list[Command]:
    """What makes a copy of Java's store, with the CA in it, in a folder."""
    copy = java_store(folder)
    add = ("-importcert", "-noprompt", "-alias", NAME, "-file", ca)
    return [
        ("cp", "--no-preserve=mode", _java_cacerts(environ), copy),
        ("keytool", *add, "-keystore", copy, "-storepass", "changeit"),
    ]


def java_store(folder: str) -> str:
    return os.path.join(folder, "java-cacerts")


def _java_cacerts(environ: Mapping[str, str]) -> str:
    home = environ.get("JAVA_HOME")
    java = shutil.which("java", path=environ.get("PATH"))
    if not home and java:
        home = os.path.dirname(os.path.dirname(os.path.realpath(java)))
    for below in ("lib/security/cacerts", "jre/lib/security/cacerts"):
        if home and os.path.exists(path := os.path.join(home, below)):
            return path
    raise ClientError("there is no Java here: set JAVA_HOME to the one that is to trust imgd")


def _path() -> str:
    """Where programs are, the administrator's too."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
