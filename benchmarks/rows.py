"""The rows of the table: what is measured, what counts as better, and the floors of imgd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import loads
from benchmarks.loads import Cost
from benchmarks.servers import Server

STOCK, NGINX = "stock static.File", "nginx"
# Who cannot take part, and why; their cells stay empty.
NO_RANGE = ("http.server",)
NEW_CONNECTION = "a new TLS connection each"


@dataclass(frozen=True)
class Floor:
    """imgd against another server: at least ``least`` times as good, and hoped for ``beyond``."""

    other: str
    least: float
    beyond: float | None = None
    row: str = ""  # the other's figure is of this row


@dataclass(frozen=True)
class Row:
    """``measure`` gives a figure for a server, in ``unit``; ``less``: the smaller is better."""

    name: str
    unit: str
    measure: Callable[[Server, float], float]
    floors: tuple[Floor, ...] = ()
    less: bool = False
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    once: bool = False

    def takes(self, server: Server) -> bool:
        """Whether a server can take part."""
        return server.name not in self.without and (not self.only or server.name in self.only)


def rate(path: str, *, tls: bool, script: str = "") -> Callable[[Server, float], float]:
    """Requests for each second of the server's CPU."""
    return lambda server, seconds: (
        loads.wrk(server, path, tls=tls, seconds=seconds, script=script).per_cpu_second
    )


def kept(path: str, *, tls: bool, method: str = "GET") -> Callable[[Server, float], float]:
    """The same by a client in Python, which is slower, and knows HEAD."""
    return lambda server, seconds: (
        loads.kept(server, path, tls=tls, seconds=seconds, method=method).per_cpu_second
    )


@contextmanager
def fresh(server: Server) -> Iterator[Server]:
    """Another server of the same kind: memory is counted from its start."""
    assert server.again is not None
    other = server.again()
    try:
        yield other
    finally:
        other.stop()


def download(path: str, *, tls: bool) -> Callable[[Server, float], float]:
    """CPU seconds for a GB."""

    def measure(server: Server, seconds: float) -> float:
        slow = server.name not in ("imgd", NGINX, STOCK, "http.server")
        times = max(2, round(seconds * (3 if slow else 12)))
        return loads.download(server, path, tls=tls, times=times).cpu_per_unit

    return measure


def connecting(*, resumed: bool) -> Callable[[Server, float], float]:
    """Connections with one request each, for each second of the server's CPU."""

    def measure(server: Server, seconds: float) -> float:
        cost: Cost = loads.handshakes(server, "f.jpg", seconds=seconds, resumed=resumed)
        return cost.per_cpu_second

    return measure


def rows(*, idle: int, slow: int) -> list[Row]:
    """The table, top to bottom; so many idle connections and slow readers."""

    def idle_memory(server: Server, seconds: float) -> float:
        with fresh(server) as other:
            loads.wrk(other, "f.jpg", tls=True, seconds=1)
            alone = loads.wrk(other, "f.jpg", tls=True, seconds=max(1.0, seconds)).per_cpu_second
            with loads.connections(other, "idle", "f.jpg", idle) as each:
                beside = loads.wrk(other, "f.jpg", tls=True, seconds=max(1.0, seconds))
        server.notes["beside"] = f"{beside.per_cpu_second / alone:.2f}"
        return each / 1000

    def slow_memory(server: Server, _seconds: float) -> float:
        with fresh(server) as other:
            loads.wrk(other, "f.jpg", tls=True, seconds=1)
            with loads.connections(other, "slow", "g.nii", slow) as each:
                return each / 1000

    per_second, small = "requests per CPU second", "f.jpg"
    found = []
    for tls, scheme, stock, nginx, hoped in (
        (False, "HTTP", 5.0, 0.32, 0.5),
        (True, "HTTPS", 3.8, 0.5, 0.8),
    ):
        floors = (Floor(STOCK, stock), Floor(NGINX, nginx, hoped))
        found += [
            Row(f"20 kB file, {scheme}", per_second, rate(small, tls=tls), floors),
            Row(
                f"200 files in turn, {scheme}", per_second, rate(small, tls=tls, script="many.lua")
            ),
            Row(f"304, {scheme}", per_second, rate(small, tls=tls, script="304.lua")),
            Row(f"HEAD, {scheme}", per_second, kept(small, tls=tls, method="HEAD")),
            Row(f"GET by the client of HEAD, {scheme}", per_second, kept(small, tls=tls)),
        ]
    both = (Floor(NGINX, 1 / 1.25, 1.0), Floor(STOCK, 2.0))
    found += [
        Row("128 MB file, HTTP", "CPU s/GB", download("v.nii", tls=False), both[:1], less=True),
        Row("128 MB file, HTTPS", "CPU s/GB", download("v.nii", tls=True), both, less=True),
        Row(
            "64 kB ranges of 1 GB, HTTPS",
            per_second,
            rate("g.nii", tls=True, script="range.lua"),
            (Floor(STOCK, 3.0), Floor(NGINX, 0, 0.6)),
            without=NO_RANGE,
        ),
        Row(
            NEW_CONNECTION,
            "connections per CPU second",
            connecting(resumed=False),
            (Floor(STOCK, 1.6), Floor(NGINX, 0, 0.4)),
        ),
        Row(
            "the same, resumed",
            "connections per CPU second",
            connecting(resumed=True),
            (Floor(STOCK, 2.5, row=NEW_CONNECTION), Floor(NGINX, 0, 0.5)),
            only=("imgd", NGINX, "http.server"),
        ),
        Row(
            f"{idle} idle TLS connections",
            "kB each",
            idle_memory,
            less=True,
            once=True,
            without=("aiohttp", "Starlette, uvicorn", "http.server"),
        ),
        Row(
            f"{slow} slow readers of 1 GB, HTTPS",
            "kB each",
            slow_memory,
            less=True,
            once=True,
            without=("http.server",),
        ),
    ]
    return found
