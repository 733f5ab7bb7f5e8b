"""Our event log, loaded by its path: a script's interpreter may know no package of ours.

Its own modules may even have our names, such as `runs`. The log is standard library alone, and its
modules name each other relatively, so that the package around them may have another name here.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_PACKAGE = "_labcli_runs"
_DIRECTORY = Path(__file__).resolve().parents[3]


def load_events() -> ModuleType:
    """Return the module; raises whatever its import raises."""
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE)
        package.__path__ = [str(_DIRECTORY)]
        sys.modules[_PACKAGE] = package
    return importlib.import_module(f"{_PACKAGE}.events")
