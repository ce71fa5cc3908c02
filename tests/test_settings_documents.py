"""What documents say of settings is what the table says."""

from __future__ import annotations

import re
from dataclasses import replace

from dotenv import dotenv_values

from imgd.settings import Settings
from imgd.settings.table import TABLE
from tests.test_settings import SettingsCase
from tools import settings_documents


class TableTests(SettingsCase):
    def test_the_table_fills_settings(self) -> None:
        """Every field has one row, but for the two that tell how others were found."""
        fields = set(Settings.__dataclass_fields__) - {"images_dir_is_default", "settings_file"}
        self.assertEqual(sorted(spec.field for spec in TABLE), sorted(fields))


class GeneratedTests(SettingsCase):
    """docs/configuration.md and .env.example are made from the table."""

    advice = f"run: {settings_documents.COMMAND}"

    def test_configuration(self) -> None:
        """The table in docs/configuration.md is the one that the command makes."""
        document = settings_documents.CONFIGURATION.read_text("utf-8")
        self.assertEqual(document, settings_documents.configuration(document), self.advice)

    def test_example(self) -> None:
        """.env.example is the file that the command makes."""
        example = settings_documents.EXAMPLE.read_text("utf-8")
        self.assertEqual(example, settings_documents.env_example(), self.advice)

    def test_a_changed_document(self) -> None:
        """A row that somebody edited is made anew; a lost marker is an error."""
        document = settings_documents.CONFIGURATION.read_text("utf-8")
        edited = document.replace("| 8888 |", "| 9999 |")
        self.assertNotEqual(edited, document)
        self.assertEqual(settings_documents.configuration(edited), document)
        with self.assertRaises(ValueError):
            settings_documents.configuration(document.replace(settings_documents.END, ""))

    def test_example_has_every_variable(self) -> None:
        """.env.example has one line for each variable and for no other, each after a comment."""
        example = settings_documents.env_example()
        lines = re.findall(r"(?m)^#([A-Z_]+)=", example)
        self.assertEqual(sorted(lines), sorted(variables()))
        for block in example.split("\n\n"):
            self.assertTrue(block.startswith("# "), block)

    def test_example_as_it_is(self) -> None:
        """A copy of .env.example changes nothing."""
        plain = self.load()
        self.assertEqual(self.load(env_file=settings_documents.env_example()), plain)

    def test_example_uncommented(self) -> None:
        """With every line in effect, it still gives the defaults."""
        self.make("output")
        plain = self.load()
        example = settings_documents.env_example()
        settings = self.load(env_file=re.sub(r"(?m)^#(?=[A-Z_]+=)", "", example))
        self.assertEqual(set(dotenv_values(self.cwd / ".env")), variables())
        self.assertEqual(settings, replace(plain, images_dir_is_default=False))


def variables() -> set[str]:
    every = [variable for spec in TABLE for variable in spec.variables]
    return {variable.name for variable in every} | {v.base for v in every if v.base}
