"""The overview of a run's page: how it stands, on which evidence, its stages and its cost. Pure."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from runs.scheduling.budget import dollars
from runs.scheduling.snapshot import describe
from runs.supervision.control import StageControl
from runs.views.run_view import StageView
from runs.views.states import ACTIVE, ENDED
from tui.analysis.rows import Cell, Row, TableRow, blank, fact, heading, remark, table
from tui.analysis.run_page import RunPage
from tui.analysis.words import metric_text, short_count
from tui.live import present
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import state_tone


def overview(page: RunPage, *, width: int, glyphs: Glyphs, now: float) -> list[Row]:
    """Return what a run is, how it stands and on which evidence."""
    return [
        *_state_rows(page, glyphs, now),
        blank(),
        *_stage_rows(page, width, glyphs, now),
        blank(),
        *_plan_rows(page, now),
        blank(),
        *_origin_rows(page),
    ]


def _state_rows(page: RunPage, glyphs: Glyphs, now: float) -> list[Row]:
    view = page.view
    state = f"{glyphs.state(view.state)} {view.state}"
    rows = [fact("state", state, tone=state_tone(view.state), detail=_state_detail(page, now))]
    rows += [
        Row(line=row.line, key=f"evidence {place}", value=row.value, detail=row.detail)
        for place, row in enumerate(fact("", line) for line in evidence(page, now))
    ]
    if view.problem:
        rows.append(fact("to know", view.problem, tone="warning"))
    for stage in view.stages:
        if stage.error:
            rows.append(fact("error", f"{stage.stage}: {stage.error}", tone="error"))
    return rows


def evidence(page: RunPage, now: float) -> list[str]:
    """Return from which signs of life, or of death, the state follows."""
    view, control, here = page.view, page.control, page.presence
    lines = []
    if here is not None and here.supervisor is not None and control.supervisor is not None:
        # One that has said its last word is not missed.
        left = "has left" if control.state in ENDED else "is gone"
        words = {"alive": "is alive", "dead": left, "elsewhere": "is on another machine"}
        last = "" if control.last_s is None else f", last wrote {fmt.age(now - control.last_s)} ago"
        pid = control.supervisor.pid
        lines.append(f"supervisor {pid} {words[here.supervisor]}{last}")
    elif view.state != "unreadable":
        lines.append("no supervisor has taken it up")
    if control.state and control.state != view.state:
        lines.append(f"its supervisor said last: {control.state}")
    current = present.current_stage(view)
    if current is not None:
        lines += _stage_evidence(current, control.stages.get(current.stage), page, now)
    return lines


def _stage_evidence(
    stage: StageView, launched: StageControl | None, page: RunPage, now: float
) -> list[str]:
    facts = page.facts.get(stage.stage)
    lines = []
    if launched is not None and launched.exit is not None:
        ended = launched.exit
        if ended.signal is not None:
            how = f"was ended by {_signal_name(ended.signal)}"
        else:
            how = "ended unseen" if ended.code is None else f"left with exit code {ended.code}"
        lines.append(f"{stage.stage}: its worker {how} at {fmt.clock(ended.t)}")
    elif launched is not None and launched.worker is not None:
        lines.append(f"{stage.stage}: worker {launched.worker.pid}, attempt {launched.attempt}")
    if facts is not None and facts.end_reason:
        lines.append(f"{stage.stage}: its events end with {facts.end_reason}")
    elif facts is not None and facts.last_s is not None:
        doing = f", at {facts.phase}" if facts.phase else ""
        lines.append(f"{stage.stage}: last event {fmt.age(now - facts.last_s)} ago{doing}")
    return lines


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _state_detail(page: RunPage, now: float) -> str:
    return "\n".join([f"{page.view.name} is {page.view.state}, because", "", *evidence(page, now)])


def _stage_rows(page: RunPage, width: int, glyphs: Glyphs, now: float) -> list[Row]:
    rows = []
    for stage in page.view.stages:
        state = f"{glyphs.state(stage.state)} {stage.state}"
        bpb = "" if stage.val_bpb is None else f"{stage.val_bpb:.4f}"
        tries = "" if stage.attempt <= 1 else f"{stage.attempt} tries"
        rows.append(
            TableRow(
                cells=(
                    Cell(text=stage.stage, tone="strong"),
                    Cell(text=state, tone=state_tone(stage.state)),
                    Cell(text=present.stage_time(stage, now)),
                    Cell(text=_count(stage)),
                    Cell(text=bpb, tone="strong"),
                    Cell(text=tries, tone="quiet"),
                ),
                key=f"stage {stage.stage}",
                value=f"{page.view.slug}:{stage.stage}",
                detail=_stage_detail(page, stage, now),
            )
        )
    if not rows:
        return [remark("no stages: run.json cannot be read")]
    header = ("stage", "state", "time", "done", "val bpb", "")
    return table(header, rows, width=width, glyphs=glyphs, right="llrrrl", flexible=3)


def _count(stage: StageView) -> str:
    """Return the work that a stage counts; of a finished one only what came to its end."""
    is_short = None not in (stage.done, stage.total) and stage.done != stage.total
    return "" if stage.state == "finished" and is_short else present.stage_count(stage, 20)


def _stage_detail(page: RunPage, stage: StageView, now: float) -> str:
    plan = (
        [entry for entry in page.record.stages if entry.stage == stage.stage]
        if (page.record)
        else []
    )
    lines = [
        f"{stage.stage} is {stage.state}",
        "",
        f"attempt        {stage.attempt}",
        f"started        {_moment(stage.started_s)}",
        f"ended          {_moment(stage.ended_s)}",
        f"took           {present.stage_time(stage, now)}",
        f"config hash    {plan[0].config_hash if plan else ''}",
        f"resumed from   {'' if stage.resumed_from is None else f'step {stage.resumed_from}'}",
    ]
    lines += [f"{key:<14} {metric_text(value)}" for key, value in sorted(stage.metrics.items())]
    return "\n".join(line for line in lines if line == "" or len(line.split()) > 1)


def _plan_rows(page: RunPage, now: float) -> list[Row]:
    view, record = page.view, page.record
    plan: Mapping[str, Any] = record.plan if record else {}
    model = plan.get("model") if isinstance(plan.get("model"), dict) else {}
    rows = [heading("plan and cost")]
    if model:
        shape = f"{model.get('arch')} d{model.get('depth')}, width {model.get('n_embd')}"
        params = _number(model.get("num_params"))
        rows.append(fact("model", f"{shape}, {short_count(params)} parameters"))
    if plan.get("tokens"):
        flops = _number(plan.get("flops")) or 0.0
        tokens = f"{short_count(_number(plan['tokens']))} tokens, {flops:.3g} FLOPs"
        rows.append(fact("training", f"{tokens}, {plan.get('steps'):,} steps"))
    if plan.get("memory_bytes"):
        memory, disk = _number(plan["memory_bytes"]) or 0, _number(plan.get("disk_bytes")) or 0
        rows.append(fact("needs", f"{fmt.size(memory)} memory, {fmt.size(disk)} disk"))
    planned, usd = _number(plan.get("time_s")), _number(plan.get("usd"))
    took = "not started" if view.worked_s is None else fmt.duration(view.worked_s)
    rows.append(
        fact("time at work", took, note=f"planned {fmt.duration(planned)}" if planned else "")
    )
    cost = "no price is known" if view.usd is None else dollars(view.usd)
    rows.append(fact("cost", cost, note=f"planned {dollars(usd)}" if usd else ""))
    rows.append(
        fact("created", _moment(view.created_s), note=f"{fmt.age(now - view.created_s)} old")
    )
    if view.started_s is not None:
        end = _moment(view.ended_s) if view.state not in ACTIVE else "goes on"
        rows.append(fact("started", _moment(view.started_s)))
        rows.append(fact("ended", end))
    return rows


def _origin_rows(page: RunPage) -> list[Row]:
    view, record = page.view, page.record
    rows = [heading("identity"), fact("run id", view.run_id), fact("slug", view.slug)]
    rows.append(replace(fact("directory", fmt.below_home(view.path)), value=str(view.path)))
    if record is not None:
        seeds = {entry.config["seed"] for entry in record.stages if "seed" in entry.config}
        rows.append(fact("seed", ", ".join(map(str, sorted(seeds))) or "none"))
        rows.append(fact("plan hash", record.plan_hash))
        rows.append(fact("source", describe(record.source)))
        # Where the command is installed is no part of what was asked for.
        words = [*(PurePath(word).name for word in record.argv[:1]), *record.argv[1:]]
        rows.append(fact("command", shlex.join(words)))
        if record.parents:
            rows.append(fact("parents", " ".join(record.parents)))
    rows.append(fact("tags", " ".join(view.tags) or "none"))
    rows += [fact("note", note) for note in view.notes]
    return rows


def _moment(t: float | None) -> str:
    return "" if t is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
