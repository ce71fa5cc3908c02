"""The manifest as JSON; ``test_load_command`` has it as a load writes it."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.manifest import Manifest, failure_line, file_name
from tests.client.fake_imgd import collection


class Manifests(SynchronousTestCase):
    def test_fields(self) -> None:
        """The file is JSON, one URL a line, whatever stands in directories and reasons."""
        loaded = collection('/data/"ü"\n')
        loaded.expires_at = "2025-01-01T00:30:00Z"
        manifest = Manifest(
            success=False,
            message="Generated",
            collection=loaded,
            server="https://here",
            now=1735689600.0,
            minutes=30,
            links_expire_at="2025-01-02T00:00:00Z",
        )
        failed = [failure_line("https://here/x.png", 'because "of"\tthis\nthing')]
        text = b"".join(manifest.chunks(2, ["https://here/a", "https://here/b"], failed)).decode()
        self.assertIn('[\n    "https://here/a",\n    "https://here/b"\n  ],\n', text)
        content = json.loads(text)
        times = ["timeout_minutes", "auto_unload_at", "time_remaining", "links_expire_at"]
        self.assertEqual(
            list(content),
            [
                *("success", "directory", "timestamp", "message", "count", "image_urls"),
                *(*times, "collection", "server", "failed"),
            ],
        )
        self.assertEqual(content["directory"], '/data/"ü"\n')
        self.assertEqual(content["time_remaining"], "30m 0s")
        reason = 'because "of" this thing'
        self.assertEqual(content["failed"], [{"url": "https://here/x.png", "reason": reason}])

    def test_file_names(self) -> None:
        """What no file system takes, or what turns text around on a terminal, is replaced."""
        for stem, name in (
            ("a b", "a b.json"),
            ("a/b:c\u202e", "a_b_c_.json"),
            ("", "images.json"),
        ):
            self.assertEqual(file_name(stem), name)
        self.assertRegex(file_name("a", 0.0), r"^a_\d{8}_\d{6}\.json$")
