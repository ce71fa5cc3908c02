"""Eight clients list a folder of 300,000 files: ``python -m benchmarks.lists``.

Together they ask fifty times a second, with changing orders, filters and pages, for 90 seconds, on
loopback alone. Meanwhile ``/``, ``/collections``, another folder and the images of a collection are
asked for, each five times a second. Fails if one of those is not answered 200 within a second.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path

from benchmarks.million import make
from benchmarks.slow import Server, imgd, resident, wait_for

CLIENTS, RATE = 8, 50  # clients, and requests a second of all together
OTHERS = ("/", "/collections", "/other/?format=json", "/collections/other/images?limit=100")
OTHERS_RATE = 5  # requests a second for each of these
SLOWEST = 1.0  # seconds that an answer to these may take
SORTS = ("name", "size", "modified", "kind")
FILTERS = ("", "7", "*99*", "slice_00", "12*.dcm", "")


def queries(client: int) -> Iterator[str]:
    """Listings of the large folder with changing order, filter and page."""
    for number in count(client, CLIENTS + 1):
        order = "&order=desc" if number % 3 == 0 else ""
        limit = (1000, 100, 1000, 10)[number % 4]
        text = f"sort={SORTS[number % 4]}{order}&limit={limit}&filter={FILTERS[number // 4 % 6]}"
        after = f"&after=f0.slice_{number * 7919 % 300_000:07}.dcm" if number % 5 else ""
        as_page = number % 25 == 0
        yield f"/big/?{text}{after}" + ("" if as_page else "&format=json")


class SteadyClient(threading.Thread):
    """Asks at a steady rate over one connection; keeps the time and the status of each answer.

    After a late answer the next request comes when it is due.
    """

    def __init__(
        self, server: Server, paths: Iterator[str], every: float, accept: str = "*/*"
    ) -> None:
        super().__init__(daemon=True)
        self.address = server.url.split("/")[2]
        self.paths, self.every, self.accept = paths, every, accept
        self.times: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.over = threading.Event()

    def run(self) -> None:
        """Ask until ``over`` is set."""
        due = time.monotonic()
        client = http.client.HTTPConnection(self.address, timeout=120)
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.every, time.monotonic() - self.every)
            begun = time.monotonic()
            client.request("GET", next(self.paths), headers={"Accept": self.accept})
            answer = client.getresponse()
            answer.read()
            self.times.append(time.monotonic() - begun)
            self.statuses[answer.status] += 1
        client.close()

    def is_fine(self) -> bool:
        """Whether everything was answered, and in time."""
        return max(self.times) <= SLOWEST and set(self.statuses) == {200}


def load(server: Server, folder: Path, name: str) -> None:
    """Load a folder under a name."""
    client = http.client.HTTPConnection(server.url.split("/")[2], timeout=120)
    body = json.dumps({"directory": str(folder), **({"name": name} if name else {})})
    client.request("POST", "/load-directory", body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    assert answer.status == 200, answer.read()


def row(name: str, clients: list[SteadyClient]) -> str:
    """A row of the table."""
    times = [seconds for client in clients for seconds in client.times]
    counts = sum((client.statuses for client in clients), Counter[int]())
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    median = statistics.median(times) * 1000
    return f"| {name} | {statuses} | {median:.1f} ms | {max(times) * 1000:.0f} ms |"


def main() -> None:
    """The table, and the memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lists", description=__doc__)
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=90)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgd-lists-") as name:
        folder = Path(name)
        (folder / "root").mkdir()
        make(folder / "root" / "big", options.files)
        make(folder / "root" / "other", 1000)
        time.sleep(3)  # folders that have just been written to are read anew each time
        process, server = imgd(folder, 1000, tls=False)
        try:
            wait_for(int(server.url.split(":")[2].rstrip("/")))
            for name_of_collection in ("", "other"):
                load(server, folder / "root" / "other", name_of_collection)
            load(server, folder / "root" / "big", "big")
            measure(server, options.seconds)
        finally:
            process.terminate()
            process.wait(60)


def measure(server: Server, seconds: float) -> None:
    """Ask for so long, and print the report."""
    before = peak = resident(server.pid)
    listing = [
        SteadyClient(server, queries(number), CLIENTS / RATE, "text/html")
        for number in range(CLIENTS)
    ]
    others = {path: SteadyClient(server, cycle([path]), 1 / OTHERS_RATE) for path in OTHERS}
    clients = [*listing, *others.values()]
    for client in clients:
        client.start()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.5)
        peak = max(peak, resident(server.pid))
    for client in clients:
        client.over.set()
    report(listing, others)
    print(f"Memory: {before:.0f} MiB before, {peak:.0f} MiB at most.")
    if late := [path for path, client in others.items() if not client.is_fine()]:
        raise SystemExit(f"Not answered within {SLOWEST} s: {', '.join(late)}")


def report(listing: list[SteadyClient], others: dict[str, SteadyClient]) -> None:
    """The table, once every client has its last answer."""
    for client in (*listing, *others.values()):
        client.join()
    print("| asked | answers | median | worst |")
    print("|---|---|---|---|")
    print(row("the large folder", listing))
    for path, client in others.items():
        print(row(path, [client]))


if __name__ == "__main__":
    main()
