"""A page of a folder's listing as a JSON message."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qsl

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import messages
from imgd.core.folder_index import select
from imgd.core.folder_json import listing_message
from imgd.core.listing import Entry, Query, Sort, cursor, parse_query
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
                "skipped": 0,
                "skipped_folders": 0,
            },
        )
        rest = parse_query(dict(parse_qsl(answer["next"].partition("?")[2])))
        self.assertEqual(named(select(contents, rest)), ["c"])
        self.assertIsNone(listing_message(select(contents, rest), rest, "/").next)
        following = listing_message(page, query, "/x%20y/", "").next
        self.assertEqual(following, answer["next"].removeprefix("/x%20y/"))

    def test_dicom_by_its_bytes(self) -> None:
        """DICOM whose name does not say so is DICOM in the list, and sorts among its like."""
        contents = [file("IM0000")._replace(is_dicom=True), file("b.dcm"), file("a"), file("z.txt")]
        query = Query(sort=Sort.KIND, limit=3)
        page = select(contents, query)
        answer = json.loads(messages.encode(listing_message(page, query, "/")))
        self.assertEqual(
            [(e["name"], e["kind"], e["media_type"]) for e in answer["entries"]],
            [
                ("b.dcm", "DICOM", "application/dicom"),
                ("IM0000", "DICOM", "application/dicom"),
                ("a", "File", "application/octet-stream"),
            ],
        )
        self.assertEqual(named(select(contents, replace(query, limit=1))), ["b.dcm"])
        for after in page.entries[:2]:  # a page after either begins with the next
            cut = replace(query, after=cursor(after, Sort.KIND))
            expected = [*named(page)[page.entries.index(after) + 1 :], "z.txt"]
            self.assertEqual(named(select(contents, cut)), expected)

    def test_skipped(self) -> None:
        """What a collection does not serve is counted."""
        page = select([file("a.png")], Query())._replace(skipped=9, skipped_folders=2)
        message = listing_message(page, Query(), "/")
        self.assertEqual((message.skipped, message.skipped_folders), (9, 2))

    @given(entries)
    @cheap
    def test_any_entries(self, contents: list[Entry]) -> None:
        """Every folder can be written as JSON."""
        page = select(contents, Query())
        answer = json.loads(messages.encode(listing_message(page, Query(), "/")))
        self.assertEqual(len(answer["entries"]), len(contents))
