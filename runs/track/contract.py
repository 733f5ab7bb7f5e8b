"""What a tracked script finds in its environment, and where its run keeps what it says.

The `wandb` module under shim/ reads these variables in the interpreter of the script, which may
have nothing of ours installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs.errors import Corrupt
from runs.files import read_json
from runs.paths import RunPaths

STAGE = "track"
EVENTS_VARIABLE = "LABCLI_TRACK_EVENTS"
SAID_VARIABLE = "LABCLI_TRACK_SAID"
# The directory that comes first on the script's path, so that `import wandb` finds ours.
SHIM_DIR = Path(__file__).parent / "shim"


def said_path(paths: RunPaths) -> Path:
    """Return the file in which the script's `wandb` keeps config, summary, name and tags."""
    return paths.artifacts_dir(STAGE) / "wandb.json"


def logged_config(paths: RunPaths) -> dict[str, Any]:
    """Return the config that a tracked script told wandb; empty where there is none."""
    try:
        config = read_json(said_path(paths)).get("config")
    except (OSError, Corrupt):
        return {}
    return config if isinstance(config, dict) else {}


def script_env(
    paths: RunPaths, attempt: int, inherited: Mapping[str, str], *, has_shim: bool
) -> dict[str, str]:
    """Return the environment of a tracked script: the inherited one, and where to write."""
    env = dict(inherited)
    # Set for our own workers; a script must find the modules that lie beside it.
    env.pop("PYTHONSAFEPATH", None)
    if has_shim:
        env[EVENTS_VARIABLE] = str(paths.events(STAGE, attempt))
        env[SAID_VARIABLE] = str(said_path(paths))
        known = env.get("PYTHONPATH")
        env["PYTHONPATH"] = str(SHIM_DIR) + (os.pathsep + known if known else "")
    return env
