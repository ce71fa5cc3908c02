"""The two modules that use private names, looking for one that does not exist."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
from pathlib import Path

MODULES = ("imgd.net.tcp", "imgd.net.bulk_tls")


def source_path(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    return str(spec.origin)


def load_without(name: str) -> None:
    """Import the two modules as if the libraries did not have this name."""
    for module_name in MODULES:
        path = source_path(module_name)
        source = Path(path).read_text("utf-8")
        module = types.ModuleType(module_name)
        module.__file__ = path
        sys.modules[module_name] = module
        package, _, stem = module_name.rpartition(".")
        setattr(importlib.import_module(package), stem, module)
        changed = re.sub(rf"\b{name}\b", f"{name}_of_another_release", source) if name else source
        exec(compile(changed, path, "exec"), module.__dict__)
