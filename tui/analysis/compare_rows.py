"""A comparison of runs as rows: who is better, what differs, why, and what size would do. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runs.analysis.comparison import Comparison, Pair, Standing
from runs.analysis.diff import Changed, CodeChange
from runs.analysis.reasons import Reason
from runs.metrics.run_curve import AXES
from runs.views.card import is_higher_better
from tui.analysis.compare_page import ComparePage
from tui.analysis.differences import code_lines, one_line_per_stage
from tui.analysis.laws import law_lines, loss_name, size_lines
from tui.analysis.partings import about_line, parting_lines
from tui.analysis.rows import Cell, Row, TableRow, blank, heading, remark, sentence, table
from tui.analysis.verdicts import UNITS, axis_text, floor_line, pair_lines
from tui.analysis.words import cell, metric_text, short_count
from tui.charts.data import run_letter
from tui.shell.format import counted
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Tone, state_tone

MAX_REASONS = 20
_WORD_TONES: dict[str, Tone] = {"better": "good", "worse": "error"}


def verdict(page: ComparePage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return what each run reached and spent, then each one against the first."""
    found = page.found
    if found is None:
        return _nothing(page, "verdict", width)
    way = "larger" if is_higher_better(found.metric) else "smaller"
    rows = [heading(f"{found.metric} of {found.stage}", f"{way} is better")]
    rows += _standings(page, found, width, glyphs)
    if found.problem:
        return [*rows, blank(), *sentence(f"not compared: {found.problem}", width, "warning")]
    for place, pair in enumerate(found.pairs, start=1):
        rows += [blank(), *_pair_rows(page, found, pair, place, width)]
    rows.append(blank())
    return [*rows, *sentence(floor_line(found.floor, page.repeat), width, "quiet")]


def verdict_text(page: ComparePage) -> str:
    """Return the verdicts as text, to be copied."""
    found = page.found
    if found is None:
        return page.problem or page.problems.get("verdict", "")
    if found.problem:
        return f"{', '.join(page.names)}: not compared: {found.problem}"
    first = found.standings[0].name
    lines = [line for pair in found.pairs for line in pair_lines(pair, first, found.metric)]
    return "\n".join([*lines, floor_line(found.floor, page.repeat)])


def _nothing(page: ComparePage, part: str, width: int) -> list[Row]:
    text = page.problem or page.problems.get(part) or "nothing to show yet"
    return sentence(text, width, "warning")


def _standings(page: ComparePage, found: Comparison, width: int, glyphs: Glyphs) -> list[Row]:
    rows = []
    for place, one in enumerate(found.standings):
        spent = (axis_text(axis, one.spent[axis]) for axis in page.axes)
        texts = (metric_text(one.last), f"{metric_text(one.best)}@{one.best_step}")
        rows.append(
            TableRow(
                cells=(
                    Cell(text=run_letter(place), tone="active"),
                    Cell(text=page.names[place], tone="strong"),
                    Cell(text=f"{glyphs.state(one.state)} {one.state}", tone=state_tone(one.state)),
                    Cell(text=texts[0], tone="strong"),
                    Cell(text=metric_text(one.at_common)),
                    Cell(text=texts[1]),
                    *(Cell(text=text, tone="quiet") for text in spent),
                ),
                key=f"standing {one.run_id}",
                value=page.runs[place].slug,
                detail=_standing_detail(one, found),
            )
        )
    common = f"at {axis_text(found.axis, found.common_x)}"
    header = ("", "run", "state", "last", common, "best", *(UNITS[axis] for axis in page.axes))
    right = "lllrrr" + "r" * len(page.axes)
    return table(header, rows, width=width, glyphs=glyphs, right=right, flexible=1)


def _standing_detail(one: Standing, found: Comparison) -> str:
    lines = [f"{one.name} is {one.state}", "", f"last     {metric_text(one.last)}"]
    lines += [
        f"best     {metric_text(one.best)} at step {one.best_step}",
        f"{metric_text(one.at_common)} at {axis_text(found.axis, found.common_x)} "
        f"{UNITS[found.axis]}, where the shortest run ends",
        "",
        *(f"{UNITS[axis]:<14} {axis_text(axis, value)}" for axis, value in one.spent.items()),
    ]
    return "\n".join(lines)


def _pair_rows(
    page: ComparePage, found: Comparison, pair: Pair, place: int, width: int
) -> list[Row]:
    head, *lines = pair_lines(pair, found.standings[0].name, found.metric)
    tone = _WORD_TONES.get(pair.verdict.word, "warning")
    letters = f"{run_letter(place)} : {run_letter(0)}"
    rows = [heading(head, f"{letters}  {pair.verdict.word}", tone)]
    shares = pair.forward.shares
    if shares:
        told = "   ".join(f"{UNITS[axis]} {100 * shares[axis].share:.0f} %" for axis in AXES
                          if axis in shares)  # fmt: skip
        rows += sentence(f"as far at: {told}", width, "strong")
    for line in lines:
        rows += sentence(line, width)
    return rows


def settings(page: ComparePage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the settings, inputs and parts of the machine in which the runs differ."""
    if len(page.names) < 2 or "settings" in page.problems:
        return _nothing(page, "settings", width)
    rows: list[Row] = []
    same = []
    parts = (
        ("settings", one_line_per_stage(page.config)),
        ("inputs, by content", page.data),
        ("environment", page.environment),
    )
    for title, found in parts:
        if found:
            rows += [heading(title, counted(len(found), "difference"))]
            rows += [*_changed_rows(page, found, width, glyphs), blank()]
        else:
            same.append(title)
    if same:
        rows.append(remark(f"the same: {', '.join(same)}", "good"))
    return rows


def _changed_rows(
    page: ComparePage, found: Sequence[Changed], width: int, glyphs: Glyphs
) -> list[Row]:
    names = [f"{run_letter(at)} {name}" for at, name in enumerate(page.names)]
    # Beside each other while there is room; many runs are grouped by their value.
    if len(names) * 12 + 24 > width:
        rows = [_grouped(change, names) for change in found]
        return table(("key", "values"), rows, width=width, glyphs=glyphs, flexible=1)
    room = (width - 26) // len(names) - 2
    rows = []
    for change in found:
        texts = _values(change)
        rows.append(
            TableRow(
                cells=(
                    Cell(text=change.key),
                    *_value_cells(texts, room, glyphs),
                ),
                key=change.key,
                value=f"{change.key} {' '.join(texts)}",
                detail=_change_detail(change, names),
            )
        )
    header = ("key", *(glyphs.cut(name, max(room, 6)) for name in names))
    return table(header, rows, width=width, glyphs=glyphs)


def _value_cells(texts: Sequence[str], room: int, glyphs: Glyphs) -> list[Cell]:
    """Return the values, those that are not as in the first run brighter."""
    return [
        Cell(text=glyphs.cut(text, max(room, 6)), tone="quiet" if text == texts[0] else "active")
        for text in texts
    ]


def _grouped(change: Changed, names: Sequence[str]) -> TableRow:
    groups: dict[str, list[str]] = {}
    for name, text in zip(names, _values(change), strict=True):
        groups.setdefault(text, []).append(name[0])
    told = "   ".join(f"{text}: {''.join(letters)}" for text, letters in groups.items())
    return TableRow(
        cells=(Cell(text=change.key), Cell(text=told)),
        key=change.key,
        value=f"{change.key} {told}",
        detail=_change_detail(change, names),
    )


def _values(change: Changed) -> list[str]:
    pairs = zip(change.values, change.is_known, strict=True)
    return [cell(value) if is_known else "-" for value, is_known in pairs]


def _change_detail(change: Changed, names: Sequence[str]) -> str:
    whole = (str(value) if known else "-" for value, known in zip(
        change.values, change.is_known, strict=True))  # fmt: skip
    return "\n".join([change.key, "", *(f"{n}: {v}" for n, v in zip(names, whole, strict=True))])


def code(page: ComparePage, *, width: int) -> list[Row]:
    """Return how the code of each run differs from that of the first."""
    if len(page.names) < 2 or "code" in page.problems:
        return _nothing(page, "code", width)
    rows: list[Row] = []
    same = []
    for name, change in zip(page.names[1:], page.code, strict=True):
        if change.is_same:
            same.append(name)
        else:
            rows += [*_code_rows(page.names[0], name, change, width), blank()]
    if same:
        rows += sentence(f"the same code as {page.names[0]}: {', '.join(same)}", width, "good")
    return rows


def _code_rows(first: str, name: str, change: CodeChange, width: int) -> list[Row]:
    head, *lines = code_lines(first, name, change, rest="Enter shows them all")
    rows = sentence(head, width, "strong")
    rows += [row for line in lines for row in sentence(line, width)]
    detail = "\n".join([head, *(f"{item.path}  {item.num_hunks}" for item in change.files)])
    whole = f"{detail}\n\n{change.text}" if change.text else detail
    return [Row(line=rows[0].line, key=head, value=head, detail=whole), *rows[1:]]


def why(page: ComparePage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return where the curves of a pair part, and the differences ranked beside it."""
    found = page.reasons
    if found is None:
        return _nothing(page, "why", width)
    first, second = page.names[0], page.names[page.pair]
    other = "; [ and ] choose another pair" if len(page.names) > 2 else ""
    note = f"{found.metric} of {found.stage}{other}"
    rows = [heading(f"{second} against {first}", note)]
    for line in parting_lines(found, first, second):
        rows += sentence(line, width)
    if found.problem:
        rows += sentence(f"beware: {found.problem}", width, "warning")
    rows.append(blank())
    if not found.reasons:
        return [*rows, remark("nothing that is recorded differs between the two")]
    shown = found.reasons[:MAX_REASONS]
    table_rows = [_reason_row(reason, place, glyphs) for place, reason in enumerate(shown, start=1)]
    header = ("", "difference", first, second, "acts on")
    rows += table(header, table_rows, width=width, glyphs=glyphs, right="r", flexible=4)
    hidden = len(found.reasons) - len(shown)
    more = f" {hidden} more with labcli runs why." if hidden else ""
    tail = "Ranked by what such a difference can do and when it acts; a rank is no proof."
    return [*rows, blank(), *sentence(tail + more, width, "quiet")]


def _reason_row(reason: Reason, place: int, glyphs: Glyphs) -> TableRow:
    known = zip(reason.values, reason.is_known, strict=True)
    texts = [glyphs.cut(cell(value), 16) if is_known else "-" for value, is_known in known]
    key = f"{reason.kind} {reason.key}"
    tone: Tone = "plain" if reason.could_part else "quiet"
    cells = (str(place) if reason.could_part else "-", key, *texts, about_line(reason))
    lines = [key, "", *map(str, reason.values), "", about_line(reason), f"weight {reason.weight}"]
    return TableRow(
        cells=tuple(Cell(text=text, tone=tone) for text in cells),
        key=key,
        value=" ".join(cells[1:]),
        detail="\n".join(lines),
    )


def scaling(page: ComparePage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the law through runs of different sizes or lengths, and its points."""
    fit = page.fit
    if fit is None:
        return _nothing(page, "scaling", width)
    loss = loss_name(fit.data.metric)
    sizes = {size for size in page.sizes if size is not None}
    rows = [heading("scaling", f"{loss} of {fit.data.stage}")]
    if len(sizes) < 2:
        rows += sentence("these runs do not differ in size; their lengths may", width, "quiet")
    if fit.law is None:
        rows += sentence(str(fit.problem), width, "warning")
    else:
        for line in (*law_lines(fit, loss), *size_lines(fit)):
            rows += sentence(line, width)
    if not fit.data.points:
        return rows
    points = [
        TableRow(
            cells=(
                Cell(text=", ".join(point.names), tone="strong"),
                Cell(text=short_count(point.params)),
                Cell(text=short_count(point.tokens)),
                Cell(text=f"{point.flops:.3g}"),
                Cell(text=metric_text(point.loss), tone="strong"),
                Cell(text="best so far" if point in fit.frontier else "", tone="good"),
            ),
            key=f"point {place}",
            value=f"{point.flops:.6g} {point.loss:.6g}",
        )
        for place, point in enumerate(fit.data.points)
    ]
    header = ("run", "parameters", "tokens", "FLOPs", loss, "for its cost")
    return [*rows, blank(), *table(header, points, width=width, glyphs=glyphs, right="lrrrrl")]
