"""When leaves are renewed, and what is said about it."""

from __future__ import annotations

from datetime import timedelta

from imgd.certificates.names import SubjectAltNames
from tests.certificates.folder_case import NAMES, NOW, StateFolderCase


class LeafTests(StateFolderCase):
    def test_two_thirds(self) -> None:
        """A leaf past two thirds of its life is renewed, one just before is not."""
        turn = NOW - timedelta(hours=1) + (timedelta(days=365, hours=1)) * 2 / 3
        self.assertEqual(self.renewed(now=turn - timedelta(seconds=2)), "")
        reason = "(it ends on 2027-03-01)"
        self.assertEqual(self.renewed(now=turn), f"server.pem {reason}\nserver-ec.pem {reason}")
        self.assertEqual(self.renewed(now=turn), "")

    def test_new_name(self) -> None:
        """A name that the leaf lacks renews it, and is named; one name fewer does not."""
        more = SubjectAltNames((*NAMES.dns, "scanner.local"), (*NAMES.ips, "10.1.2.3"))
        self.assertIn("does not cover scanner.local, 10.1.2.3", self.renewed(more))
        self.assertEqual(self.renewed(), "")

    def test_clock_behind(self) -> None:
        """A leaf from the future is renewed, the CA is not: its clients trust it already."""
        self.assertIn("not valid before", self.renewed(now=NOW - timedelta(days=9)))
