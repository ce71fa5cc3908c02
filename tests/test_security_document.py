"""docs/security.md names tests: they are there."""

from __future__ import annotations

import importlib
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.daemons import CHECKOUT

NAME = re.compile(r"`(tests(?:\.[a-z_0-9]+)+)((?:\.\w+){1,2})`")


class DocumentTests(SynchronousTestCase):
    def test_named_tests_exist(self) -> None:
        """Every test that the document names can be run under that name."""
        text = (CHECKOUT / "docs" / "security.md").read_text("utf-8")
        names = NAME.findall(text)
        self.assertGreater(len(names), 30)
        for module, attributes in names:
            value: object = importlib.import_module(module)
            for attribute in attributes[1:].split("."):
                value = getattr(value, attribute)

    def test_every_threat_has_its_test(self) -> None:
        """No row of the threats is without one."""
        text = (CHECKOUT / "docs" / "security.md").read_text("utf-8")
        section = text.partition("\n## Threats")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
        self.assertGreater(len(rows), 20)
        for row in rows:
            self.assertRegex(row, NAME)
