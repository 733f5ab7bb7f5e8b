"""Which models a lab home holds, and which of them a search means. Reads files, never the registry.

No widgets here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runs.paths import LabHome, RunPaths
from runs.refs import DEFAULT_STAGES
from runs.views.checkpoints import committed
from runs.views.query import list_runs
from runs.views.run_view import RunView, StageView

BASE_STAGE = "base"
NO_MODELS = """\
There is no checkpoint in this lab home yet.

Train one in another terminal:  labcli run speedrun"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One checkpoint that can be asked; `name` is what the server calls it.

    is_newest: whether its stage has none with a higher step.
    """

    name: str
    run_id: str
    run_name: str
    stage: str
    step: int
    state: str
    val_bpb: float | None
    created_s: float
    tags: tuple[str, ...]
    is_newest: bool

    @property
    def is_base(self) -> bool:
        """Whether it has learnt to go on with a text, and nothing of conversations."""
        return self.stage == BASE_STAGE


def list_models(home: LabHome) -> list[ModelEntry]:
    """Return every checkpoint: newest run first, in it the furthest stage, newest step first."""
    return [
        entry for run in list_runs(home) for stage in DEFAULT_STAGES for entry in _of(run, stage)
    ]


def search(models: Sequence[ModelEntry], query: str) -> list[ModelEntry]:
    """Return the models that hold every word of the query, the newest of each stage first."""
    words = query.lower().split()
    found = [model for model in models if all(word in _haystack(model) for word in words)]
    return sorted(found, key=lambda model: not model.is_newest)


def find(models: Sequence[ModelEntry], reference: str) -> ModelEntry | None:
    """Return the model of RUN[:STAGE][@STEP], RUN being a slug or a name; the newest that fits."""
    return next((model for model in models if reference in _names_of(model)), None)


def first_two(models: Sequence[ModelEntry]) -> list[ModelEntry]:
    """Return what an arena begins with: the furthest model, and the stage that it came from."""
    newest = [model for model in models if model.is_newest]
    return newest[:2]


def _of(run: RunView, stage: str) -> list[ModelEntry]:
    views = {view.stage: view for view in run.stages}
    found = committed(RunPaths(run.path).checkpoints_dir(stage))
    view = views.get(stage, StageView(stage=stage))
    return [
        ModelEntry(
            name=f"{run.slug}:{stage}@{checkpoint.step}",
            run_id=run.run_id,
            run_name=run.name,
            stage=stage,
            step=checkpoint.step,
            state=run.state,
            val_bpb=view.val_bpb if checkpoint is found[-1] else None,
            created_s=run.created_s,
            tags=run.tags,
            is_newest=checkpoint is found[-1],
        )
        for checkpoint in reversed(found)
    ]


def _names_of(model: ModelEntry) -> set[str]:
    slug = model.name.partition(":")[0]
    places = ("", f":{model.stage}", f":{model.stage}@{model.step}", f"@{model.step}")
    return {f"{run}{place}" for run in (slug, model.run_name) for place in places}


def _haystack(model: ModelEntry) -> str:
    return " ".join((model.name, model.run_name, *model.tags, model.run_id)).lower()
