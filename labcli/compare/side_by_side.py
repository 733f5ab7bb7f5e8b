"""Answers side by side: every prompt, model, temperature and seed at once, and where they part."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from labcli import diagnostics
from labcli.chat.keys import keys_unseen, stop_on_interrupt
from labcli.compare.columns import Column
from labcli.compare.pairs import LEGEND, ColumnPair, pair_columns, pairs_table, shown_pairs
from labcli.compare.race import Race
from labcli.compare.show import stage_for
from labcli.flags.sampling import LoadOptions
from labcli.output import emit, emit_json
from labcli.speaking.prompting import BASE_NOTE
from labcli.speaking.speaker import Speaker, weights_note
from runs.errors import ExitCode
from runs.refs import ResolvedCheckpoint


def load_speakers(
    found: Sequence[ResolvedCheckpoint],
    options: LoadOptions,
    *,
    max_rows: int,
    is_deterministic: bool = False,
) -> list[Speaker]:
    """Return a speaker per reference; references to one checkpoint share it."""
    loaded: dict[Path, Speaker] = {}
    status = diagnostics.StatusLine()
    try:
        for checkpoint in found:
            if checkpoint.path not in loaded:
                status.update(f"loading {checkpoint.name}")
                loaded[checkpoint.path] = options.load(
                    checkpoint, max_rows=max_rows, is_deterministic=is_deterministic
                )
    finally:
        status.clear()
    notes = {weights_note(speaker.engine) for speaker in loaded.values()}
    for note in filter(None, notes):
        diagnostics.say(note)
    if any(speaker.is_base for speaker in loaded.values()):
        diagnostics.say(BASE_NOTE)
    return [loaded[checkpoint.path] for checkpoint in found]


def show_side_by_side(
    speakers: Sequence[Speaker], columns: Sequence[Column], *, is_json: bool
) -> ExitCode:
    """Show the columns until all are done or Ctrl-C, then where each two of a prompt part."""
    race = Race(speakers, columns)
    with stop_on_interrupt() as stop, keys_unseen(), stage_for(columns, is_json=is_json) as stage:
        try:
            while not (race.is_done or stop.is_asked):
                race.step()
                stage.update()
        except KeyboardInterrupt:
            stop.is_asked = True
        finally:
            race.close()
    is_whole = all(column.finish != "interrupted" for column in columns)
    pairs = pair_columns(columns, speakers) if is_whole else []
    if is_json:
        emit_json([_row(column, pairs, speakers) for column in columns])
    elif pairs:
        _show_pairs(pairs)
    return ExitCode.OK if is_whole else ExitCode.INTERRUPTED


def _row(
    column: Column, pairs: Sequence[ColumnPair], speakers: Sequence[Speaker]
) -> dict[str, object]:
    return {
        **column.as_row(),
        "weights": speakers[column.combination.model].engine.weights,
        "pairs": [pair.as_row() for pair in pairs if pair.b is column],
    }


def _show_pairs(pairs: Sequence[ColumnPair]) -> None:
    width = shutil.get_terminal_size().columns - 1
    blocks = []
    for prompt, group in groupby(pairs, key=lambda pair: pair.a.combination.prompt):
        own = list(group)
        shown = shown_pairs(own)
        if len(own) < len(pairs):
            blocks.append(f"prompt: {' '.join(prompt.split())}"[:width])
        blocks.append(pairs_table(shown, width))
        if len(shown) < len(own):
            blocks.append(f"{len(shown)} of {len(own)} pairs; --json has all")
        blocks.append("")
    emit("\n".join(blocks[:-1]))
    diagnostics.say(LEGEND)
