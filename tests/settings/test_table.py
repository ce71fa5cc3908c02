"""What documents say of settings is what the table says."""

from __future__ import annotations

import re
from dataclasses import replace

from dotenv import dotenv_values

from imgd.settings import Settings
from imgd.settings.table import TABLE
from tests.settings.settings_case import SettingsCase
from tools.settings_documents import env_example


class TableTests(SettingsCase):
    def test_the_table_fills_settings(self) -> None:
        """Every field has one row, but for the three that say where others came from."""
        derived = {"images_dir_is_default", "settings_file", "warnings"}
        fields = set(Settings.__dataclass_fields__) - derived
        self.assertEqual(sorted(spec.field for spec in TABLE), sorted(fields))


class ExampleTests(SettingsCase):
    """.env.example, which ``python -m tools.documents`` makes from the table."""

    def test_example_has_every_variable(self) -> None:
        """.env.example has one line for each variable and for no other, each after a comment."""
        example = env_example()
        lines = re.findall(r"(?m)^#([A-Z_]+)=", example)
        self.assertEqual(sorted(lines), sorted(variables()))
        for block in example.split("\n\n"):
            self.assertTrue(block.startswith("# "), block)

    def test_example_as_it_is(self) -> None:
        """A copy of .env.example changes nothing."""
        plain = self.load()
        self.assertEqual(self.load(env_file=env_example()), plain)

    def test_example_uncommented(self) -> None:
        """With every line in effect, it still gives the defaults."""
        self.make("output")
        plain = self.load()
        example = env_example()
        settings = self.load(env_file=re.sub(r"(?m)^#(?=[A-Z_]+=)", "", example))
        self.assertEqual(set(dotenv_values(self.cwd / ".env")), variables())
        self.assertEqual(settings, replace(plain, images_dir_is_default=False))


def variables() -> set[str]:
    every = [variable for spec in TABLE for variable in spec.variables]
    return {variable.name for variable in every} | {v.base for v in every if v.base}
