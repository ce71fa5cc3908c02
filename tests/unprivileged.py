"""A program that may not write where it may not, even if root runs the tests."""

from __future__ import annotations

import os
import shutil

from twisted.trial.unittest import SkipTest

_RIGHTS = "-dac_override,-dac_read_search"  # to pass over permissions of files: capabilities(7)


def unprivileged() -> list[str]:
    """What to put before a command; SkipTest if it cannot be had."""
    if os.name != "posix":
        raise SkipTest("there are no such permissions here")
    if os.geteuid():
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SkipTest("root may write everywhere, and there is no setpriv here")
    return [setpriv, "--bounding-set", _RIGHTS, "--inh-caps", _RIGHTS]
