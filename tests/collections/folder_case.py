"""A temporary folder, and files and links in it."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import write


class FolderCase(SynchronousTestCase):
    """A folder."""

    def setUp(self) -> None:
        self.top = os.path.realpath(self.mktemp())
        os.mkdir(self.top)

    def join(self, *names: str) -> str:
        return os.path.join(self.top, *names)

    def write(self, *names: str) -> None:
        for name in names:
            write(self.join(name))

    def link(self, name: str, target: str) -> None:
        os.symlink(target, self.join(name))
