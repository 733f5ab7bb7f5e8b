"""What the supervisor of a run may do by itself: restart what crashed, act on what hangs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from runs.errors import UsageError

OnStall = Literal["wait", "restart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The choices of one run, kept in run.json; times are in seconds.

    retries: how many restarts a supervisor may make by itself. None by default: what was killed
        stays down until a person says `resume`.
    on_stall: what follows the autopsy of a stage that hangs.
    stall_min_s: no stage counts as hanging before this time, however short its steps are.
    backoff_s: the wait before the first restart; it doubles with each one that got nowhere.
    """

    retries: int = 0
    on_stall: OnStall = "wait"
    stall_min_s: float = 60.0
    backoff_s: float = 5.0

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UsageError(f"retries is {self.retries}; give 0 or more")
        if self.on_stall not in get_args(OnStall):
            raise UsageError(f"unknown stall policy {self.on_stall!r}; choose wait or restart")
        if self.on_stall == "restart" and self.retries == 0:
            raise UsageError(
                "a stalled stage can only be restarted where restarts are allowed; "
                "add for example --retries 3"
            )


def policy_from(data: Mapping[str, Any]) -> Policy:
    """Return the policy in run.json; what it does not say is as by default."""
    known = {spec.name for spec in fields(Policy)}
    return Policy(**{key: value for key, value in data.items() if key in known})
