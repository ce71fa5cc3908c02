"""``Content-Disposition`` for any name."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.disposition import attachment, inline

PROPERTY = settings(deadline=None, database=None, max_examples=300)
# RFC 6266 section 4.1, with a quoted-string in which nothing needs an escape, and RFC 8187.
FORM = re.compile(
    r'attachment; filename="([ !#-\[\]-~]*)"'
    r"(?:; filename\*=UTF-8''((?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})*))?"
)


class DispositionTests(SynchronousTestCase):
    def test_rows(self) -> None:
        """ASCII names as they are; others twice; what misleads is gone."""
        for name, parameters in (
            ("a.nii.gz", 'filename="a.nii.gz"'),
            ("a b;c=d.nii", 'filename="a b;c=d.nii"'),
            ('a"b.nii', "filename=\"a_b.nii\"; filename*=UTF-8''a%22b.nii"),
            ("a%41.nii", "filename=\"a_41.nii\"; filename*=UTF-8''a%2541.nii"),
            ("ü.png", "filename=\"_.png\"; filename*=UTF-8''%C3%BC.png"),
            ("a\r\nSet-Cookie: b", 'filename="a__Set-Cookie: b"'),
            ("..\\..\\a/b", 'filename=".._.._a_b"'),
            ("\u202egpj.exe", 'filename="_gpj.exe"'),
            ("a\udcff.nii", "filename=\"a_.nii\"; filename*=UTF-8''a%EF%BF%BD.nii"),
        ):
            header, value = attachment(name)
            self.assertEqual(header, b"Content-Disposition")
            self.assertEqual(value.decode("ascii"), f"attachment; {parameters}")

    def test_inline(self) -> None:
        """What is shown can have a name, too, written the same way."""
        name, value = attachment('a"b')
        self.assertEqual(inline('a"b'), (name, value.replace(b"attachment", b"inline")))

    @PROPERTY
    @given(st.text(max_size=30))
    def test_any_name(self, name: str) -> None:
        """Every name gives one header of the right form, whose extended value is the name."""
        match = FORM.fullmatch(attachment(name)[1].decode("ascii"))
        assert match is not None
        kept = unquote(match[2]) if match[2] is not None else match[1]
        self.assertEqual(len(kept), len(name))
        self.assertTrue(kept.isprintable() or not name.isprintable())
