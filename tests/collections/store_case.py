"""A store in a temporary folder."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.store import Store, StoredCollection
from tests.fakes import log_lines

SCAN = StoredCollection(
    name="current",
    directory="/data/scans",
    recursive=False,
    image_count=3,
    loaded_at=1_700_000_000.25,
    expires_at=1_700_001_800.5,
    timeout_minutes=30,
)
WEEKLY = replace(SCAN, name="weekly", recursive=True, expires_at=None, timeout_minutes=0)


class StoreCase(SynchronousTestCase):
    """A path for a store, and its log."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "catalog.sqlite3")
        self.logged = log_lines(self)

    def open(self, **options: float) -> Store:
        store = Store.open(self.path, **options)
        self.addCleanup(store.close)
        return store

    def sql(self, *statements: str) -> None:
        """Change the file as another program would."""
        other = sqlite3.connect(self.path, isolation_level=None)
        for statement in statements:
            other.execute(statement)
        other.close()
