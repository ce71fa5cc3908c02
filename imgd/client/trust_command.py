"""``imgd trust``: what to type so that a container or a program trusts imgd's CA."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote

from imgd.client import ca_bundle
from imgd.client.ca_bundle import LocalCa, find_ca
from imgd.client.commands import CliContext
from imgd.client.errors import ClientError
from imgd.client.options import CliOptions
from imgd.client.trust_recipes import (
    CONTAINER_HOST,
    Command,
    TrustStore,
    docker_options,
    java_commands,
    java_store,
    store,
)
from imgd.core.urls import Origin, parse_url

Ask = Callable[[CliContext, str], bool]
_NEXT: Final = "docker run $(imgd trust) IMAGE  # imgd itself: twistd -n imgd --host 0.0.0.0"
_SAFE: Final = "/%:@!$&'()*+,;=~-._"  # in a path as it stands in a URL (RFC 3986 section 3.3)
_PACKAGES: Final = {"certutil": "libnss3-tools (Debian) or nss-tools (Fedora)"}


def confirm(context: CliContext, question: str) -> bool:
    """Ask on the terminal. Ctrl-C, and the end of the input, are no."""
    previous = {
        number: signal.signal(number, handler)
        for number, handler in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),  # the reactor would wait for the answer
        )
    }
    try:
        context.err.write(f"{question} [y/N] ")
        context.err.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


async def trust(context: CliContext, options: CliOptions, ask: Ask = confirm) -> int:
    environ = context.environ
    ca = find_ca(environ, state_dir=options.state_dir, ca_file=options.ca, cwd=os.getcwd())
    is_change = options.install or options.uninstall
    client = options.client or ("system" if is_change else "docker")
    if is_change:
        return _change(context, store(client, ca.path, environ), ask, is_removal=options.uninstall)
    for line in _lines(context, client, ca, options):
        context.print(line)
    return 0


def _lines(context: CliContext, client: str, ca: LocalCa, options: CliOptions) -> Iterable[str]:
    """What to type, in lines for stdout."""
    path = shlex.quote(ca.path)
    target = options.url_or_path
    url = None if target is None or client == "docker" else _url(ca, target, None)
    match client:
        case "docker":
            yield from docker_options(_bundle(context, ca, options))
            context.log(_NEXT)
            url = None if target is None else _url(ca, target, CONTAINER_HOST)
        case "requests":
            bundle = shlex.quote(_bundle(context, ca, options))
            yield f"export REQUESTS_CA_BUNDLE={bundle} SSL_CERT_FILE={bundle}"
        case "node":
            yield f"export NODE_EXTRA_CA_CERTS={path}"
        case "curl":
            where = _url(ca, target or "", None) if ca.origin or target else "URL"
            yield f"curl --cacert {path} {where}"
            url = None
        case "java":
            yield from map(shlex.join, java_commands(ca.path, ca.folder, context.environ))
            trusting = f"-Djavax.net.ssl.trustStore={java_store(ca.folder)}"
            yield f"export JAVA_TOOL_OPTIONS={shlex.quote(trusting)}"
        case _:
            chosen = store(client, ca.path, context.environ)
            yield from map(shlex.join, _commands(chosen, is_removal=False))
            context.log(f"imgd trust --install --for {client}  # does it, after asking")
    if url is not None:
        yield url


def _bundle(context: CliContext, ca: LocalCa, options: CliOptions) -> str:
    """Write the bundle, and say what is in it; returns its absolute path."""
    path = os.path.abspath(options.output or os.path.join(ca.folder, ca_bundle.BUNDLE))
    system = ca_bundle.system_store()
    if system is None:
        context.log("this machine has no store of CAs: the bundle trusts imgd alone")
    sources = [source for source in (system, ca.path) if source]
    count = ca_bundle.write_bundle(path, sources)
    context.log(f"{path}: {count} certificates of {' and '.join(sources)}")
    return path


def _url(ca: LocalCa, target: str, host: str | None) -> str:
    """The URL of a file, given as a path or a URL of this server, for a client that knows this
    machine as ``host``.
    """
    parsed = parse_url(target)
    origin = parsed.origin if parsed else ca.origin
    if origin is None:
        raise ClientError("no imgd is running here over TLS: start one, or give a whole URL")
    path = parsed.target if parsed else "/" + quote(target.removeprefix("/"), safe=_SAFE)
    return f"{Origin(origin.scheme, host or origin.host, origin.port)}{path}"


def _change(context: CliContext, chosen: TrustStore, ask: Ask, *, is_removal: bool) -> int:
    """Run a store's commands after asking; 1 if the answer is no, or one of them fails."""
    commands = _commands(chosen, is_removal=is_removal)
    for command in commands:
        context.log(f"  {shlex.join(command)}")
    if not ask(context, "Run this?"):
        context.log("imgd: nothing was changed")
        return 1
    for command in commands:
        _run(command)
        context.print(f"done: {shlex.join(command)}")
    return 0


def _commands(chosen: TrustStore, *, is_removal: bool) -> tuple[Command, ...]:
    """With sudo if they need root, and this is not root."""
    commands = chosen.uninstall if is_removal else chosen.install
    if not chosen.needs_root or not hasattr(os, "geteuid") or os.geteuid() == 0:
        return commands
    return tuple(("sudo", *command) for command in commands)


def _run(command: Command) -> None:
    if shutil.which(command[0]) is None:
        package = _PACKAGES.get(command[0], f"what has {command[0]}")
        raise ClientError(f"{command[0]} is missing: install {package}")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    if done.returncode:
        raise ClientError(f"{shlex.join(command)} failed with status {done.returncode}")
