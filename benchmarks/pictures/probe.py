"""Asks in a process of its own, and prints what came as JSON, in seconds and counts by status.

probe.py every HOST PORT PATH SECONDS   over one connection, at this interval, until stdin ends
probe.py once HOST PORT                 for each path that stdin lists, 200 more of them a second
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import threading
import time
from collections import Counter

NEXT = 0.005  # seconds between two clients' first requests


def every(host: str, port: int, path: str, seconds: float) -> None:
    """One request after the other; one that is late delays the next."""
    client = http.client.HTTPConnection(host, port, timeout=60)
    times: list[float] = []
    statuses: Counter[int] = Counter()
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        begun = time.monotonic()
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        times.append(time.monotonic() - begun)
        statuses[answer.status] += 1
        due = max(due + seconds, time.monotonic())
    print(json.dumps({"times": times, "statuses": statuses}))


def once(host: str, port: int) -> None:
    """Each path over a connection of its own; after 503, again when the answer says."""
    statuses: Counter[int] = Counter()

    def ask(path: str) -> None:
        while True:
            client = http.client.HTTPConnection(host, port, timeout=300)
            client.request("GET", path)
            answer = client.getresponse()
            answer.read()
            client.close()
            statuses[answer.status] += 1
            if answer.status != 503:
                return
            time.sleep(float(answer.headers["Retry-After"]))

    threads = [threading.Thread(target=ask, args=(path.strip(),)) for path in sys.stdin]
    for thread in threads:
        thread.start()
        time.sleep(NEXT)
    for thread in threads:
        thread.join()
    print(json.dumps({"statuses": statuses}))


if __name__ == "__main__":
    if sys.argv[1] == "every":
        every(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
    else:
        once(sys.argv[2], int(sys.argv[3]))
