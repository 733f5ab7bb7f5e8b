"""`runs why`: where two curves part and what could have parted them, on one page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from labcli.analysis.comparisons import wrapped
from labcli.analysis.diffs import run_object
from labcli.text.cells import cut
from labcli.text.figures import ABSENT
from labcli.text.tables import render
from runs.analysis.reasons import Reason
from runs.analysis.why import Why
from runs.views.card import RunCard
from tui.analysis.partings import about_line, parting_lines
from tui.analysis.words import cell

MAX_REASONS = 20
MIN_ABOUT = 12


def why_object(found: Why, cards: Sequence[RunCard]) -> dict[str, Any]:
    """Return the document of `runs why --json`."""
    return {
        "runs": [run_object(card) for card in cards],
        "stage": found.stage,
        "metric": found.metric,
        "problem": found.problem,
        "parting": asdict(found.parting),
        "schedule_from": found.schedule_from,
        "noise_floor": found.noise_floor,
        "reasons": [asdict(reason) for reason in found.reasons],
    }


def why_text(found: Why, names: Sequence[str], width: int) -> str:
    """Return the page of `runs why`, in at most `width` columns."""
    first, second = names
    head = [f"{second} against {first}, {found.metric} of {found.stage}"]
    head += [wrapped(line, width) for line in parting_lines(found, first, second)]
    if found.problem:
        head.append(wrapped(f"beware: {found.problem}", width))
    if not found.reasons:
        return "\n".join([*head, "", "nothing that is recorded differs between the two"])
    shown = found.reasons[:MAX_REASONS]
    blocks = ["\n".join(head), reasons_table(shown, names, width)]
    hidden = len(found.reasons) - len(shown)
    tail = "Ranked by what such a difference can do and when it acts; a rank is no proof."
    more = f" {hidden} more with --json." if hidden else ""
    return "\n\n".join([*blocks, wrapped(tail + more, width)])


def reasons_table(reasons: Sequence[Reason], names: Sequence[str], width: int) -> str:
    """Return the reasons as a table, the likeliest first."""
    keys = [f"{reason.kind} {reason.key}" for reason in reasons]
    key_width = min(max(map(len, keys)), width // 3)
    room = max(8, (width - key_width - MIN_ABOUT - 10) // 4)
    rows = []
    for place, (reason, key) in enumerate(zip(reasons, keys, strict=True), start=1):
        values = [
            cut(cell(value), room) if is_known else ABSENT
            for value, is_known in zip(reason.values, reason.is_known, strict=True)
        ]
        mark = str(place) if reason.could_part else "-"
        rows.append([mark, cut(key, key_width), *values, about_line(reason)])
    lines = render(["", "DIFFERENCE", *(cut(n, room) for n in names), "ACTS ON"], rows, right="r")
    return "\n".join(cut(line, width) for line in lines.splitlines())
