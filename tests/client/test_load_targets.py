"""Directories, names and places of manifests."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.discovery import Server
from imgd.client.errors import ClientError
from imgd.client.load_targets import load_targets

HERE = Server("https://localhost:8888")
FAR = Server("https://far.example")


class Targets(SynchronousTestCase):
    def test_names(self) -> None:
        """Several collections are named after their directories, each name once, as allowed."""
        directories = ["/a/day 1", "/b/day 1", "/current", "/", "/.x", "/é", "/" + "n" * 70]
        targets = load_targets(directories, HERE, None, "out")
        names = ["day-1", "day-1-2", "current-2", "root", "x", "-", "n" * 64]
        self.assertEqual([target.name for target in targets], names)

    def test_one(self) -> None:
        """One directory is the current collection unless it is named."""
        for given, name, path in (
            (None, None, os.path.join("out", "a_19700101_000000.json")),
            ("current", None, os.path.join("out", "current.json")),
            ("ct", "ct", os.path.join("out", "ct.json")),
        ):
            [target] = load_targets(["/data/a"], HERE, given, "out")
            self.assertEqual(target.name, name)
            self.assertEqual(len(target.path(0.0) or ""), len(path))
        self.assertIsNone(load_targets(["/data/a"], HERE, None, "-")[0].path(0.0))

    def test_where(self) -> None:
        """A directory that is here is meant from here, if the server is on this machine."""
        folder = self.mktemp()
        os.mkdir(folder)
        near = Server("https://box.example", also=("https://localhost:8888",))
        absolute = os.path.abspath(folder)
        for server, directory in ((HERE, absolute), (near, absolute), (FAR, folder)):
            self.assertEqual(load_targets([folder], server, None, "x")[0].directory, directory)

    def test_refused(self) -> None:
        """A directory that JSON cannot name."""
        self.assertRaises(ClientError, load_targets, ["/a\udcff"], HERE, None, "out")
