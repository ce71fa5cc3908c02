"""Names and sizes as a person can read them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.web.escape import escape_html, escape_text, human_size


class EscapeTests(SynchronousTestCase):
    def test_invisible_characters(self) -> None:
        """Controls, direction marks and bytes that are not UTF-8 are escaped, in HTML in a span."""
        self.assertEqual(escape_text("a\nb\u202ec\udcff\x7f"), "a\\nb\\u202ec\\xff\\x7f")
        self.assertEqual(escape_html("<\u202e"), '&lt;<span class="unseen">\\u202e</span>')
        self.assertEqual(escape_text("\U000e0041"), "\\U000e0041")

    def test_writing_is_left_alone(self) -> None:
        """Hebrew, Persian with joiners, ideographic spaces and joined emoji stay as they are."""
        for name in ("שלום", "نمی\u200cشود", "日本\u3000語", "👩\u200d👧"):
            self.assertEqual(escape_text(name), name)
            self.assertEqual(escape_html(name), name)

    def test_sizes(self) -> None:
        """Sizes are in powers of 1000, with at most one decimal."""
        for size, expected in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (2**63, "9.2 EB"),
            (2**73, "9445 EB"),
        ]:
            self.assertEqual(human_size(size), expected)
