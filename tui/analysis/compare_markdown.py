"""A comparison of runs as a page of Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runs.analysis.diff import Changed
from tui.analysis.compare_page import ComparePage
from tui.analysis.differences import code_lines, one_line_per_stage
from tui.analysis.laws import law_lines, loss_name, size_lines
from tui.analysis.partings import about_line, parting_lines
from tui.analysis.verdicts import UNITS, axis_text, floor_line, pair_lines
from tui.analysis.words import cell, metric_text


def markdown(page: ComparePage) -> str:
    """Return everything that the page knows, section by section."""
    blocks = [f"# {' against '.join(reversed(page.names[:2]))}" if len(page.names) == 2 else
              f"# {len(page.names)} runs compared"]  # fmt: skip
    blocks += [_escaped(line) for line in page.unreadable]
    blocks += [*_verdict(page), *_changes(page), *_code(page), *_why(page), *_scaling(page)]
    return "\n\n".join(blocks) + "\n"


def _verdict(page: ComparePage) -> list[str]:
    found = page.found
    if found is None:
        return [_escaped(page.problem or page.problems.get("verdict", ""))]
    header = ["run", "state", "last", "best", *(UNITS[axis] for axis in page.axes)]
    rows = [
        [
            page.names[place],
            one.state,
            metric_text(one.last),
            f"{metric_text(one.best)} at {one.best_step}",
            *(axis_text(axis, one.spent[axis]) for axis in page.axes),
        ]
        for place, one in enumerate(found.standings)
    ]
    blocks = [f"## {found.metric} of {found.stage}", _table(header, rows)]
    if found.problem:
        return [*blocks, f"Not compared: {found.problem}"]
    first = found.standings[0].name
    for pair in found.pairs:
        head, *lines = pair_lines(pair, first, found.metric)
        items = "\n".join(f"- {_escaped(line)}" for line in lines)
        blocks += [f"### {_escaped(head)}", items]
    return [*blocks, _escaped(floor_line(found.floor, page.repeat))]


def _changes(page: ComparePage) -> list[str]:
    blocks = ["## What differs"]
    parts = (
        ("Settings", one_line_per_stage(page.config)),
        ("Inputs", page.data),
        ("Environment", page.environment),
    )
    for title, found in parts:
        told = _changed_table(page, found) if found else "The same."
        blocks += [f"### {title}", told]
    return blocks


def _changed_table(page: ComparePage, found: Sequence[Changed]) -> str:
    rows = [
        [
            change.key,
            *(
                cell(value) if is_known else "-"
                for value, is_known in zip(change.values, change.is_known, strict=True)
            ),
        ]
        for change in found
    ]
    return _table(["key", *page.names], rows)


def _code(page: ComparePage) -> list[str]:
    blocks = ["### Code"]
    for name, change in zip(page.names[1:], page.code, strict=False):
        if change.is_same:
            blocks.append(f"{_escaped(name)}: the same.")
        else:
            lines = code_lines(page.names[0], name, change, rest="labcli runs diff --code")
            blocks.append("\n".join(f"    {line}" for line in lines))
    return blocks


def _why(page: ComparePage) -> list[str]:
    found = page.reasons
    if found is None:
        told = page.problems.get("why")
        return ["## Why", _escaped(told)] if told else []
    first, second = page.names[0], page.names[page.pair]
    lines = parting_lines(found, first, second)
    rows = [
        [
            str(place) if reason.could_part else "-",
            f"{reason.kind} {reason.key}",
            *(
                cell(value) if is_known else "-"
                for value, is_known in zip(reason.values, reason.is_known, strict=True)
            ),
            about_line(reason),
        ]
        for place, reason in enumerate(found.reasons, start=1)
    ]
    blocks = [f"## Why {_escaped(second)} differs from {_escaped(first)}"]
    blocks.append("\n".join(f"- {_escaped(line)}" for line in lines))
    if rows:
        blocks.append(_table(["", "difference", first, second, "acts on"], rows))
    return blocks


def _scaling(page: ComparePage) -> list[str]:
    fit = page.fit
    if fit is None:
        return []
    if fit.law is None:
        return ["## Scaling", _escaped(str(fit.problem))]
    lines = (*law_lines(fit, loss_name(fit.data.metric)), *size_lines(fit))
    return ["## Scaling", "\n".join(f"- {_escaped(line)}" for line in lines)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_escaped(text) for text in line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Return a text in which names with * or | stay as they are."""
    shown = " ".join(text.split())
    for char in "\\`*|<":
        shown = shown.replace(char, f"\\{char}")
    return shown
