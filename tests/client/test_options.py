"""What can be typed, and what cannot."""

from __future__ import annotations

import io
import sys

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.options import parse


class Typing(SynchronousTestCase):
    def test_defaults(self) -> None:
        """The contract's defaults."""
        options = parse(["load", "frames"])
        self.assertEqual((options.workers, options.batch_size, options.verify), (10, 20, "head"))
        self.assertEqual(
            (options.output, options.name, options.timeout, options.server), (None,) * 4
        )

    def test_dir(self) -> None:
        """--dir=DIR, as clients of the older server of frames have it, is DIR as an argument."""
        for words, directories in (
            (["--dir=a b"], ["a b"]),
            (["--dir", "a", "--dir=b"], ["a", "b"]),
            (["x", "--dir", "y"], ["x", "y"]),
        ):
            self.assertEqual(parse(["load", *words]).directories, directories)

    def test_expires(self) -> None:
        """How long a link lives, in seconds or with a unit."""
        for text, seconds in (("90", 90), ("30m", 1800), ("1h", 3600), ("7d", 604_800)):
            self.assertEqual(parse(["link", "/a", "--expires", text]).expires, seconds)
            self.assertEqual(parse(["load", "a", "--signed", "--expires", text]).expires, seconds)

    def test_usage(self) -> None:
        """What makes no sense exits with status 2 and one line that says what is wrong."""
        for words, said in (
            ([], "required"),
            (["load"], "imgd load DIR"),
            (["lod"], "invalid choice"),
            (["load", "a", "--workers", "0"], "from 1"),
            (["load", "a", "--batch-size", "x"], "whole number"),
            (["load", "a", "--timeout", "-1"], "minutes"),
            (["load", "a", "--timeout", "1.5"], "minutes"),
            (["load", "a", "--verify", "no"], "invalid choice"),
            (["load", "a", "--name", ".x"], "--name"),
            (["load", "a", "--name", "../x"], "--name takes 1 to 64"),
            (["load", "a", "b", "--name", "x"], "--name goes with one"),
            (["load", "a", "b", "--output", "x.json"], "several directories"),
            (["load", "a", "--resume", "m.json"], "--resume"),
            (["load", "--dir", "a", "--resume", "m.json"], "--resume"),
            (["load", "--resume", "m.json", "--name", "x"], "--resume"),
            (["load", "a", "--quiet", "--verbose"], "not allowed"),
            (["load", "a", "--expires", "1h"], "--signed"),
            (["load", "a", "--signed", "--expires", "soon"], "30m, 1h or 7d"),
            (["link"], "imgd link /images/"),
            (["link", "/a", "--expires", "0"], "30m, 1h or 7d"),
            (["link", "/a", "--expires", "1000w"], "ten years"),
            (["link", "/a", "--revoke-all"], "give it alone"),
            (["link", "--revoke-all", "--prefix"], "give it alone"),
            (["load", "a", "--request-timeout", "0"], "seconds"),
            (["load", "a", "--deadline", "nan"], "seconds"),
            (["timeout", "soon"], "minutes"),
            (["tunnel", "--start", "--clear"], "one of them"),
        ):
            stderr = io.StringIO()
            self.patch(sys, "stderr", stderr)
            error = self.assertRaises(SystemExit, parse, words)
            self.assertEqual(error.code, 2, words)
            self.assertIn(said, stderr.getvalue(), words)
