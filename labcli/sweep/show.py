"""Sweeps as tables and JSON shapes. Pure: what is shown is decided here, written elsewhere."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcli.shown.runs import stage_time_s
from labcli.sweep.axes import SEED
from labcli.sweep.planning import Planned, Totals
from labcli.text.figures import ABSENT, figure, seconds, size, when
from labcli.text.tables import render
from runs.scheduling.budget import Budget, dollars
from runs.scheduling.sweep import Sweep
from runs.scheduling.sweeping import VariantView, count_states
from runs.views.run_view import RunView
from runs.views.states import ENDED

VAL_BPB = "val_bpb"
LIST_COLUMNS = ("sweep_id", "slug", "name", "what", "state", "created_s", "num_runs", "num_done")
_PLAN_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The number by which variants are told apart."""

    name: str = VAL_BPB
    is_highest: bool = False

    def of(self, run: RunView | None) -> float | None:
        """Return the last value of the run, or None where it was not measured."""
        if run is None:
            return None
        if self.name == VAL_BPB:
            return run.val_bpb
        found = [stage.metrics[self.name] for stage in run.stages if self.name in stage.metrics]
        return found[-1] if found else None

    def best(self, views: Sequence[VariantView]) -> VariantView | None:
        """Return the best variant among those that were measured."""
        measured = [view for view in views if self.of(view.run) is not None]
        if not measured:
            return None
        pick = max if self.is_highest else min
        return pick(measured, key=lambda view: self.of(view.run) or 0.0)


def short_keys(keys: Sequence[str]) -> list[str]:
    """Return settings without their stage where that is unambiguous: "depth", not "base.depth"."""
    tails = [key.rpartition(".")[2] for key in keys]
    return [tail if tails.count(tail) == 1 else key for key, tail in zip(keys, tails, strict=True)]


def plan_text(planned: Sequence[Planned], sums: Totals, *, code: str) -> str:
    """Return what a sweep will do: its totals, then its variants, as many as fit a screen."""
    skipped = len(planned) - sums.num_runs
    rows = [
        ("runs", f"{sums.num_runs}" + (f", and {skipped} done already" if skipped else "")),
        ("time", f"about {seconds(sums.wall_s)}, {sums.num_at_once} at once"),
        ("cost", ABSENT if sums.usd is None else f"${sums.usd:.2f}"),
        ("disk", size(sums.disk_bytes)),
        ("code", code),
    ]
    keys = list(dict.fromkeys(key for item in planned for key in item.changed))
    header = ["#", *short_keys(keys), "time", "disk", "done by"]
    table = [
        [
            str(index),
            *(item.changed.get(key, ABSENT) for key in keys),
            seconds(item.plan.time_s),
            size(item.plan.disk_bytes),
            item.same.slug if item.same else ABSENT,
        ]
        for index, item in enumerate(planned[:_PLAN_ROWS], 1)
    ]
    if not skipped:
        header, table = header[:-1], [row[:-1] for row in table]
    lines = [f"{name}  {value}" for name, value in rows]
    more = len(planned) - len(table)
    text = render([name.upper() for name in header], table, right="r" * (len(keys) + 3))
    return "\n".join([*lines, "", text, *([f"and {more} more"] if more else [])])


def plan_object(planned: Sequence[Planned], sums: Totals) -> dict[str, Any]:
    """Return the document of `sweep create --dry-run --json`."""
    return {
        "num_runs": sums.num_runs,
        "num_at_once": sums.num_at_once,
        "time_s": round(sums.wall_s, 1),
        "work_s": round(sums.work_s, 1),
        "usd": sums.usd,
        "disk_bytes": sums.disk_bytes,
        "variants": [
            {
                "index": index,
                "changed": dict(item.changed),
                "same_as": item.same.run_id if item.same else None,
                "plan": item.body,
            }
            for index, item in enumerate(planned, 1)
        ],
    }


def status_object(sweep: Sweep, views: Sequence[VariantView], metric: Metric) -> dict[str, Any]:
    """Return the document of `sweep status --json`."""
    best = metric.best(views)
    return {
        **list_row(sweep, views),
        "metric": metric.name,
        "best": best.variant.index if best else None,
        "states": dict(count_states(views)),
        "variants": [
            {
                "index": view.variant.index,
                "changed": dict(view.variant.changed),
                "state": view.state,
                "position": view.run.position if view.run else None,
                "run_id": view.run.run_id if view.run else None,
                "slug": view.run.slug if view.run else None,
                "is_reused": view.variant.same_as is not None,
                "value": metric.of(view.run),
                "worked_s": view.run.worked_s if view.run else None,
                "usd": view.run.usd if view.run else None,
                "problem": view.run.problem if view.run else None,
            }
            for view in views
        ],
    }


def status_text(sweep: Sweep, views: Sequence[VariantView], metric: Metric, budget: Budget) -> str:
    """Return the readable form of `sweep status`."""
    keys = sweep.keys
    best = metric.best(views)
    header = ["#", *short_keys(keys), "state", metric.name.replace("_", " "), "time", "run"]
    rows = [_status_row(view, keys, metric, is_best=view is best) for view in views]
    counts = ", ".join(f"{count} {state}" for state, count in count_states(views).items())
    table = render([name.upper() for name in header], rows, right="r" * (len(keys) + 1) + "lrr")
    lines = [f"{sweep.name}  {sweep_state(views)}: {counts}", *_spent(views, budget), "", table]
    if best is not None:
        lines.append(f"* the {'highest' if metric.is_highest else 'lowest'} {metric.name}")
    if any(view.variant.same_as for view in views):
        lines.append("= done by an earlier run")
    if groups := _seed_lines(keys, views, metric):
        lines += ["", *groups]
    lines += _problems(views)
    waits = [view.run.problem for view in views if view.run and view.run.position == 1]
    return "\n".join([*lines, *[f"the next run {why}" for why in waits if why]])


def _spent(views: Sequence[VariantView], budget: Budget) -> list[str]:
    own = [view.run for view in views if view.run and not view.variant.same_as]
    worked_s = sum(run.worked_s or 0.0 for run in own)
    known = [run.usd for run in own if run.usd is not None]
    if not worked_s and not budget.is_limited:
        return []
    hours = "" if budget.max_hours is None else f" of {seconds(budget.max_hours * 3600)}"
    limit = "" if budget.max_usd is None else f" of {dollars(budget.max_usd)}"
    usd = f", {dollars(sum(known))}{limit}" if known or limit else ""
    return [f"at work for {seconds(worked_s)}{hours}{usd}"]


def _status_row(
    view: VariantView, keys: Sequence[str], metric: Metric, *, is_best: bool
) -> list[str]:
    run = view.run
    changed = [view.variant.changed.get(key, ABSENT) for key in keys]
    if run is None:
        return [str(view.variant.index), *changed, view.state, ABSENT, ABSENT, ABSENT]
    times = [stage_time_s(stage) for stage in run.stages]
    known = [value for value in times if value is not None]
    place = f" {run.position}" if run.position else ""
    return [
        str(view.variant.index),
        *changed,
        view.state + place + _progress(run),
        figure(metric.of(run)) + ("*" if is_best else " "),
        seconds(sum(known)) if known else ABSENT,
        run.slug + (" =" if view.variant.same_as else ""),
    ]


def _progress(run: RunView) -> str:
    stage = next((stage for stage in run.stages if stage.stage == run.stage), None)
    if run.state != "running" or stage is None or not stage.done or not stage.total:
        return ""
    return f" {100 * stage.done / stage.total:.0f}%"


def _problems(views: Sequence[VariantView]) -> list[str]:
    """Return what went wrong, each cause once, with the variants that it hit."""
    hit: dict[str, list[str]] = {}
    for view in views:
        if view.run is not None and view.run.problem and view.run.position is None:
            # A line names its run where it says what to do next.
            said = view.run.problem.replace(view.run.slug, "RUN")
            hit.setdefault(said, []).append(str(view.variant.index))
    return [f"{', '.join(numbers)}: {problem}" for problem, numbers in hit.items()]


def _seed_lines(keys: Sequence[str], views: Sequence[VariantView], metric: Metric) -> list[str]:
    """Return mean and spread over the seeds of each setting, where there are several seeds."""
    if SEED not in keys:
        return []
    others = [key for key in keys if key != SEED]
    groups: dict[tuple[str, ...], list[float]] = {}
    for view in views:
        value = metric.of(view.run)
        if value is not None:
            group = tuple(view.variant.changed.get(key, ABSENT) for key in others)
            groups.setdefault(group, []).append(value)
    rows = [
        [
            *group,
            str(len(values)),
            figure(statistics.mean(values)),
            figure(statistics.stdev(values)) if len(values) > 1 else ABSENT,
        ]
        for group, values in groups.items()
    ]
    if not rows:
        return []
    header = [*short_keys(others), "seeds", f"mean {metric.name}", "sd"]
    return [render([name.upper() for name in header], rows, right="r" * len(header))]


def list_row(sweep: Sweep, views: Sequence[VariantView]) -> dict[str, Any]:
    """Return one element of `sweep list --json`."""
    return {
        "sweep_id": sweep.sweep_id,
        "slug": sweep.slug,
        "name": sweep.name,
        "what": sweep.what,
        "preset": sweep.preset,
        "state": sweep_state(views),
        "created_s": sweep.created_s,
        "num_runs": len(views),
        "num_done": sum(view.state == "finished" for view in views),
        "keys": list(sweep.keys),
        "budget": dict(sweep.budget),
    }


def list_table(
    pairs: Sequence[tuple[Sweep, Sequence[VariantView]]], *, width: int | None = None
) -> str:
    """Return the table of `sweep list`."""
    if not pairs:
        return "no sweeps yet; start one with: labcli sweep create base --grid base.depth=2,4"
    metric = Metric()
    rows = []
    for sweep, views in pairs:
        best = metric.best(views)
        done = sum(view.state == "finished" for view in views)
        rows.append(
            [
                sweep.slug if sweep.name == sweep.slug else f"{sweep.slug} ({sweep.name})",
                sweep_state(views),
                f"{done}/{len(views)}",
                figure(metric.of(best.run) if best else None),
                when(sweep.created_s),
            ]
        )
    return render(
        ("SWEEP", "STATE", "DONE", "BEST BPB", "CREATED"), rows, right="llrr", width=width
    )


def sweep_state(views: Sequence[VariantView]) -> str:
    """Return one word for a sweep: running, queued, finished, or ended with some not done."""
    states: Mapping[str, int] = count_states(list(views))
    if set(states) <= {"finished"}:
        return "finished"
    if set(states) & {"running", "stalled", "stopping"}:
        return "running"
    if "queued" in states:
        return "queued"
    return "ended" if set(states) <= ENDED else "incomplete"
