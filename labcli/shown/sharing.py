"""A run as a page of Markdown that can be pasted into an issue or a chat. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from labcli.shown.runs import MODEL_STAGES, stage_time_s, total_time_s
from labcli.text.figures import ABSENT, figure, percent, seconds, when
from runs.export import describe
from runs.record import RunRecord
from runs.views.run_view import RunView


def card(view: RunView, record: RunRecord, logged: Mapping[str, Any]) -> str:
    """Return the page of one run: what it is, its stages, its skills, how to make it again.

    logged: the config that a tracked script gave to wandb.
    """
    blocks = [f"## {_plain(describe(view))}", _facts(view, record), _stages(view)]
    blocks += [block for block in (_skills(view), _settings(record, logged)) if block]
    if view.notes:
        blocks.append("\n".join(f"> {_plain(note)}" for note in view.notes))
    if record.argv:
        words = ["labcli", *record.argv[1:]]
        blocks.append(f"```sh\n{shlex.join(words)}\n```")
    return "\n\n".join(blocks) + "\n"


def _facts(view: RunView, record: RunRecord) -> str:
    git = str(record.git.get("sha") or "")[:12]
    dirty = " with changes" if record.git.get("is_dirty") else ""
    rows = {
        "run": f"`{view.run_id}`",
        "state": view.state + (f": {view.problem}" if view.problem else ""),
        "recipe": " ".join(part for part in (view.recipe, view.preset) if part),
        "created": when(view.created_s),
        "time": seconds(total_time_s(view)),
        "val bpb": figure(view.val_bpb),
        "validation text": f"`{view.val_sha256[:12]}`" if view.val_sha256 else "",
        "machine": _machine(record.host),
        "code": f"`{git}`{dirty}" if git else "",
        "tags": " ".join(view.tags),
    }
    model = record.plan.get("model")
    if isinstance(model, Mapping) and model.get("num_params"):
        rows["model"] = f"{model['num_params']:,} parameters, depth {model.get('depth')}"
    return _table(("", ""), [(key, text) for key, text in rows.items() if text and text != ABSENT])


def _machine(host: Mapping[str, Any]) -> str:
    gpus = [str(gpu.get("name")) for gpu in host.get("gpus") or () if isinstance(gpu, Mapping)]
    names = [f"{gpus.count(name)}x {name}" for name in dict.fromkeys(gpus)]
    return ", ".join(names) or str(host.get("cpu") or host.get("hostname") or "")


def _stages(view: RunView) -> str:
    rows = [
        (
            stage.stage,
            stage.state,
            seconds(stage_time_s(stage)),
            ABSENT if stage.step is None else str(stage.step),
            figure(stage.val_bpb),
            figure(stage.metrics.get("loss")),
        )
        for stage in view.stages
    ]
    return _table(("stage", "state", "time", "steps", "val bpb", "loss"), rows)


def _skills(view: RunView) -> str:
    results = {
        stage: seen.results
        for stage in MODEL_STAGES
        for seen in view.stages
        if seen.stage == f"eval-{stage}" and seen.results
    }
    tasks = dict.fromkeys(task for found in results.values() for task in found)
    rows = []
    for task in tasks:
        cells = [found.get(task, {}) for found in results.values()]
        chance = next((cell["chance"] for cell in cells if "chance" in cell), None)
        rows.append([task, *(percent(cell.get("accuracy")) for cell in cells), percent(chance)])
    return _table(("skill", *results, "chance"), rows) if rows else ""


def _settings(record: RunRecord, logged: Mapping[str, Any]) -> str:
    lines = [
        f"| {entry.stage}.{_plain(str(key))} | `{_plain(str(value))}` |"
        for entry in record.stages
        for key, value in entry.config.items()
    ]
    lines += [f"| {_plain(key)} | `{_plain(str(value))}` |" for key, value in logged.items()]
    if not lines:
        return ""
    head = f"<details><summary>{len(lines)} settings</summary>\n\n| setting | value |\n|---|---|\n"
    return head + "\n".join(lines) + "\n\n</details>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return text that neither ends a cell nor begins a tag."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
