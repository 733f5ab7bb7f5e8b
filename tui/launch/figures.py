"""The plan of a draft in words: what it will build, what that takes, how that is known. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from core.hardware import Hardware
from core.plan import Plan, StagePlan
from core.scaling import count_params
from tui.launch.examine import WHOLE, Examined
from tui.launch.fields import effective_texts
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, Tone, ToneLine

NAME_WIDTH = 11
# From this width on, a figure and its source share a line.
WIDE = 64
_VALUE_WIDTH = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a plan; `source` says how it is known, `is_over` that there is not so much."""

    name: str
    value: str
    source: str
    is_over: bool = False


def plan_lines(examined: Examined, width: int, glyphs: Glyphs) -> tuple[ToneLine, ...]:
    """Return the text beside the form, wrapped to a width."""
    plan = examined.plan
    if plan is None:
        return tuple(_problem_lines(examined, width))
    lines = [*_wrapped(plan.headline(), width, "strong")]
    for text, tone in _remarks(plan, examined):
        lines += _wrapped(text, width, tone)
    lines.append(ToneLine(()))
    figures = plan_figures(examined)
    for item in figures:
        lines += _figure_lines(item, width)
    lines.append(ToneLine(()))
    lines += _stage_lines(plan, examined, width, glyphs)
    if width < WIDE:
        lines += [ToneLine(()), ToneLine((Piece("How that is known", "quiet"),))]
        for item in figures:
            told = f"too much: {item.source}" if item.is_over else item.source
            lines += _wrapped(f"{item.name}: {told}", width, "warning" if item.is_over else "quiet")
    return tuple(lines)


def plan_figures(examined: Examined) -> tuple[Figure, ...]:
    """Return the figures of a plan; none without one."""
    plan = examined.plan
    if plan is None:
        return ()
    trains = any(stage.steps is not None or stage.stage == "base" for stage in plan.stages)
    room, place = _room(plan.hardware)
    free = examined.free_bytes
    return (
        *(_model_figures(plan) if trains else ()),
        Figure(
            name="tokens",
            value=fmt.compact(plan.tokens) if plan.tokens else "none",
            source=plan.sources["tokens"],
        ),
        Figure(
            name="steps",
            value=str(plan.steps or "none"),
            source=plan.sources["steps"],
        ),
        Figure(
            name="FLOPs", value=f"{plan.flops:.2e}", source="of all training stages, closed form"
        ),
        Figure(
            name="time",
            value=f"~ {fmt.duration(plan.time_s)}",
            source=f"estimate: {plan.sources['time_s']}; the first steps of the run tell better",
        ),
        Figure(
            name="memory",
            value=f"<= {fmt.size(plan.memory_bytes)}",
            source=f"upper estimate of a training step; {place} {fmt.size(room)}",
            is_over=plan.memory_bytes > room,
        ),
        Figure(
            name="disk",
            value=f"~ {fmt.size(plan.disk_bytes)}",
            source=plan.sources["disk_bytes"]
            + ("" if free is None else f"; {fmt.size(free)} are free"),
            is_over=free is not None and plan.disk_bytes > free,
        ),
        _cost(plan, examined),
    )


def _model_figures(plan: Plan) -> tuple[Figure, ...]:
    params = count_params(plan.model)
    return (
        Figure(
            name="parameters",
            value=fmt.compact(params.total),
            source=f"closed form; {fmt.compact(params.scaling)} of them scale",
        ),
        Figure(
            name="model",
            value=f"d{plan.model.num_layers} x {plan.model.n_embd}",
            source=f"{plan.arch}, rows of {plan.model.sequence_len} tokens, "
            f"{plan.model.vocab_size} in the vocabulary",
        ),
    )


def _cost(plan: Plan, examined: Examined) -> Figure:
    given = examined.draft.get("usd_per_hour")
    try:
        price = float(given) if given else plan.usd_per_hour
    except ValueError:
        price = plan.usd_per_hour
    if price is None:
        source = "no price of this machine is known; give usd_per_hour"
        return Figure(name="cost", value="not known", source=source)
    usd = price * plan.time_s / 3600
    whose = "as given" if given else "the usual price of these GPUs"
    limit = examined.draft.get("max_usd")
    try:
        is_over = limit is not None and usd > float(limit)
    except ValueError:
        is_over = False
    return Figure(
        name="cost",
        value=f"~ ${usd:.2f}",
        source=f"time x ${price:.2f} an hour, {whose}"
        + (f"; max_usd stops it at ${float(limit):.2f}" if is_over and limit else ""),
        is_over=is_over,
    )


def _problem_lines(examined: Examined, width: int) -> Iterator[ToneLine]:
    yield from _wrapped("There is no plan: mend what is marked.", width, "quiet")
    for key, told in examined.problems.items():
        yield ToneLine(())
        if key:
            yield ToneLine((Piece(key, "strong"),))
        yield from _wrapped(told, width, "error")


def _remarks(plan: Plan, examined: Examined) -> Iterator[tuple[str, Tone]]:
    if (told := examined.problems.get(WHOLE)) is not None:
        yield told, "error"
    if not plan.is_here:
        yield f"The figures are for {plan.machine}, which this machine is not.", "warning"
    for note in plan.notes:
        yield note, "quiet"
    if examined.done_by is not None:
        yield f"Done already by {examined.done_by.slug}: nothing would be started.", "warning"
    if examined.missing and "from" not in examined.problems:
        taken = ", ".join(f"{name} ({stage})" for name, stage in examined.missing.items())
        yield f"Takes {taken} from {examined.draft.get('from')}.", "quiet"


def _stage_lines(plan: Plan, examined: Examined, width: int, glyphs: Glyphs) -> Iterator[ToneLine]:
    changed = examined.draft.settings
    for stage in plan.stages:
        steps = "" if stage.steps is None else f"{stage.steps} steps"
        num_changed = len(effective_texts([stage]).keys() & changed.keys())
        told = f"{num_changed} changed" if num_changed else ""
        left = f"{stage.stage:<{NAME_WIDTH}}{steps:<{_VALUE_WIDTH if width >= WIDE else 10}}"
        source = _sources(stage, glyphs) if width >= WIDE else ""
        room = width - len(left) - len(told) - 1
        pieces = [
            Piece(left, "plain"),
            Piece(glyphs.cut(told, max(width - len(left), 0)), "active"),
        ]
        if source and room > 8:
            pieces.append(Piece(f"{'  ' if told else ''}{glyphs.cut(source, room - 1)}", "quiet"))
        yield ToneLine(tuple(pieces))


def _sources(stage: StagePlan, glyphs: Glyphs) -> str:
    producers = dict.fromkeys(stage.inputs.values())
    return f"from {' '.join(producers)}" if producers else ""


def _figure_lines(item: Figure, width: int) -> Iterator[ToneLine]:
    tone: Tone = "warning" if item.is_over else "strong"
    name = Piece(item.name.ljust(NAME_WIDTH), "quiet")
    if width < WIDE:
        told = f"{item.value} (!)" if item.is_over else item.value
        yield ToneLine((name, Piece(told, tone)))
        return
    value = Piece(item.value.ljust(_VALUE_WIDTH), tone)
    words = f"too much: {item.source}" if item.is_over else item.source
    indent = NAME_WIDTH + _VALUE_WIDTH
    rows = textwrap.wrap(words, max(width - indent, 10)) or [""]
    yield ToneLine((name, value, Piece(rows[0], "warning" if item.is_over else "quiet")))
    for row in rows[1:]:
        yield ToneLine((Piece(" " * indent), Piece(row, "quiet")))


def _room(hardware: Hardware) -> tuple[int, str]:
    """Return the memory that a training step may fill, and where it lies."""
    if hardware.gpus:
        return min(gpu.memory_bytes for gpu in hardware.gpus), "a GPU has"
    return hardware.memory_bytes, "the machine has"


def _wrapped(text: str, width: int, tone: Tone) -> Iterator[ToneLine]:
    for row in textwrap.wrap(text, max(width, 10)):
        yield ToneLine((Piece(row, tone),))
