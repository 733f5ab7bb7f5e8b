"""A self-chat in the formats of other tools: JSON, Parquet, CSV, Markdown, HTML. Torch-free."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.experiments.measures.entropy import mean_entropy_bits
from core.experiments.measures.measure import measure_turn
from core.experiments.measures.metrics import METRICS
from core.experiments.measures.summary import Summary
from core.experiments.report.markdown import render_report
from core.experiments.report.page import render_page
from core.experiments.selfchat.token_table import tokens_table
from core.experiments.selfchat.transcript import Conversation, Experiment, turn_row
from core.files import replace_file
from core.tokenizer import Tokenizer
from runs.errors import UsageError

VERSION = 1
CSV_SETTING = (
    "name", "model_a", "model_b", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
    "conversations",
)  # fmt: skip
_TURN_COLUMNS: Mapping[str, pa.DataType] = {
    "conversation": pa.int32(),
    "setting": pa.int32(),
    "setting_name": pa.string(),
    "model_a": pa.string(),
    "model_b": pa.string(),
    "temperature": pa.float64(),
    "seed": pa.int64(),
    "topic": pa.string(),
    "turn": pa.int32(),
    "side": pa.string(),
    "text": pa.string(),
    "finish": pa.string(),
    "conversation_end": pa.string(),
    "wall_s": pa.float64(),
    **{one.name: pa.float64() for one in METRICS if one.scope == "turn"},
}


class ExportFormat(StrEnum):
    """What a self-chat can be exported as; Parquet is a directory with tables in it."""

    JSON = "json"
    PARQUET = "parquet"
    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"


def export(
    experiment: Experiment,
    summary: Summary,
    path: Path,
    form: ExportFormat,
    *,
    run_id: str = "",
    tokenizer: Tokenizer | None = None,
) -> tuple[Path, ...]:
    """Write an experiment and its findings, and return the files that hold them.

    Each file appears whole or not at all; one that is there is replaced.

    Raises:
        UsageError: the path cannot be written.
    """
    files = _files(experiment, summary, path, form, run_id, tokenizer)
    try:
        for target, content in files.items():
            replace_file(target, content)
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or path} ({error.strerror}); name another place"
        ) from None
    return tuple(files)


def _files(
    experiment: Experiment,
    summary: Summary,
    path: Path,
    form: ExportFormat,
    run_id: str,
    tokenizer: Tokenizer | None,
) -> dict[Path, bytes]:
    if form is ExportFormat.PARQUET:
        return {
            path / "tokens.parquet": tokens_table(experiment),
            path / "turns.parquet": turns_table(experiment, summary),
        }
    makers: Mapping[ExportFormat, Callable[[], str]] = {
        ExportFormat.JSON: lambda: json_text(experiment, summary, run_id),
        ExportFormat.CSV: lambda: settings_csv(summary),
        ExportFormat.MARKDOWN: lambda: render_report(experiment, summary, run_id=run_id),
        ExportFormat.HTML: lambda: render_page(experiment, summary, tokenizer, run_id=run_id),
    }
    # Half of a surrogate pair, which a transcript may hold, has no UTF-8.
    return {path: makers[form]().encode("utf-8", "backslashreplace")}


def json_text(experiment: Experiment, summary: Summary, run_id: str) -> str:
    """Return the findings as `labcli selfchat --json` prints them, and every turn below them."""
    body = {
        "v": VERSION,
        "run_id": run_id or None,
        **summary.to_json(),
        "verdict": summary.verdict,
        "transcript": [_conversation(one) for one in experiment.conversations],
    }
    # A model that broke down may have left entropies that are no numbers.
    return json.dumps(_finite(body), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _conversation(one: Conversation) -> dict[str, Any]:
    turns = [turn_row(turn) for turn in one.turns]
    for row in turns:
        del row["v"], row["kind"], row["conversation"]
    return {
        "conversation": one.number,
        "setting": one.setting,
        "seed": one.seed,
        "topic": one.topic,
        "end": one.end,
        "entropy_bits": mean_entropy_bits(one.turns),
        "turns": turns,
    }


def turns_table(experiment: Experiment, summary: Summary) -> bytes:
    """Return a Parquet file with a row per turn: what it said, under what, and its measures."""
    under = {one.setting.index: one for one in summary.settings}
    columns: dict[str, list[Any]] = {name: [] for name in _TURN_COLUMNS}
    for one in experiment.conversations:
        setting = under[one.setting].setting
        for place, turn in enumerate(one.turns):
            row = {
                "conversation": one.number,
                "setting": one.setting,
                "setting_name": under[one.setting].name,
                "model_a": setting.model_a,
                "model_b": setting.model_b,
                "temperature": setting.temperature,
                "seed": one.seed,
                "topic": _encodable(one.topic),
                "turn": turn.index,
                "side": turn.side,
                "text": _encodable(turn.text),
                "finish": turn.finish,
                "conversation_end": one.end,
                "wall_s": turn.wall_s,
                **measure_turn(one, place),
            }
            for name, values in columns.items():
                values.append(row[name])
    buffer = io.BytesIO()
    schema = pa.schema(list(_TURN_COLUMNS.items()))
    pq.write_table(pa.table(columns, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def settings_csv(summary: Summary) -> str:
    """Return a line per setting: how it drew, then mean and interval of every metric."""
    rows = summary.to_json()["settings"]
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    parts = ("mean", "ci_low", "ci_high")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*CSV_SETTING, *(f"{name}_{part}" for name in names for part in parts)])
    for row in rows:
        figures = [row["metrics"].get(name, {}).get(part) for name in names for part in parts]
        writer.writerow([*(row[key] for key in CSV_SETTING), *figures])
    return buffer.getvalue()


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
