"""Stands in for the wandb package in a script that labcli tracks.

What the script logs goes into the event log of its run. Offline, without an account, and unable
to fail: whatever else of wandb a script uses is accepted and does nothing.
"""

from __future__ import annotations

import atexit
from typing import Any

from ._nothing import Nothing, empty_class, stand_in_for_submodules
from ._run import Run, as_mapping

__version__ = "0.99.0+labcli"
run: Run | None = None


class Error(Exception):
    """What real wandb raises; this one never does."""


CommError = UsageError = Error


class AlertLevel:
    """How grave an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


def init(
    project: Any = None,
    entity: Any = None,
    config: Any = None,
    name: Any = None,
    tags: Any = None,
    notes: Any = None,
    group: Any = None,
    job_type: Any = None,
    id: Any = None,  # noqa: A002 (as wandb names it)
    **ignored: Any,
) -> Run:
    """Return the run of this process; a second call adds to its config."""
    global run
    said = {
        "project": project, "name": name, "tags": list(tags or ()), "notes": notes,
        "group": group, "job_type": job_type, "id": id,
    }  # fmt: skip
    if run is None:
        run = Run({key: value for key, value in said.items() if value})
        # A script may end without a word; what waits for a commit is written all the same.
        atexit.register(run.finish)
    run.config.update(as_mapping(config))
    return run


def log(data: Any, *args: Any, **kwargs: Any) -> None:
    """Keep the numbers of a step."""
    (run or init()).log(data, *args, **kwargs)


def finish(*args: Any, **kwargs: Any) -> None:
    """Write what is still held back."""
    global run
    if run is not None:
        run.finish()
        run = None


def alert(*args: Any, **kwargs: Any) -> None:
    """Raise an alert."""
    (run or init()).alert(*args, **kwargs)


def login(*args: Any, **kwargs: Any) -> bool:
    """Return True: there is nobody to log in to."""
    return True


def setup(*args: Any, **kwargs: Any) -> Nothing:
    """Do nothing."""
    return Nothing()


def watch(*args: Any, **kwargs: Any) -> None:
    """Do nothing: gradients are not logged by themselves."""


def agent(sweep_id: Any = None, function: Any = None, *args: Any, **kwargs: Any) -> None:
    """Call the function once: this process is one run, not a sweep."""
    if callable(function):
        function()


def __getattr__(name: str) -> Any:
    # Before `init` these two are there in wandb as well.
    if name in ("config", "summary"):
        return getattr(run or init(), name)
    if name.startswith("__"):
        raise AttributeError(name)
    return empty_class(name) if name[:1].isupper() else Nothing()


if __name__ == "wandb":
    stand_in_for_submodules(__name__)
