"""Our event log, loaded by its path: a script's interpreter may know no package of ours.

Its own modules may even have our names, such as `runs`. The log is standard library alone.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_NAME = "_labcli_events"
_SOURCE = Path(__file__).resolve().parents[3] / "events.py"


def load_events() -> ModuleType:
    """Return the module; raises whatever its import raises."""
    known = sys.modules.get(_NAME)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(_NAME, _SOURCE)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {_SOURCE}")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while it is being executed.
    sys.modules[_NAME] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_NAME]
        raise
    return module
