"""What lies in a lab home that may go: checkpoints by age, and what nothing refers to.

Only looks. A directory that somebody may be building right now is left alone: its lock is
held, or it was written to within the last hour.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from runs.files import sha256_file
from runs.lineage.made import stage_log
from runs.lineage.needed import KnownRun, Needs
from runs.lineage.retention import Item, Kind, StageCheckpoint
from runs.paths import LabHome, RunPaths
from runs.views.checkpoints import COMMITTED, committed
from runs.views.facts import stage_facts
from runs.views.query import run_dirs

# A lab home of its own, with the runs that were removed and may be restored.
TRASH = "trash"
SNAPSHOTS = "snapshots"
# A batch of removals that was cut off; see runs.gc.
BATCH = "gc-"
QUIET_S = 3600.0
# Compiled kernels that nothing was added to for so long; building them again takes a minute.
KERNELS_QUIET_S = 7 * 86400.0
_TOKENS = "tokens-"
# Caches had a file for each split and a directory for later shards: nothing reads those any more.
_OLD_TOKENS = ("later-*", "tokens-*/train.*", "tokens-*/val.*")
# Tokens that a run had at hand; see core.data.reading.
_WINDOW = "window"
# Beside it, files that a worker which was killed was replacing.
_LEFT_IN_RUNS = (f"artifacts/*/{_WINDOW}", "artifacts/*/.*.partial", "checkpoints/*/.*.partial")
_DOWNLOADS = "downloads"
_BUILDING = ".building-*"


def disk_bytes(path: Path) -> int:
    """Return the size of a file, or of all files under a directory; links are not followed."""
    if not path.is_dir():
        return _size(path)
    return sum(_size(Path(place) / name) for place, _, names in os.walk(path) for name in names)


def stage_checkpoints(runs: list[KnownRun], needs: Needs) -> Iterator[StageCheckpoint]:
    """Yield every committed checkpoint of the lab home."""
    for run in runs:
        for stage in _stages(run):
            found = committed(RunPaths(run.path).checkpoints_dir(stage))
            best = _best_step(run, stage)
            for rank, checkpoint in enumerate(reversed(found)):
                yield StageCheckpoint(
                    item=_item(
                        "checkpoint", checkpoint.path, f"{stage}@{checkpoint.step}", run.view.slug
                    ),
                    rank=rank,
                    is_best=checkpoint.step == best,
                    needed_by=needs.of(run, stage, checkpoint.path),
                )


def litter(home: LabHome, runs: list[KnownRun], needs: Needs) -> Iterator[Item]:
    """Yield what no run refers to."""
    yield from _half_built(home, runs)
    yield from _token_caches(home, runs, needs)
    yield from _downloads(home)
    yield from _kernels(home)
    yield from _snapshots(home)
    for path in run_dirs(LabHome(home.root / TRASH)):
        # A run that was built on a removed one can only be repeated while that can be restored.
        if not any(path.name in needed.parts for needed in needs.paths):
            yield _item("trash", path, path.name[27:])


def _half_built(home: LabHome, runs: list[KnownRun]) -> Iterator[Item]:
    for run in runs:
        if run.held_by is None:
            for path in sorted(run.path.glob("checkpoints/*/step_*")):
                if not (path / COMMITTED).is_file():
                    yield _item(
                        "half-built", path, f"{path.parent.name}/{path.name}", run.view.slug
                    )
            left_overs = [path for one in _LEFT_IN_RUNS for path in run.path.glob(one)]
            for path in sorted(left_overs):
                yield _item("half-built", path, f"{path.parent.name}/{path.name}", run.view.slug)
    left = list(home.data_dir.glob(_BUILDING))
    left += home.data_dir.glob(f"*/{_TOKENS}*/*.partial")
    left += home.data_dir.glob("*/.*.parquet.*.partial")
    if _is_locked(home.data_dir / ".lock"):
        left = []
    for place in (home.runs_dir, home.root / TRASH / "runs"):
        left += [*place.glob(".*.tmp"), *place.glob(".*.purged")]
    for path in sorted(left):
        if time.time() - _newest_s(path) > QUIET_S and not _is_locked(_tokens_lock(path)):
            yield _item("half-built", path, str(path.relative_to(home.root)))


def _token_caches(home: LabHome, runs: list[KnownRun], needs: Needs) -> Iterator[Item]:
    caches = sorted(home.data_dir.glob(f"*/{_TOKENS}*"))
    old = [path for pattern in _OLD_TOKENS for path in sorted(home.data_dir.glob(f"*/{pattern}"))]
    if not caches and not old:
        return
    used = {sha256[:16] for sha256 in _tokenizers(home, runs, needs)}
    unused = [path for path in caches if path.name.removeprefix(_TOKENS) not in used]
    unused += [path for path in old if path.parent not in unused]
    for path in unused:
        is_quiet = time.time() - _newest_s(path) > QUIET_S
        corpus_dir = home.data_dir / path.relative_to(home.data_dir).parts[0]
        if is_quiet and not _is_locked(corpus_dir / ".tokens.lock"):
            yield _item("token cache", path, str(path.relative_to(home.data_dir)))


def _downloads(home: LabHome) -> Iterator[Item]:
    """Yield downloaded shards, whole or in part, that no corpus holds or waits for."""
    for directory in sorted(home.data_dir.glob(f"{_DOWNLOADS}/*")):
        if _is_locked(directory / ".lock"):
            continue
        awaited = _awaited(home)
        for path in sorted([*directory.glob("*.parquet"), *directory.glob("*.parquet.partial")]):
            is_quiet = time.time() - _newest_s(path) > QUIET_S
            # A second name is its place in a corpus: removing this one would free nothing.
            is_held = path.stat().st_nlink > 1 or path.name.removesuffix(".partial") in awaited
            if is_quiet and not is_held:
                yield _item("download", path, f"{directory.name}/{path.name}")


def _awaited(home: LabHome) -> set[str]:
    """Return the shards that some corpus still waits for; a run may go on with any of them."""
    names: set[str] = set()
    for path in home.data_dir.glob("*/manifest.json"):
        try:
            later = json.loads(_bytes(path)).get("later", ())
            found = {str(shard["name"]) for shard in later}
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        names |= {name for name in found if not (path.parent / name).exists()}
    return names


def _tokenizers(home: LabHome, runs: list[KnownRun], needs: Needs) -> set[str]:
    found = set(needs.tokenizers)
    for run in runs:
        for stage in _stages(run):
            found |= {made.sha256 for made in stage_log(run.path, stage).made}
    if home.tokenizers_dir.is_dir():
        found |= {sha256_file(path) for path in home.tokenizers_dir.glob("*.json")}
    return found


def _kernels(home: LabHome) -> Iterator[Item]:
    """Yield what torch.compile has built, as one thing, once no training has used it for long.

    Which kernels belong to which settings only torch knows, and what goes is built again.
    """
    path = home.kernels_dir
    if path.is_dir():
        item = _item("kernels", path, str(path.relative_to(home.root)))
        if time.time() - item.modified_s > KERNELS_QUIET_S:
            yield item


def _snapshots(home: LabHome) -> Iterator[Item]:
    snapshots = home.root / SNAPSHOTS
    if not snapshots.is_dir():
        return
    # Runs, sweeps and queued work name a snapshot by its hash, wherever they do.
    named = b"".join(_bytes(path) for path in _mentions(home))
    for path in sorted(snapshots.iterdir()):
        is_quiet = time.time() - _newest_s(path) > QUIET_S
        if path.name.split(".")[0].encode() not in named and is_quiet:
            yield _item("snapshot", path, path.name)


def _mentions(home: LabHome) -> Iterator[Path]:
    yield from home.runs_dir.glob("*/run.json")
    yield from (home.root / TRASH).glob("runs/*/run.json")
    for name in ("sweeps", "queue"):
        yield from (home.root / name).rglob("*.json*")


def _stages(run: KnownRun) -> list[str]:
    return [stage.stage for stage in run.view.stages]


def _best_step(run: KnownRun, stage: str) -> int | None:
    measured = [
        (entry["val_bpb"], entry["step"])
        for entry in stage_facts(run.path, stage).evals
        if entry["val_bpb"] is not None
    ]
    here = {found.step for found in committed(RunPaths(run.path).checkpoints_dir(stage))}
    kept = [pair for pair in measured if pair[1] in here]
    return min(kept)[1] if kept else None


def _item(kind: Kind, path: Path, label: str, run: str | None = None) -> Item:
    # What was renamed into the trash has kept its times, but for that of the change itself.
    modified_s = path.lstat().st_ctime if kind == "trash" else _newest_s(path)
    return Item(
        kind=kind,
        path=path,
        label=label,
        num_bytes=disk_bytes(path),
        modified_s=modified_s,
        run=run,
    )


def _newest_s(path: Path) -> float:
    times = [path.lstat().st_mtime]
    if path.is_dir():
        times += [entry.lstat().st_mtime for entry in path.iterdir()]
    return max(times)


def _tokens_lock(path: Path) -> Path:
    return path.parent.parent / ".tokens.lock"


def _is_locked(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
