"""The rows of the table: what is measured, which figure is better, and imgd's targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks import loads
from benchmarks.loads import Cost
from benchmarks.servers import Server

STOCK, NGINX = "stock static.File", "nginx"
# Servers that cannot take part in a row; their cells stay empty.
NO_RANGE = ("http.server",)
NEW_CONNECTION = "a new TLS connection each"


class Figure(NamedTuple):
    """One measurement: for the server's CPU time, and for the time on the wall if that says
    something. Memory stands in ``cpu``.
    """

    cpu: float
    wall: float | None = None


@dataclass(frozen=True)
class Target:
    """imgd shall be at least ``least`` times as good as another server, and hopes for ``hoped``."""

    other: str
    least: float
    hoped: float | None = None
    row: str = ""  # the row of the other's figure, if it is not the same


@dataclass(frozen=True)
class Row:
    """``measure`` gives a server's figure in ``unit``; ``less``: a smaller one is better."""

    name: str
    unit: str
    measure: Callable[[Server, float], Figure]
    targets: tuple[Target, ...] = ()
    less: bool = False
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def takes(self, server: Server) -> bool:
        """Whether a server can take part."""
        return server.name not in self.without and (not self.only or server.name in self.only)


def _rate(cost: Cost) -> Figure:
    return Figure(cost.per_cpu_second, cost.per_second)


def rate(path: str, *, tls: bool, script: str = "") -> Callable[[Server, float], Figure]:
    """Requests per second, by wrk."""
    return lambda server, seconds: _rate(
        loads.wrk(server, path, tls=tls, seconds=seconds, script=script)
    )


def kept(path: str, *, tls: bool, method: str = "GET") -> Callable[[Server, float], Figure]:
    """Requests per second, by a client in Python, which is slower and knows HEAD."""
    return lambda server, seconds: _rate(
        loads.kept(server, path, tls=tls, seconds=seconds, method=method)
    )


def connecting(*, resumed: bool) -> Callable[[Server, float], Figure]:
    """Connections with one request each per second."""
    return lambda server, seconds: _rate(
        loads.handshakes(server, "f.jpg", seconds=seconds, resumed=resumed)
    )


def download(path: str, *, tls: bool) -> Callable[[Server, float], Figure]:
    """Seconds for a GB."""

    def measure(server: Server, seconds: float) -> Figure:
        slow = server.name not in ("imgd", NGINX, STOCK, "http.server")
        times = max(2, round(seconds * (3 if slow else 12)))
        cost = loads.download(server, path, tls=tls, times=times)
        return Figure(cost.cpu_per_unit, cost.seconds_per_unit)

    return measure


@contextmanager
def fresh(server: Server) -> Iterator[Server]:
    """Another server of the same kind: memory is counted from its start."""
    assert server.again is not None
    other = server.again()
    try:
        yield other
    finally:
        other.stop()


def idle_memory(count: int) -> Callable[[Server, float], Figure]:
    """kB for each of so many idle connections; the request rate beside them is noted."""

    def measure(server: Server, seconds: float) -> Figure:
        with fresh(server) as other:
            loads.wrk(other, "f.jpg", tls=True, seconds=1)
            alone = loads.wrk(other, "f.jpg", tls=True, seconds=max(1.0, seconds)).per_cpu_second
            with loads.connections(other, "idle", "f.jpg", count) as each:
                beside = loads.wrk(other, "f.jpg", tls=True, seconds=max(1.0, seconds))
        server.notes["beside"] = f"{beside.per_cpu_second / alone:.2f}"
        return Figure(each / 1000)

    return measure


def slow_memory(count: int) -> Callable[[Server, float], Figure]:
    """kB for each of so many slow readers."""

    def measure(server: Server, _seconds: float) -> Figure:
        with fresh(server) as other:
            loads.wrk(other, "f.jpg", tls=True, seconds=1)
            with loads.connections(other, "slow", "g.nii", count) as each:
                return Figure(each / 1000)

    return measure


def rows(*, idle: int, slow: int) -> list[Row]:
    """The table, top to bottom, with so many idle connections and slow readers."""
    return [
        *_small_files("HTTP", (Target(STOCK, 5.0), Target(NGINX, 0.32, 0.5))),
        *_small_files("HTTPS", (Target(STOCK, 3.8), Target(NGINX, 0.5, 0.8))),
        *_large_files(),
        *_connections(),
        Row(
            f"{idle} idle TLS connections",
            "kB each",
            idle_memory(idle),
            less=True,
            without=("aiohttp", "Starlette, uvicorn", "http.server"),
        ),
        Row(
            f"{slow} slow readers of 1 GB, HTTPS",
            "kB each",
            slow_memory(slow),
            less=True,
            without=("http.server",),
        ),
    ]


def _small_files(scheme: str, targets: tuple[Target, ...]) -> Iterator[Row]:
    tls, unit, small = scheme == "HTTPS", "requests/s", "f.jpg"
    yield Row(f"20 kB file, {scheme}", unit, rate(small, tls=tls), targets)
    yield Row(f"200 files in turn, {scheme}", unit, rate(small, tls=tls, script="many.lua"))
    yield Row(f"304, {scheme}", unit, rate(small, tls=tls, script="304.lua"))
    yield Row(f"HEAD, {scheme}", unit, kept(small, tls=tls, method="HEAD"))
    yield Row(f"GET by the client of HEAD, {scheme}", unit, kept(small, tls=tls))


def _large_files() -> Iterator[Row]:
    nginx, stock = Target(NGINX, 1 / 1.25, 1.0), Target(STOCK, 2.0)
    yield Row("128 MB file, HTTP", "s/GB", download("v.nii", tls=False), (nginx,), less=True)
    yield Row("128 MB file, HTTPS", "s/GB", download("v.nii", tls=True), (nginx, stock), less=True)
    yield Row(
        "64 kB ranges of 1 GB, HTTPS",
        "requests/s",
        rate("g.nii", tls=True, script="range.lua"),
        (Target(STOCK, 3.0), Target(NGINX, 0, 0.6)),
        without=NO_RANGE,
    )


def _connections() -> Iterator[Row]:
    yield Row(
        NEW_CONNECTION,
        "connections/s",
        connecting(resumed=False),
        (Target(STOCK, 1.6), Target(NGINX, 0, 0.4)),
    )
    yield Row(
        "the same, resumed",
        "connections/s",
        connecting(resumed=True),
        (Target(STOCK, 2.5, row=NEW_CONNECTION), Target(NGINX, 0, 0.5)),
        only=("imgd", NGINX, "http.server"),
    )
