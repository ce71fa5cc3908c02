"""Names as a person can read them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.web.escape import escape_html, escape_text


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
