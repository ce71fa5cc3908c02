"""The errors that a user sees."""

from __future__ import annotations

import inspect

from twisted.trial.unittest import SynchronousTestCase

from imgd import errors
from imgd.errors import ImgdError, NotFound, Unavailable


class ErrorTests(SynchronousTestCase):
    def test_statuses(self) -> None:
        """Each error has one status, an error's, and its sentence as detail and text."""
        classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
        kinds = [kind for kind in classes if issubclass(kind, ImgdError)]
        self.assertEqual(len(kinds), len(classes))
        self.assertIn(NotFound, kinds)
        for kind in kinds:
            error = kind("It is so.")
            self.assertTrue(400 <= error.status < 600, kind)
            self.assertEqual((error.detail, str(error)), ("It is so.", "It is so."))

    def test_of(self) -> None:
        """An error may have a status of its own, which stays its own."""
        self.assertEqual(ImgdError.of(418, "No.").status, 418)
        self.assertEqual(ImgdError("No.").status, 500)

    def test_fault(self) -> None:
        """An error of the machine names the fault to report, or none."""
        self.assertEqual((Unavailable("No.").fault, Unavailable("No.", "disk").fault), ("", "disk"))
