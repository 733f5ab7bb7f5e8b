"""Removing what no run needs: renamed into the trash first, looked at again, then deleted.

A rename is all or nothing, so that a kill at any moment leaves a checkpoint whole or absent. Each
batch keeps a list of where its things came from: what turns out to be needed goes back, also
when the process that moved it is gone.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from runs.errors import Corrupt
from runs.files import read_json, sync_dir, write_json
from runs.ids import new_ulid
from runs.lineage.litter import BATCH, TRASH, disk_bytes, litter, stage_checkpoints
from runs.lineage.needed import known_runs, needs
from runs.lineage.retention import Choice, Item, KeepRules, choose
from runs.paths import LabHome
from runs.supervision.system import hold_lock
from runs.views.checkpoints import COMMITTED

_INDEX = "index.json"
_LOCK_WAIT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What came of a removal: what is gone, and what is still there, with the reason."""

    gone: tuple[Item, ...]
    left: tuple[tuple[Item, str], ...]
    num_bytes: int


def plan_removal(home: LabHome, rules: KeepRules) -> Choice:
    """Return what would go; nothing is touched."""
    runs = known_runs(home)
    needed = needs(home, home.root / TRASH)
    return choose(
        rules,
        list(litter(home, runs, needed)),
        list(stage_checkpoints(runs, needed)) if rules.thins else [],
        home_bytes=disk_bytes(home.root) if rules.max_bytes is not None else 0,
        now_s=time.time(),
    )


def remove(home: LabHome, rules: KeepRules) -> tuple[Choice, Removed]:
    """Remove what the rules let go, and finish what an earlier removal had begun.

    Raises:
        Busy: somebody else is removing right now.
    """
    with hold_lock(home.root / "gc.lock", wait_s=_LOCK_WAIT_S, what="the clean-up"):
        finish_removals(home)
        choice = plan_removal(home, rules)
        left: list[tuple[Item, str]] = []
        moved: list[Item] = []
        batch = _new_batch(home, choice)
        for place, item in enumerate(choice.going):
            try:
                item.path.rename(batch / str(place))
                moved.append(item)
            except OSError as error:
                left.append((item, error.strerror or "cannot be moved"))
        finish_removals(home)
        # What a run that was just started needs has been put back.
        back = [(item, "a run needs it by now") for item in moved if item.path.exists()]
        gone = [item for item in moved if not item.path.exists()]
        num_bytes = sum(item.num_bytes for item in gone)
        return choice, Removed(gone=tuple(gone), left=(*left, *back), num_bytes=num_bytes)


def finish_removals(home: LabHome) -> None:
    """Delete what lies in batches, but for what is needed after all, which goes back."""
    trash = home.root / TRASH
    for batch in sorted(trash.glob(f"{BATCH}*")) if trash.is_dir() else ():
        needed = needs(home, trash)
        for place, origin in _origins(batch).items():
            path = batch / place
            if not path.exists() or origin.exists():
                continue
            if origin in needed.paths and (path / COMMITTED).is_file():
                origin.parent.mkdir(parents=True, exist_ok=True)
                path.rename(origin)
        shutil.rmtree(batch, ignore_errors=True)


def _new_batch(home: LabHome, choice: Choice) -> Path:
    batch = home.root / TRASH / f"{BATCH}{new_ulid()}"
    origins = {str(place): str(item.path) for place, item in enumerate(choice.going)}
    write_json(batch / _INDEX, {"v": 1, "origins": origins})
    sync_dir(batch)
    return batch


def _origins(batch: Path) -> dict[str, Path]:
    try:
        origins = read_json(batch / _INDEX).get("origins")
    except (OSError, Corrupt):
        return {}
    if not isinstance(origins, dict):
        return {}
    return {str(place): Path(str(origin)) for place, origin in origins.items()}
