"""Twenty viewers that scroll, while another folder is indexed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import loads
from benchmarks.dicom.inputs import Inputs
from benchmarks.dicom.rows import ACCEPT, Measurement, wrk_paths
from benchmarks.dicom.servers import Client, Web, index, load, uids
from benchmarks.pictures.report import IMGD, Floor, Row
from benchmarks.pictures.rows import percentile, probed
from benchmarks.pictures.servers import calm, imgd
from benchmarks.servers import Server

VIEWERS = 20
PROBE_EVERY = 0.01  # seconds between two requests of the client that measures waits
CLOSING = 10.0  # seconds after which the daemon has closed what its clients closed


class Viewers(Measurement):
    """``VIEWERS`` connections ask for all frames of a series in turn, and for its metadata each
    time, while a large folder is indexed again and again, its files changed; another client asks
    for a file.
    """

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        seconds = self.sizes.load_seconds
        self.frames = Row(f"{VIEWERS} viewers for {seconds:.0f} s beside an index", "frames/s")
        self.p99 = Row("the same, p99 of a 20 kB GET", "ms")
        self.longest = Row("the same, the longest", "ms")
        self.left = Row("left open afterwards", "descriptors", (Floor(plus=0),))
        self.rows = (self.frames, self.p99, self.longest, self.left)

    def measure(self) -> None:
        with imgd(self.work, self.inputs.plain, is_pinned=False) as server:
            load(server, self.inputs.series, "ct")
            index(server, "ct", self.sizes.series)
            load(server, self.inputs.most, "most")
            paths = self._paths(server)
            self._ask(server, paths, 1)  # what is made once is made
            before = resting_descriptors(server)
            with probed(server, "f.bin", PROBE_EVERY) as beside, self._indexing(server):
                cost = self._ask(server, paths, self.sizes.load_seconds)
            self.left.add(IMGD, resting_descriptors(server, before) - before)
        self.frames.add(IMGD, cost.per_second)
        self.p99.add(IMGD, percentile(beside["times"], 99) * 1000)
        self.longest.add(IMGD, max(beside["times"]) * 1000)

    def _ask(self, server: Server, paths: Sequence[str], seconds: float) -> loads.Cost:
        """Every frame, and the metadata, in turn."""
        accept = f"{ACCEPT}, application/dicom+json"
        return wrk_paths(server, self.work, paths, seconds, accept, VIEWERS)

    @staticmethod
    def _paths(server: Server) -> list[str]:
        client, web = Client(server), Web.of(server, "ct")
        study, series, instances = uids(client, web)
        frames = [web.frame(study, series, uid) for uid in sorted(instances)]
        return [web.metadata(study, series), *frames]

    @contextmanager
    def _indexing(self, server: Server) -> Iterator[None]:
        """While the files of the large folder change, and its index is asked for."""
        failures: list[Exception] = []
        over = threading.Event()

        def work() -> None:
            try:
                while not over.is_set():
                    self.inputs.renew(self.inputs.most)
                    index(server, "most", self.sizes.most)
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failures:
            raise failures[0]


def resting_descriptors(server: Server, expected: int = 0) -> int:
    """The descriptors of the daemon once it rests; it may take ``CLOSING`` to have ``expected``."""
    calm(server.process.pid)
    due = time.monotonic() + CLOSING
    while True:
        open_now = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        if open_now <= expected or time.monotonic() > due:
            return open_now
        time.sleep(0.2)
