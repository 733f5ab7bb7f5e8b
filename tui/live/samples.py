"""What the model wrote at fixed prompts, step beside step. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tui.live.state import SampleText
from tui.shell.glyphs import Glyphs
from tui.shell.printable import printable
from tui.shell.tones import Piece, ToneLine

MIN_COLUMN = 36
_GAP = 2
_MAX_ROWS = 6


def sample_steps(samples: Sequence[SampleText], stage: str | None) -> tuple[float, ...]:
    """Return the steps of a stage at which there are samples, in order."""
    return tuple(sorted({one.step for one in samples if one.stage == stage}))


def step_before(steps: Sequence[float], step: float | None) -> float | None:
    """Return the last of some steps that is at or before a step; the first one where none is."""
    if not steps:
        return None
    if step is None:
        return steps[-1]
    # A place that was taken to another axis and back is off by a rounding error.
    reached = [one for one in steps if one <= step + 1e-6 * max(abs(step), 1.0)]
    return reached[-1] if reached else steps[0]


def sample_lines(
    samples: Sequence[SampleText],
    glyphs: Glyphs,
    *,
    stage: str | None,
    step: float | None,
    width: int,
) -> tuple[ToneLine, ...]:
    """Return the samples as they fit the width.

    Where there is room, one column for each of the last steps up to `step`, prompt below prompt.
    Else all of them one after the other, or those of one step where one is pointed at.
    """
    steps = sample_steps(samples, stage)
    chosen = step_before(steps, step)
    num_columns = min((width + _GAP) // (MIN_COLUMN + _GAP), len(steps))
    if num_columns < 2 or chosen is None:
        if step is not None and chosen is not None:
            samples = [one for one in samples if (one.stage, one.step) == (stage, chosen)]
        return _one_by_one(samples, glyphs)
    at = steps.index(chosen)
    shown = steps[max(0, at + 1 - num_columns) : max(at + 1, num_columns)]
    own = [one for one in samples if one.stage == stage]
    return _side_by_side(own, shown, chosen, glyphs, width)


def _one_by_one(samples: Sequence[SampleText], glyphs: Glyphs) -> tuple[ToneLine, ...]:
    lines: list[ToneLine] = []
    place: tuple[str, float] | None = None
    for sample in samples:
        if place != (sample.stage, sample.step):
            place = (sample.stage, sample.step)
            lines.append(ToneLine((Piece(f"{sample.stage} step {sample.step:,.0f}", "active"),)))
        prompt = _flat(sample.prompt)
        pieces = (
            Piece(f"{prompt} ", "strong"),
            Piece(f"{glyphs.arrow} ", "quiet"),
            Piece(_continuation(sample)),
        )
        lines.append(ToneLine(pieces))
    return tuple(lines)


def _side_by_side(
    samples: Sequence[SampleText],
    steps: Sequence[float],
    chosen: float,
    glyphs: Glyphs,
    width: int,
) -> tuple[ToneLine, ...]:
    room = (width - _GAP * (len(steps) - 1)) // len(steps)
    newest = {(one.prompt, one.step): one for one in samples}
    heads = []
    for step in steps:
        is_chosen = step == chosen
        text = f"{glyphs.cursor if is_chosen else ' '} step {step:,.0f}"
        heads.append(Piece(text.ljust(room + _GAP), "active" if is_chosen else "quiet"))
    lines = [ToneLine(tuple(heads))]
    for prompt in dict.fromkeys(one.prompt for one in samples):
        lines.append(ToneLine((Piece(glyphs.cut(_flat(prompt), width - 2), "strong"),
                               Piece(f" {glyphs.arrow}", "quiet"))))  # fmt: skip
        cells = [_cell(newest.get((prompt, step)), room, glyphs) for step in steps]
        for row in range(max(map(len, cells), default=0)):
            pieces = tuple(
                Piece(
                    (cell[row] if row < len(cell) else "").ljust(room + _GAP),
                    "plain" if step == chosen else "quiet",
                )
                for step, cell in zip(steps, cells, strict=True)
            )
            lines.append(ToneLine(pieces))
    return tuple(lines)


def _cell(sample: SampleText | None, room: int, glyphs: Glyphs) -> list[str]:
    if sample is None:
        return [glyphs.absent]
    rows = textwrap.wrap(_continuation(sample), room) or [glyphs.absent]
    if len(rows) > _MAX_ROWS:
        rows = rows[:_MAX_ROWS]
        rows[-1] = glyphs.cut(rows[-1] + glyphs.ellipsis, room)
    return rows


def _continuation(sample: SampleText) -> str:
    prompt, text = _flat(sample.prompt), _flat(sample.text)
    return text[len(prompt) :].lstrip() if text.startswith(prompt) else text


def _flat(text: str) -> str:
    return " ".join(printable(text).split())
