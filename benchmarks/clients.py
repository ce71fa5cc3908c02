"""Clients for what wrk and curl cannot do, each in a process of its own: prints a report as JSON.

clients.py handshakes HOST PORT PATH SECONDS full|resumed
clients.py kept HOST PORT PATH SECONDS SCHEME-METHOD    over 32 kept connections
clients.py idle HOST PORT PATH COUNT      connects, asks once each, waits for a line, ends
clients.py slow HOST PORT PATH COUNT      asks for a file and reads a little of it now and then
"""

from __future__ import annotations

import json
import os
import resource
import socket
import ssl
import sys
import time

RECEIVE_BUFFER = 16 * 1024  # bytes; a slow reader's, so that what waits waits at the server


def context() -> ssl.SSLContext:
    """A client that verifies nothing: only the server is measured."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    return unverified


def connect(
    host: str,
    port: int,
    tls: ssl.SSLContext,
    *,
    session: ssl.SSLSession | None = None,
    small: bool = False,
) -> ssl.SSLSocket:
    """A TLS connection; ``small`` gives it a small receive buffer."""
    raw = socket.socket()
    raw.settimeout(60)
    if small:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    raw.connect((host, port))
    return tls.wrap_socket(raw, server_hostname="localhost", session=session)


def ask(path: str, connection: str) -> bytes:
    """A request."""
    return f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode()


def read_answer(wrapped: socket.socket) -> None:
    """One whole answer with a Content-Length."""
    head, _, body = wrapped.recv(1 << 16).partition(b"\r\n\r\n")
    while b"ontent-" not in head or not body:
        more = wrapped.recv(1 << 16)
        if not more:
            raise EOFError
        head, _, body = (head + b"\r\n\r\n" + body + more).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    left = length - len(body)
    while left > 0:
        left -= len(wrapped.recv(left))


def handshakes(host: str, port: int, path: str, seconds: float, resumed: bool) -> dict[str, object]:
    """One request for each connection."""
    tls, session, reused, count = context(), None, 0, 0
    request = ask(path, "keep-alive")  # the client closes, as curl does
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        with connect(host, port, tls, session=session) as wrapped:
            wrapped.sendall(request)
            read_answer(wrapped)
            count += 1
            reused += bool(wrapped.session_reused)
            if resumed:
                session = wrapped.session
    return {"count": count, "reused": reused, "seconds": time.monotonic() - begun}


def kept(host: str, port: int, path: str, seconds: float, how: str) -> dict[str, object]:
    """Requests over kept connections, all asked before the first is read. wrk waits for bodies."""
    scheme, _, method = how.partition("-")
    tls = context() if scheme == "https" else None
    opened: list[socket.socket] = []
    for _ in range(32):
        plain = None if tls else socket.create_connection((host, port), timeout=60)
        opened.append(plain or connect(host, port, tls or context()))
    request, count = ask(path, "keep-alive").replace(b"GET", method.encode(), 1), 0
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        for one in opened:
            one.sendall(request)
        for one in opened:
            if method == "HEAD":
                one.recv(1 << 16)
            else:
                read_answer(one)
        count += len(opened)
    return {"count": count, "seconds": time.monotonic() - begun}


def report_and_wait(report: dict[str, object]) -> None:
    """Print the report, and keep the connections until a line comes from standard input."""
    print(json.dumps(report), flush=True)
    sys.stdin.readline()


def idle(host: str, port: int, path: str, count: int) -> None:
    """Connections after one answer each."""
    tls, kept = context(), []
    for _ in range(count):
        wrapped = connect(host, port, tls)
        wrapped.sendall(ask(path, "keep-alive"))
        read_answer(wrapped)
        kept.append(wrapped)
    report_and_wait({"count": len(kept)})


def slow(host: str, port: int, path: str, count: int) -> None:
    """Connections that take 4 kB of a large file in each of three rounds."""
    tls, kept = context(), []
    for _ in range(count):
        wrapped = connect(host, port, tls, small=True)
        wrapped.sendall(ask(path, "keep-alive"))
        kept.append(wrapped)
    for _ in range(3):
        for wrapped in kept:
            wrapped.recv(4096)
        time.sleep(0.5)
    report_and_wait({"count": len(kept)})


def main() -> None:
    """Run the client that the first argument names."""
    os.sched_setaffinity(0, {1})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    work, host, port, path, amount, *more = sys.argv[1:]
    if work == "kept":
        print(json.dumps(kept(host, int(port), path, float(amount), more[0])))
    elif work == "handshakes":
        print(json.dumps(handshakes(host, int(port), path, float(amount), more == ["resumed"])))
    else:
        {"idle": idle, "slow": slow}[work](host, int(port), path, int(amount))


if __name__ == "__main__":
    main()
