"""What the client's documents show is true."""

from __future__ import annotations

import json
import os
import re
import shlex
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


NODES = {
    "executeCommand",
    "extractFromFile",
    "httpRequest",
    "manualTrigger",
    "readWriteFile",
    "set",
    "splitOut",
}


class N8n(SynchronousTestCase):
    """The workflows, as n8n's import reads them."""

    def setUp(self) -> None:
        names = sorted(path.name for path in DOCS.glob("n8n-*.json"))
        self.assertEqual(names, ["n8n-command.json", "n8n-http.json"])
        self.command, self.http = (json.loads((DOCS / name).read_text("utf-8")) for name in names)

    def nodes(self, workflow: Any) -> dict[str, Any]:
        """The nodes by their names."""
        return {node["name"]: node for node in workflow["nodes"]}

    def kinds(self, workflow: Any) -> list[str]:
        return [node["type"].removeprefix("n8n-nodes-base.") for node in workflow["nodes"]]

    def test_nodes(self) -> None:
        """Each node has what n8n asks of one, is of a kind that n8n brings, and names and ids are
        there once.
        """
        both = self.command["nodes"] + self.http["nodes"]
        self.assertEqual(len({uuid.UUID(node["id"]) for node in both}), len(both))
        for workflow in (self.command, self.http):
            self.assertEqual(len(self.nodes(workflow)), len(workflow["nodes"]))
            self.assertLessEqual(set(self.kinds(workflow)), NODES)
            for node in workflow["nodes"]:
                self.assertIsInstance(node["parameters"], dict)
                self.assertIsInstance(node["typeVersion"], int | float)
                self.assertEqual([type(place) for place in node["position"]], [int, int])

    def test_connections(self) -> None:
        """Connections lead from nodes to nodes, and every node is reached from the trigger."""
        for workflow in (self.command, self.http):
            reached, waiting = set(), ["Start"]
            while waiting:
                name = waiting.pop()
                reached.add(name)
                for output in workflow["connections"].get(name, {"main": []})["main"]:
                    for link in output:
                        self.assertEqual((link["type"], link["index"]), ("main", 0))
                        waiting.append(link["node"])
            self.assertEqual(reached, set(self.nodes(workflow)))
            self.assertLessEqual(set(workflow["connections"]), set(self.nodes(workflow)))

    def test_http(self) -> None:
        """The workflow by HTTP has no node that n8n may refuse, loads, and follows ``next``."""
        self.assertNotIn("executeCommand", self.kinds(self.http))
        nodes = self.nodes(self.http)
        load, images = nodes["Load directory"]["parameters"], nodes["List images"]["parameters"]
        self.assertEqual((load["method"], load["url"][-15:]), ("POST", "/load-directory"))
        self.assertTrue(images["url"].endswith("/collections/current/images?limit=10000"))
        pages = images["options"]["pagination"]["pagination"]
        self.assertEqual(pages["paginationMode"], "responseContainsNextURL")
        self.assertIn("$response.body.next", pages["nextURL"])

    def test_command(self) -> None:
        """The other runs a command that imgd has, and reads the manifest that it writes."""
        [run] = [node for node in self.command["nodes"] if "command" in node["parameters"]]
        words = shlex.split(run["parameters"]["command"])
        self.assertEqual(words[:2], ["imgd", "load"])
        options = parse(words[1:])
        self.assertTrue(options.quiet and options.output)
