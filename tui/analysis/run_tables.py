"""The sections of a run's page that are tables and trees: lineage to events. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runs.statistics import share_interval
from runs.views.run_view import StageView
from tui.analysis.lineage_tree import TreeRow, rebuild_commands, tree_rows, why_stale
from tui.analysis.rows import Cell, Row, TableRow, blank, heading, remark, table
from tui.analysis.run_page import RunPage
from tui.analysis.words import HASH_CHARS, pretty
from tui.live.present import MODEL_STAGES
from tui.live.saved import SavedCheckpoint
from tui.shell import format as fmt
from tui.shell.format import counted
from tui.shell.glyphs import ASCII_TREE, UNICODE_TREE, Glyphs
from tui.shell.tones import Piece, Tone, ToneLine, state_tone

_BAR_WIDTH = 30


def lineage(page: RunPage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return what was made from what as a tree, what is stale, and how to make it again."""
    found = page.lineage
    if found is None:
        return [remark(page.problems.get("lineage", "nothing is known of its lineage"), "warning")]
    branches = ASCII_TREE if glyphs.is_ascii else UNICODE_TREE
    rows = [_tree_row(row, glyphs, place) for place, row in enumerate(tree_rows(found, branches))]
    header = ("stage", "state", "made", "sha256", "size")
    shown = table(header, rows, width=width, glyphs=glyphs, right="llllr", flexible=2)
    if not found.stale:
        return [*shown, blank(), remark("nothing is stale", "good")]
    shown += [blank(), heading("stale", counted(len(found.stale), "stage"), "warning")]
    shown += [remark(why_stale(node), "warning") for node in found.stale]
    shown += [blank(), heading("to rebuild, in this order")]
    return [*shown, *(remark(line) for line in rebuild_commands(found))]


def _tree_row(row: TreeRow, glyphs: Glyphs, place: int) -> TableRow:
    output = row.output
    state = "" if not row.state else f"{glyphs.state(row.node.state)} {row.state}"
    tone: Tone = "warning" if row.state == "stale" else state_tone(row.node.state)
    made, sha256, size = glyphs.absent if row.is_first else "", "", ""
    if output is not None:
        mark = "" if output.condition == "ok" else f" ({output.condition})"
        made, sha256 = output.label + mark, output.sha256[:HASH_CHARS]
        size = "" if output.num_bytes is None else fmt.size(output.num_bytes)
    uses = [f"{use.state:<8} {use.label} {use.sha256[:HASH_CHARS]}" for use in row.node.uses]
    lines = [f"{row.node.slug}:{row.node.key.stage}", ""]
    if output is not None:
        lines += [
            f"made     {output.label}",
            f"sha256   {output.sha256}",
            f"path     {output.path}",
        ]
    lines += ["", "made from", *(uses or ["nothing of this lab"])]
    is_lost = output is not None and output.condition != "ok"
    return TableRow(
        cells=(
            Cell(text=f"{row.lead}{row.name}", tone="strong"),
            Cell(text=state, tone=tone),
            Cell(text=made, tone="warning" if is_lost else "plain"),
            Cell(text=sha256, tone="quiet"),
            Cell(text=size),
        ),
        key=f"{row.node.key.run_id}{row.node.key.stage}{place}",
        value=output.sha256 if output is not None else row.name,
        detail="\n".join(lines),
    )


def checkpoints(page: RunPage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return every checkpoint that was written, with the reference that names it."""
    if not page.checkpoints:
        text = "no checkpoints yet: a model stage writes them every save_every steps"
        return [remark(page.problems.get("checkpoints", text))]
    rows = [_checkpoint_row(one, page.view.slug, glyphs) for one in page.checkpoints]
    header = ("reference", "step", "size", "val bpb", "sha256", "", "written")
    shown = table(header, rows, width=width, glyphs=glyphs, right="lrrrlll", flexible=0)
    kept = sum(one.is_kept for one in page.checkpoints)
    note = f"{kept} of {len(page.checkpoints)} are on disk; a stage keeps keep_checkpoints of them"
    return [*shown, blank(), Row(line=ToneLine((Piece(note, "quiet"),)), is_heading=True)]


def _checkpoint_row(one: SavedCheckpoint, slug: str, glyphs: Glyphs) -> TableRow:
    made = one.written
    reference = f"{slug}{made.reference}"
    tone: Tone = "plain" if one.is_kept else "quiet"
    bpb = "" if one.val_bpb is None else f"{one.val_bpb:.4f}"
    size = "" if made.num_bytes is None else fmt.size(made.num_bytes)
    detail = [
        reference,
        "",
        f"step     {made.step:,}",
        f"size     {size}",
        f"val bpb  {bpb or 'not measured at this step'}",
        f"sha256   {made.sha256}",
        f"on disk  {'yes' if one.is_kept else 'no, removed to save room'}",
        "",
        f"labcli chat --model {reference}",
    ]
    return TableRow(
        cells=(
            Cell(text=made.reference, tone="strong" if one.is_kept else "quiet"),
            Cell(text=f"{made.step:,}", tone=tone),
            Cell(text=size, tone=tone),
            Cell(text=bpb or glyphs.absent, tone="strong" if one.is_best else tone),
            Cell(text=made.sha256[:HASH_CHARS], tone="quiet"),
            Cell(text=one.mark, tone="good" if one.is_best else "quiet"),
            Cell(text=fmt.clock(made.t), tone="quiet"),
        ),
        key=reference,
        value=reference,
        detail="\n".join(detail),
    )


def evals(page: RunPage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return task results beside chance and the base model, then bits per byte over steps."""
    rows: list[Row] = []
    for stage in page.view.stages:
        if any("accuracy" in task for task in (stage.results or {}).values()):
            rows += [heading(stage.stage), *_results(stage, width, glyphs), blank()]
    measured = [
        (stage, [one for one in facts.evals if one["val_bpb"] is not None])
        for stage, facts in page.facts.items()
    ]
    order = [stage.stage for stage in page.view.stages]
    known = [one for one in measured if one[0] in order and one[0] in MODEL_STAGES and one[1]]
    for stage_name, entries in sorted(known, key=lambda one: order.index(one[0])):
        rows += [heading(f"{stage_name}: validation bits per byte")]
        rows += [*_bpb_rows(stage_name, entries, width, glyphs), blank()]
    return rows[:-1] or [remark("nothing has been measured yet")]


def _results(stage: StageView, width: int, glyphs: Glyphs) -> list[Row]:
    rows = []
    for task, values in sorted((stage.results or {}).items()):
        accuracy, num = values.get("accuracy"), int(values.get("n") or 0)
        if accuracy is None:
            continue
        chance, base = values.get("chance"), values.get("base")
        ends = _interval(accuracy, num)
        rows.append(
            TableRow(
                cells=(
                    Cell(text=task),
                    Cell(text=fmt.percent(accuracy, 1), tone="strong"),
                    Cell(text=ends, tone="quiet"),
                    Cell(text=fmt.percent(chance, 1, glyphs.absent), tone="quiet"),
                    Cell(text=fmt.percent(base, 1, glyphs.absent), tone="quiet"),
                    Cell(text=f"{num:,}", tone="quiet"),
                    Cell(text=_scale(accuracy, chance, glyphs), tone="good"),
                ),
                key=f"{stage.stage} {task}",
                value=f"{task} {accuracy}",
                detail=pretty({"stage": stage.stage, "task": task, **values}),
            )
        )
    header = ("task", "accuracy", "95 % interval", "chance", "base", "n", "above chance")
    return table(header, rows, width=width, glyphs=glyphs, right="lrlrrrl")


def _interval(accuracy: float, num: int) -> str:
    if not num:
        return ""
    found = share_interval(round(accuracy * num), num)
    if found.ci_low is None or found.ci_high is None:
        return ""
    return f"{fmt.percent(found.ci_low)} to {fmt.percent(found.ci_high)}"


def _scale(accuracy: float, chance: float | None, glyphs: Glyphs) -> str:
    """Return how much of the way from chance to everything right was gone."""
    low = chance or 0.0
    share = (accuracy - low) / (1.0 - low) if low < 1.0 else 0.0
    return glyphs.bar(share, 12)


def _bpb_rows(
    stage: str, entries: Sequence[Mapping[str, object]], width: int, glyphs: Glyphs
) -> list[Row]:
    values = [float(str(entry["val_bpb"])) for entry in entries]
    best, worst = min(values), max(values)
    rows = []
    for entry, value in zip(entries, values, strict=True):
        share = (value - best) / (worst - best) if worst > best else 0.0
        rows.append(
            TableRow(
                cells=(
                    Cell(text=f"{entry['step']:,}"),
                    Cell(text=f"{value:.4f}", tone="strong"),
                    Cell(text=glyphs.bar(share, _BAR_WIDTH), tone="active"),
                    Cell(text="best" if value == best else "", tone="good"),
                ),
                key=f"{stage} {entry['step']}",
                value=repr(value),
                detail=pretty({"stage": stage, **entry}),
            )
        )
    header = ("step", "val bpb", "from the best to the worst", "")
    return table(header, rows, width=width, glyphs=glyphs, right="rrll")
