"""Each module of imgd has its tests: those of ``imgd/ROOM/x.py`` are in ``tests/ROOM/test_x.py``.

Tests of the whole daemon are at the root of ``tests/``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from twisted.trial.unittest import SynchronousTestCase

from tests.daemons import CHECKOUT

# Modules without tests of their own, and the file that tests each: names without test_ and .py.
TESTED_IN = {
    "__main__": "main",
    "client/ca_bundle": "client/trust_command",
    "client/trust_recipes": "client/trust_command",
    "dicom/index_file": "dicom/index_store",
    "dicom/slice_gaps": "dicom/slice_order",
    "dicom/volume_files": "dicom/slice_order",
    "dicom/volume_grid": "dicom/nifti_header",
    "dicom/volume_json": "web/dicom/volumes",
    "pictures/instances": "pictures/worker/dicom_index",
    "pictures/messages": "pictures/framing",
    "pictures/worker/__main__": "pictures/pool",
    "pictures/worker_slot": "pictures/pool",
    "pictures/worker/header_text": "pictures/worker/metaimage",
    "pictures/worker/nrrd_axes": "pictures/worker/nrrd",
    "pictures/worker/volume": "pictures/worker/volumes",
    "pictures/worker/volume_facts": "pictures/worker/nifti",
    "pictures/worker/codestreams": "pictures/worker/sandboxed_formats",
    "pictures/worker/colours": "pictures/worker/raster",
    "pictures/worker/dicom_attributes": "pictures/worker/dicom_planes",
    "pictures/worker/dicom_json": "pictures/worker/dicom_metadata",
    "pictures/worker/dicom_frames": "pictures/worker/dicom",
    "pictures/worker/dicom_header": "pictures/worker/dicom",
    "pictures/worker/dicom_values": "pictures/worker/dicom_facts",
    "pictures/worker/formats": "pictures/worker/decoding",
    "pictures/worker/frames": "pictures/worker/raster",
    "pictures/worker/reduction": "pictures/worker/raster",
    "pictures/worker/samples": "pictures/worker/decoding",
    "service": "daemon",
    "settings/spec": "settings/table",
    "web/memory_admission": "web/file_cache",
    "web/request": "web/bad_requests",
    "web/server": "web/hostile",
    "web/status_endpoints": "web/control",
}
# Files of tests that belong to no one module, and what they test.
OTHERS = {
    "client/docs": "the documents of the client",
    "client/end_to_end": "the commands against a real daemon",
    "collections/manager_random": "the manager, by random sequences of changes",
    "files/disk_races": "a disk that changes during a request",
    "net/tls_alerts": "bytes on a TLS port that become no connection",
    "net/tls_clients": "the TLS context, by clients that others wrote",
    "pictures/hostile_pictures": "the room of pictures, attacked from outside",
    "settings/settings": "settings/__init__.py, whose name no file can have",
    "pictures/worker/sandboxed_formats": "every format in a real worker",
    "web/bad_requests": "requests that HTTP forbids",
    "web/gone_clients": "what is still done for clients that are gone",
    "web/health": "faults in /health and the log",
    "web/hostile": "requests that attack",
    "web/judged_bodies": "bodies of requests that are refused",
    "web/left_behind": "what a connection leaves in memory",
}


def problems(
    modules: set[str], tests: set[str], tested_in: Mapping[str, str], others: Mapping[str, str]
) -> Iterator[str]:
    """What is out of place among these modules and files of tests, by names as above."""
    for module in sorted(modules - tests - tested_in.keys()):
        yield f"imgd/{module}.py has no tests/{test_file(module)}, nor an exception"
    for module, name in sorted(tested_in.items()):
        if module not in modules or module in tests:
            yield f"imgd/{module}.py needs no exception any more"
        elif name not in tests:
            yield f"imgd/{module}.py is to be tested in tests/{test_file(name)}, which is gone"
    for name in sorted(name for name in tests - modules - others.keys() if "/" in name):
        yield f"tests/{test_file(name)} has no imgd/{name}.py, nor an exception"
    for name in sorted(others.keys() - (tests - modules)):
        yield f"tests/{test_file(name)} needs no exception any more"


def test_file(name: str) -> str:
    folder, _, stem = name.rpartition("/")
    return f"{folder}/test_{stem}.py".removeprefix("/")


def has_tests(source: str) -> bool:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, functions))
    return any(node.name.startswith("test_") for node in nodes)


def names(folder: str, pattern: str) -> dict[str, str]:
    """The source of each file of this folder of the checkout, by its name as above."""
    root = CHECKOUT / folder
    paths = {path: path.relative_to(root) for path in root.rglob(pattern)}
    return {
        name.with_name(name.stem.removeprefix("test_")).as_posix(): path.read_text("utf-8")
        for path, name in paths.items()
        if name.stem != "__init__"
    }


class CheckoutTests(SynchronousTestCase):
    def test_mirror(self) -> None:
        """Each module and each file of tests is in its place, or an exception."""
        modules, tests = set(names("imgd", "*.py")), set(names("tests", "test_*.py"))
        self.assertIn("core/paths", modules & tests)
        self.assertEqual(list(problems(modules, tests, TESTED_IN, OTHERS)), [])

    def test_no_empty_file(self) -> None:
        """Each file of tests has a test."""
        tests = names("tests", "test_*.py")
        self.assertEqual([name for name, source in tests.items() if not has_tests(source)], [])


class CheckerTests(SynchronousTestCase):
    def problem(self, modules: set[str], tested_in: dict[str, str], others: dict[str, str]) -> str:
        """The one problem of these modules beside the only file of tests, of ``core/a``."""
        [problem] = problems(modules, {"core/a", "daemon"}, tested_in, others)
        return problem

    def test_sound(self) -> None:
        """An exception for each module without tests, and tests without a module, will do."""
        sound = problems({"core/b"}, {"core/a", "daemon"}, {"core/b": "daemon"}, {"core/a": "why"})
        self.assertEqual(list(sound), [])

    def test_missing(self) -> None:
        """A module without tests, and tests without a module, are found."""
        for modules, problem in (
            ({"core/a", "core/b"}, "imgd/core/b.py has no tests/core/test_b.py"),
            ({"core/a", "tap"}, "imgd/tap.py has no tests/test_tap.py"),
            (set[str](), "tests/core/test_a.py has no imgd/core/a.py"),
        ):
            self.assertIn(problem, self.problem(modules, {}, {}))

    def test_exceptions(self) -> None:
        """An exception that is needed no more, or names what is gone, is found."""
        self.assertIn("needs no", self.problem({"core/a"}, {"core/a": "daemon"}, {}))
        self.assertIn("needs no", self.problem({"core/a"}, {"core/b": "core/a"}, {}))
        self.assertIn("is gone", self.problem({"core/a", "core/b"}, {"core/b": "core/c"}, {}))
        self.assertIn("needs no", self.problem({"core/a"}, {}, {"core/a": "why"}))
        self.assertIn("needs no", self.problem({"core/a"}, {}, {"core/b": "why"}))

    def test_empty(self) -> None:
        """A file without a test is told from one with."""
        self.assertFalse(has_tests("import os\nclass Case:\n    def check(self): ..."))
        for keyword in ("def", "async def"):
            self.assertTrue(has_tests(f"class Case:\n    {keyword} test_a(self): ..."))
