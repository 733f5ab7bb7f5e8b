"""The checkpoints that stages wrote and what became of them, as every view tells it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runs.paths import RunPaths
from runs.views.checkpoints import committed

# A stage and a step of it.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCheckpoint:
    """A checkpoint as a stage announced it."""

    stage: str
    step: int
    t: float
    num_bytes: float | None
    sha256: str

    @property
    def place(self) -> Place:
        """What tells it from the others of its run."""
        return self.stage, self.step

    @property
    def reference(self) -> str:
        """What names it behind the name of its run."""
        return f":{self.stage}@{self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCheckpoint:
    """A checkpoint, whether it is still on disk, whole, and whether none of its stage is better."""

    written: WrittenCheckpoint
    val_bpb: float | None
    is_kept: bool
    is_best: bool

    @property
    def mark(self) -> str:
        """What sets it apart from others, in a word or two; empty for most."""
        words = (("best", self.is_best), ("removed", not self.is_kept))
        return ", ".join(word for word, holds in words if holds)


def kept_on_disk(run_dir: Path, stages: Iterable[str]) -> frozenset[Place]:
    """Return which checkpoints of some stages are on disk, whole."""
    paths = RunPaths(run_dir)
    return frozenset(
        (stage, item.step) for stage in stages for item in committed(paths.checkpoints_dir(stage))
    )


def saved_checkpoints(
    written: Iterable[WrittenCheckpoint], kept: Collection[Place], val_bpb: Mapping[Place, float]
) -> tuple[SavedCheckpoint, ...]:
    """Return each checkpoint once, as it was written last; the best is so in its stage."""
    newest = {item.place: item for item in written}
    best: dict[str, float] = {}
    for stage, step in newest:
        measured = val_bpb.get((stage, step))
        if measured is not None:
            best[stage] = min(measured, best.get(stage, measured))
    return tuple(
        SavedCheckpoint(
            written=item,
            val_bpb=val_bpb.get(place),
            is_kept=place in kept,
            is_best=place in val_bpb and val_bpb[place] == best[item.stage],
        )
        for place, item in newest.items()
    )
