"""What the client's documents show is true."""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.options import build, parse

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
CLIENT = (DOCS / "client.md").read_text("utf-8")


class Examples(SynchronousTestCase):
    def test_the_example(self) -> None:
        """The document shows the example that the tests run, to the letter."""
        shown = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", CLIENT, re.DOTALL)
        self.assertEqual([name for name, _ in shown], ["examples/load_and_list.py"])
        for name, text in shown:
            self.assertEqual(text, (CHECKOUT / name).read_text("utf-8"))

    def test_commands(self) -> None:
        """Every command that the document and the help show can be parsed."""
        helps = [build().format_help()]
        for name in ("load", "link", "status", "unload", "timeout", "tunnel"):
            helps.append(build_help(name))
        lines = re.findall(r"^\s*(?:\$ )?imgd ([a-z].*)$", CLIENT + "\n".join(helps), re.MULTILINE)
        self.assertGreater(len(lines), 15)
        for line in lines:
            words = re.split(r"\s{2,}|\s*[|#]", line)[0].split()
            if "--help" not in words:
                parse(words)

    def test_the_shape_of_the_manifest(self) -> None:
        """The manifest in the document has the contract's fields in the contract's order."""
        manifest = next(
            found
            for found in map(json.loads, re.findall(r"```json\n(.*?)```", CLIENT, re.DOTALL))
            if "image_urls" in found
        )
        self.assertEqual(
            list(manifest),
            [
                *("success", "directory", "timestamp", "message", "count", "image_urls"),
                *("timeout_minutes", "auto_unload_at", "time_remaining"),
                *("collection", "server", "verify", "recursive", "failed"),
            ],
        )


def build_help(command: str) -> str:
    """What ``imgd COMMAND --help`` prints."""
    [commands] = [action for action in build()._actions if action.dest == "command"]
    assert isinstance(commands.choices, dict)
    return str(commands.choices[command].format_help())


class Helps(SynchronousTestCase):
    def test_examples(self) -> None:
        """Every command's help shows examples, and is no wider than a terminal."""
        for name in ("load", "link", "status", "unload", "timeout", "tunnel", "demo"):
            self.patch(os, "environ", {**os.environ, "COLUMNS": "80"})
            text = build_help(name)
            self.assertIn(f"examples:\n  imgd {name}", text)
            for line in text.splitlines():
                self.assertLess(len(line), 90, line)

    def test_no_way_around_trust(self) -> None:
        """No option turns verification off."""
        for name in ("load", "link", "status", "unload", "timeout", "tunnel", "demo"):
            for word in ("insecure", "no-verify", "skip", "no-check"):
                self.assertNotIn(word, build_help(name))


class N8n(SynchronousTestCase):
    """The workflow, as n8n's import reads it: nodes by unique name, connections between names."""

    def setUp(self) -> None:
        self.workflow: Any = json.loads((DOCS / "n8n-workflow.json").read_text("utf-8"))
        self.nodes = {node["name"]: node for node in self.workflow["nodes"]}

    def test_nodes(self) -> None:
        """Each node has what n8n asks of one, and names and ids are there once."""
        nodes = self.workflow["nodes"]
        self.assertEqual(len(self.nodes), len(nodes))
        self.assertEqual(len({uuid.UUID(node["id"]) for node in nodes}), len(nodes))
        for node in nodes:
            self.assertIsInstance(node["parameters"], dict)
            self.assertRegex(node["type"], r"^n8n-nodes-base\.[a-zA-Z]+$")
            self.assertIsInstance(node["typeVersion"], int | float)
            self.assertEqual([type(place) for place in node["position"]], [int, int])

    def test_connections(self) -> None:
        """Connections lead from nodes to nodes, and every node is reached from the trigger."""
        reached, waiting = set(), ["Start"]
        while waiting:
            name = waiting.pop()
            reached.add(name)
            for output in self.workflow["connections"].get(name, {"main": []})["main"]:
                for link in output:
                    self.assertEqual((link["type"], link["index"]), ("main", 0))
                    waiting.append(link["node"])
        self.assertEqual(reached, set(self.nodes))
        self.assertLessEqual(set(self.workflow["connections"]), set(self.nodes))

    def test_what_they_ask(self) -> None:
        """The nodes ask the API, and run the command, as the contract has them."""
        kinds = [node["type"].rpartition(".")[2] for node in self.workflow["nodes"]]
        self.assertIn("httpRequest", kinds)
        self.assertIn("executeCommand", kinds)
        load = self.nodes["Load directory"]["parameters"]
        self.assertEqual((load["method"], load["url"][-15:]), ("POST", "/load-directory"))
        self.assertEqual(
            json.loads(load["jsonBody"]), {"directory": "/data/frames", "timeout_minutes": 60}
        )
        words = self.nodes["Load and check"]["parameters"]["command"].split()
        self.assertEqual(words[0], "imgd")
        self.assertEqual(parse(words[1:]).output, "-")
