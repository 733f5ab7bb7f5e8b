"""How the view of a run that changes no more is kept on disk: as JSON, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from runs.alerting.host_alerts import RunAlert
from runs.views.kept_views import Form
from runs.views.run_view import RunView, StageView


def _freeze(view: RunView) -> dict[str, Any]:
    whole = {spec.name: getattr(view, spec.name) for spec in fields(view) if spec.name != "path"}
    return {
        **whole,
        "stages": [_unlike_new(stage) for stage in view.stages],
        "alerts": [asdict(alert) for alert in view.alerts],
    }


def _unlike_new(stage: StageView) -> dict[str, Any]:
    # What a stage has from the start need not be read a thousand times.
    return {
        spec.name: value
        for spec in fields(stage)
        if (value := getattr(stage, spec.name)) != spec.default and value != {}
    }


def _thaw(kept: dict[str, Any], run_dir: Path) -> RunView:
    # JSON knows no tuples and no paths.
    kept["stages"] = tuple([StageView(**stage) for stage in kept["stages"]])
    kept["tags"] = tuple(kept["tags"])
    kept["notes"] = tuple(kept["notes"])
    kept["alerts"] = tuple([RunAlert(**alert) for alert in kept["alerts"]])
    return RunView(**kept, path=run_dir)


KEPT_FORM = Form(
    fields=tuple(spec.name for cls in (RunView, StageView, RunAlert) for spec in fields(cls)),
    state=lambda view: view.state,
    freeze=_freeze,
    thaw=_thaw,
)
