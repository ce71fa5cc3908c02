"""A page of a folder's listing as a JSON message."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import messages
from imgd.core.folder_index import select
from imgd.core.folder_json import listing_message
from imgd.core.listing import Entry, Query, parse_query
from tests.core.test_listing import cheap, entries, file, folder, named


class MessageTests(SynchronousTestCase):
    def test_message(self) -> None:
        """Files and folders with their types, times and URLs; ``next`` is a path that works."""
        contents = [
            folder("a: b"),
            file("bytes\udcff.nii.gz", 5, 1_772_000_000_000_000_000),
            file("c"),
        ]
        query = Query(limit=2)
        page = select(contents, query)
        answer = json.loads(messages.encode(listing_message(page, query, "/x%20y/")))
        self.assertEqual(
            answer,
            {
                "path": "/x%20y/",
                "entries": [
                    {
                        "name": "a: b",
                        "type": "folder",
                        "size": None,
                        "modified": "1970-01-01T00:00:00Z",
                        "media_type": None,
                        "kind": "Folder",
                        "url": "a%3A%20b/",
                    },
                    {
                        "name": "bytes\ufffd.nii.gz",
                        "type": "file",
                        "size": 5,
                        "modified": "2026-02-25T06:13:20Z",
                        "media_type": "application/gzip",
                        "kind": "NIfTI volume",
                        "url": "bytes%FF.nii.gz",
                    },
                ],
                "count": 3,
                "total": 3,
                "next": "/x%20y/?limit=2&after=f0.bytes%25FF.nii.gz&format=json",
            },
        )
        rest = parse_query(dict(parse_qsl(answer["next"].partition("?")[2])))
        self.assertEqual(named(select(contents, rest)), ["c"])
        self.assertIsNone(listing_message(select(contents, rest), rest, "/").next)
        following = listing_message(page, query, "/x%20y/", "").next
        self.assertEqual(following, answer["next"].removeprefix("/x%20y/"))

    @given(entries)
    @cheap
    def test_any_entries(self, contents: list[Entry]) -> None:
        """Every folder can be written as JSON."""
        page = select(contents, Query())
        answer = json.loads(messages.encode(listing_message(page, Query(), "/")))
        self.assertEqual(len(answer["entries"]), len(contents))
