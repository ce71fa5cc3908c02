"""Bodies of requests: what is decoded, and what the error says of what is not."""

from __future__ import annotations

from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import json_body, messages
from imgd.core.messages import LoadRequest, UnloadRequest
from imgd.errors import BadRequest


class Made(Struct):
    """A message whose check fails with a text of its own, as a msgspec of other wording would."""

    text: str

    def __post_init__(self) -> None:
        raise ValueError(self.text)


class DecodeTests(SynchronousTestCase):
    """What a body may contain."""

    def detail(self, body: bytes, kind: type = LoadRequest) -> str:
        with self.assertRaises(BadRequest) as caught:
            json_body.decode(body, kind)
        detail: str = caught.exception.detail
        return detail

    def test_load(self) -> None:
        """A load names its directory; the rest has defaults, and unknown fields are ignored."""
        request = json_body.decode(b'{"directory": "/a", "more": [1]}', LoadRequest)
        self.assertEqual(request.directory_or_path, "/a")
        self.assertEqual(
            (request.timeout_minutes, request.name, request.recursive), (None, None, False)
        )
        self.assertEqual(json_body.decode(b'{"path": "~/b"}', LoadRequest).directory_or_path, "~/b")
        both = json_body.decode(b'{"path": "/b", "directory": "/a"}', LoadRequest)
        self.assertEqual(both.directory_or_path, "/a")

    def test_no_directory(self) -> None:
        """The error for a load without a directory, or with an impossible one, names the field."""
        for body in (
            b"{}",
            b'{"directory": ""}',
            b'{"path": " "}',
            b'{"directory": "", "path": "/a"}',
            b'{"directory": "a\\u0000b"}',
        ):
            request = json_body.decode(body, LoadRequest)
            error = self.assertRaises(BadRequest, getattr, request, "directory_or_path")
            self.assertIn("'directory'", error.detail)

    def test_wrong_shape_names_the_field(self) -> None:
        """The error for a field of a wrong type names it, and the type that was expected."""
        for body, field in (
            (b'{"directory": 5}', "directory"),
            (b'{"directory": null}', "directory"),
            (b'{"directory": "a", "timeout_minutes": "5"}', "timeout_minutes"),
            (b'{"timeout_minutes": 1.5}', "timeout_minutes"),
            (b'{"timeout_minutes": true}', "timeout_minutes"),
            (b'{"timeout_minutes": 1e999}', "timeout_minutes"),
            (b'{"timeout_minutes": ' + b"9" * 5_000 + b"}", "timeout_minutes"),
            (b'{"recursive": "yes"}', "recursive"),
            (b'{"name": ["a"]}', "name"),
        ):
            detail = self.detail(body)
            self.assertTrue(detail.startswith(f"Field '{field}' is of the wrong shape: "), detail)
        self.assertIn(
            "'images[0].size'",
            self.detail(
                b'{"images": [{"name": "", "url": "", "size": ""}],"count": 1, "next": null}',
                messages.ImagePage,
            ),
        )

    def test_wrong_body(self) -> None:
        """The error for a body that is JSON but no object names the body."""
        for body in (b"[]", b"null", b'"a"', b"5", b"[" * 100_000):
            self.assertTrue(self.detail(body).startswith("The body is of the wrong shape"), body)

    def test_no_json(self) -> None:
        """The error for a body that is not JSON, or not UTF-8, has an example."""
        for body in (
            *(b"", b" ", b"{", b"{'directory': 1}", b'{"directory": "/a"} x', b"directory=/a"),
            *(b'{"directory": "\xff"}', b'{"directory": "\\ud800"}', b'{"timeout_minutes": NaN}'),
        ):
            self.assertIn('{"directory": "DIR"}', self.detail(body))

    def test_depth(self) -> None:
        """A body that is nested too deeply is refused."""
        self.detail(b'{"x": ' + b"[" * 100_000)

    def test_unload(self) -> None:
        """An unload may name a collection."""
        self.assertIsNone(json_body.decode(b"{}", UnloadRequest).name)
        self.assertEqual(json_body.decode(b'{"name": "a"}', UnloadRequest).name, "a")

    def test_other_wording(self) -> None:
        """If the decoder words its errors otherwise, the sentence is about the body, and whole."""
        for text in ("Wanted text (in $.directory)", "Wrong - at `$ of it", "Wrong at `$.name`"):
            body = messages.encode({"text": text})
            self.assertEqual(
                self.detail(body, Made), f"The body is of the wrong shape: w{text[1:]}."
            )

    def test_long_number(self) -> None:
        """A number of any length is JSON: in an unknown field it is ignored."""
        body = b'{"directory": "/a", "more": ' + b"9" * 5_000 + b"}"
        self.assertEqual(json_body.decode(body, LoadRequest).directory, "/a")

    def test_duplicate_keys(self) -> None:
        """A key that is there twice, at any depth, is refused: two readers could take either."""
        for body in (
            b'{"directory":"a","directory":"b"}',
            b'{"directory":"a","\\u0064irectory":"a"}',
            b'{"directory":"a","x":{"y":1,"y":1}}',
            b'{"directory":"a","x":[[{"y":1,"y":1}]]}',
        ):
            with self.assertRaisesRegex(BadRequest, "twice"):
                json_body.decode(body, LoadRequest)
        body = b'{"directory":"a","x":{"directory":"b"},"y":[{"z":1},{"z":1}]}'
        self.assertEqual(json_body.decode(body, LoadRequest).directory_or_path, "a")
