"""A load against a small server of its own."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from imgd.client.discovery import Server
from imgd.client.load_command import LoadCommand
from imgd.client.load_targets import load_targets
from imgd.client.options import CliOptions
from tests.client.fake_imgd import FakeImgd, TestContext

TOKEN = "s3cret-s3cret-s3cret"


class LoadCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.imgd = FakeImgd(self)
        self.folder = self.mktemp()
        self.context = TestContext(self)
        self.server = Server(self.imgd.url, token=TOKEN)
        self.options = CliOptions()

    def load(self, *directories: str, name: str | None = None, output: str = "") -> Deferred[int]:
        wanted = load_targets(directories, self.server, name, output or self.folder)
        loading = LoadCommand(self.context, self.server, self.options)
        return Deferred.fromCoroutine(loading.run(wanted))

    def manifests(self) -> list[Any]:
        found = []
        for path in self.context.printed.splitlines():
            with open(path, encoding="utf-8") as file:
                found.append(json.load(file))
        return found

    async def loaded(self, *directories: str, **more: Any) -> Any:
        """The manifest of a load in which all goes well."""
        self.assertEqual(await self.load(*directories, **more), 0, self.context.remarked)
        return self.manifests()[-1]
