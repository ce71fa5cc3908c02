"""Kill a daemon right after it acknowledged a change, start it again, and see what is there.

``python -m tests.kill_rounds 100`` does it 100 times and prints how often all was there.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.daemons import PATIENCE, Daemon
from tests.fakes import write

NAMES = ("current", "a", "b")


def start(folder: str) -> Daemon:
    """A daemon over plain HTTP, with everything it writes in ``folder``."""
    documents = os.path.join(folder, "documents")
    os.makedirs(documents, exist_ok=True)
    return Daemon(Path(folder), "--no-tls", "--images-dir", documents)


def send(daemon: Daemon, method: str, path: str, message: object) -> http.client.HTTPConnection:
    """Ask, without waiting for the answer."""
    connection = http.client.HTTPConnection(urlsplit(daemon.url).netloc, timeout=PATIENCE)
    body = None if message is None else json.dumps(message)
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    return connection


def ask(daemon: Daemon, method: str, path: str, message: object = None) -> Any:
    """Ask for JSON, and insist on 200."""
    connection = send(daemon, method, path, message)
    try:
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, (answer.status, body)
    return json.loads(body)


def collections(daemon: Daemon) -> dict[str, Any]:
    """COLLECTION of the contract, by name."""
    return {item["name"]: item for item in ask(daemon, "GET", "/collections")["collections"]}


class Rounds:
    """``run`` kills once; ``problem`` says what was amiss after it, if anything."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.realpath(folder)
        self.acknowledged: dict[str, Any] = {}
        self.number = 0

    def run(self) -> None:
        """Start, see that all is there, change something, and kill in that very moment.

        AssertionError if something is missing. Now and then a change is asked for that has not
        been acknowledged when the kill comes: it may be there or not.
        """
        daemon = start(self.folder)
        try:
            self.check(daemon)
            self.number += 1
            name = NAMES[self.number % 3]
            if self.number % 5 == 4:
                self.unload(daemon, name)
            else:
                self.load(daemon, name)
            if self.number % 2:
                order = {"directory": self.directory("unanswered"), "name": "unanswered"}
                connection = send(daemon, "POST", "/load-directory", order)
                daemon.kill()
                connection.close()
        finally:
            daemon.kill()

    def directory(self, name: str) -> str:
        """A directory of 1 to 4 images."""
        folder = os.path.join(self.folder, f"{name}-{self.number % 4}")
        for image in range(self.number % 4 + 1):
            write(os.path.join(folder, f"{image}.png"))
        return folder

    def load(self, daemon: Daemon, name: str) -> None:
        """Load, with a timer or without; done when it was acknowledged."""
        order: dict[str, object] = {
            "directory": self.directory(name),
            "timeout_minutes": self.number % 3 * 60,
            "recursive": self.number % 2 == 0,
        }
        if name != "current":
            order["name"] = name
        answer = ask(daemon, "POST", "/load-directory", order)
        self.acknowledged[name] = answer["collection"]

    def unload(self, daemon: Daemon, name: str) -> None:
        """Unload, where that is loaded."""
        if self.acknowledged.pop(name, None) is not None:
            ask(daemon, "POST", "/unload", {} if name == "current" else {"name": name})

    def check(self, daemon: Daemon) -> None:
        """All that was acknowledged is there, with the time it had, and it is served."""
        present = collections(daemon)
        present.pop("unanswered", None)
        assert present.keys() == self.acknowledged.keys(), (present, self.acknowledged)
        for name, expected in self.acknowledged.items():
            actual = present[name]
            for key in ("directory", "recursive", "image_count", "loaded_at", "current"):
                assert actual[key] == expected[key], (actual, expected)
            assert actual["available"] is True
            assert _apart(actual["expires_at"], expected["expires_at"]) <= 1.0, (actual, expected)
            listed = ask(daemon, "GET", f"/collections/{name}/images")
            assert listed["count"] == expected["image_count"], (listed, expected)


def _apart(one: str | None, other: str | None) -> float:
    """How many seconds are between two times; they are given in whole seconds, cut."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds())


def main(rounds: int) -> int:
    """So many rounds in a new folder; the number in which nothing was amiss is printed."""
    good = 0
    with tempfile.TemporaryDirectory() as folder:
        killing = Rounds(folder)
        killing.run()
        for number in range(rounds):
            try:
                killing.run()
            except AssertionError as error:
                sys.stderr.write(f"round {number + 1}: {error}\n")
            else:
                good += 1
    sys.stdout.write(f"{good} of {rounds} kills lost nothing that was acknowledged\n")
    return int(good < rounds)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
