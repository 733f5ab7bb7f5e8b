"""Writing a self-chat: as JSON, in the terminal, or to a file of another tool."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labcli import diagnostics
from labcli.output import emit, emit_json
from labcli.selfchat.result import load_result, read_result
from runs.errors import UsageError, nearest

if TYPE_CHECKING:
    from core.experiments.report.export import ExportFormat


def show_result(run_dir: Path, *, is_json: bool, conversation: int | None = None) -> None:
    """Write the findings of a self-chat that has ended, or one of its conversations.

    Raises:
        UsageError: the run is no self-chat.
        NotFound: it has not ended yet, or has no such conversation.
    """
    if is_json and conversation is None:
        emit_json(read_result(run_dir))
        return
    result = load_result(run_dir)
    if is_json and conversation is not None:
        from core.experiments.selfchat.transcript import turn_row
        from labcli.selfchat.conversation import find_conversation

        one = find_conversation(result.experiment, conversation)
        emit_json([turn_row(turn) for turn in one.turns])
        return
    from labcli.selfchat.conversation import render_conversation
    from labcli.selfchat.look import look_of
    from labcli.selfchat.views import render_experiment

    look = look_of(sys.stdout)
    if conversation is None:
        emit(render_experiment(result.experiment, result.summary, look))
        return
    emit(
        render_conversation(result.experiment, result.summary, conversation, look, result.tokenizer)
    )


def check_export(target: Path) -> None:
    """Raise UsageError when a file's ending says no format, before anything is made for it."""
    _format(target)


def export_result(run_dir: Path, target: Path) -> None:
    """Write a self-chat to a file whose ending says the format, and name what was written.

    Raises:
        UsageError: an unknown ending, or a place that cannot be written.
    """
    from core.experiments.report.export import export

    form = _format(target)
    result = load_result(run_dir)
    for path in export(
        result.experiment,
        result.summary,
        target,
        form,
        run_id=result.run_id,
        tokenizer=result.tokenizer,
    ):
        diagnostics.say(f"wrote {path}")


def _format(target: Path) -> ExportFormat:
    from core.experiments.report.export import ExportFormat

    endings = {
        ".json": ExportFormat.JSON,
        ".csv": ExportFormat.CSV,
        ".md": ExportFormat.MARKDOWN,
        ".html": ExportFormat.HTML,
        ".parquet": ExportFormat.PARQUET,
    }
    if target.suffix not in endings:
        raise UsageError(
            f"{target} does not say its format; end it in {', '.join(endings)}"
            f"{nearest(target.suffix, endings) if target.suffix else ''}"
        )
    return endings[target.suffix]
