"""Runs as documents and tables for other programs: every point, every setting, every state.

Times are Unix seconds; a step counts optimizer steps. Values that are no finite numbers are "NaN",
"Infinity" and "-Infinity" in JSON, as in the event log. pyarrow is imported in functions.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from runs.errors import LabError
from runs.events import plain
from runs.files import write_synced
from runs.metrics.points import read_points
from runs.paths import RunPaths
from runs.record import load_record
from runs.track.contract import logged_config
from runs.views.facts import event_files
from runs.views.query import load_run
from runs.views.run_view import RunView, StageView

Form = Literal["csv", "json", "jsonl", "parquet", "md"]
TableName = Literal["metrics", "stages"]
METRIC_COLUMNS = (
    "run_id", "run", "stage", "attempt", "step", "time_s", "metric", "value", "is_superseded",
)  # fmt: skip
STAGE_COLUMNS = (
    "run_id", "run", "name", "state", "stage", "stage_state", "attempt", "step", "started_s",
    "ended_s", "val_bpb", "val_sha256", "error", "config",
)  # fmt: skip
_CHUNK_ROWS = 2000
# Under which key the metadata of a Parquet file holds the documents of its runs.
PARQUET_KEY = b"labcli.runs"


def run_document(run_dir: Path) -> dict[str, Any]:
    """Return what is known of a run, its metrics aside: record, labels, states and results."""
    view, record = load_run(run_dir), load_record(run_dir)
    body = {
        "run_id": view.run_id,
        "run": view.slug,
        "name": view.name,
        "recipe": view.recipe,
        "preset": view.preset,
        "state": view.state,
        "problem": view.problem,
        "created_s": view.created_s,
        "started_s": view.started_s,
        "ended_s": view.ended_s,
        "val_bpb": view.val_bpb,
        "val_sha256": view.val_sha256,
        "tags": view.tags,
        "notes": view.notes,
        "parents": record.parents,
        "argv": record.argv,
        "git": record.git,
        "packages": record.packages,
        "host": record.host,
        "plan": {key: value for key, value in record.plan.items() if key != "stages"},
        "logged_config": logged_config(RunPaths(run_dir)),
        "stages": {
            seen.stage: {**_stage_document(seen), "config": planned.config}
            for seen, planned in zip(view.stages, record.stages, strict=True)
        },
    }
    document: dict[str, Any] = plain(body)
    return document


def metric_rows(run_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield every point of a run, in the order in which it was written, as METRIC_COLUMNS."""
    run_id, slug = run_dir.name[:26], run_dir.name[27:]
    for stage in stage_names(run_dir):
        curves = read_points(event_files(run_dir).get(stage, []))
        points = [
            (attempt, t, key, step, value, is_ghost)
            for key, curve in curves.items()
            for attempt, t, step, value, is_ghost in zip(
                curve.attempt.tolist(), curve.t.tolist(), curve.step.tolist(),
                curve.value.tolist(), curve.is_ghost.tolist(), strict=True,
            )
        ]  # fmt: skip
        for attempt, t, key, step, value, is_ghost in sorted(points, key=lambda point: point[:2]):
            yield {
                "run_id": run_id,
                "run": slug,
                "stage": stage,
                "attempt": attempt,
                "step": step,
                "time_s": t,
                "metric": key,
                "value": value,
                "is_superseded": is_ghost,
            }


def stage_rows(run_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per stage of a run as STAGE_COLUMNS; the config is JSON text."""
    view, record = load_run(run_dir), load_record(run_dir)
    for seen, planned in zip(view.stages, record.stages, strict=True):
        yield {
            "run_id": view.run_id,
            "run": view.slug,
            "name": view.name,
            "state": view.state,
            "stage": seen.stage,
            "stage_state": seen.state,
            "attempt": seen.attempt,
            "step": seen.step,
            "started_s": seen.started_s,
            "ended_s": seen.ended_s,
            "val_bpb": seen.val_bpb,
            "val_sha256": seen.val_sha256,
            "error": seen.error,
            "config": json.dumps(plain(planned.config), ensure_ascii=False),
        }


def stage_names(run_dir: Path) -> list[str]:
    """Return the stages of a run that have events, in the order of its plan."""
    logged = event_files(run_dir)
    return [entry.stage for entry in load_record(run_dir).stages if entry.stage in logged]


def csv_text(run_dirs: Sequence[Path], table: TableName) -> Iterator[str]:
    """Yield a table as CSV with a header, in chunks."""
    columns = METRIC_COLUMNS if table == "metrics" else STAGE_COLUMNS
    rows = (row for run_dir in run_dirs for row in _rows(run_dir, table))
    is_first = True
    while (chunk := list(islice(rows, _CHUNK_ROWS))) or is_first:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        if is_first:
            writer.writerow(columns)
        writer.writerows([_cell(row[column]) for column in columns] for row in chunk)
        is_first = False
        yield buffer.getvalue()


def jsonl_text(run_dirs: Iterable[Path]) -> Iterator[str]:
    """Yield a line per run, then a line per point of it, each with its `kind`; in chunks."""
    for run_dir in run_dirs:
        yield _line({"kind": "run", **run_document(run_dir)})
        rows = metric_rows(run_dir)
        while chunk := list(islice(rows, _CHUNK_ROWS)):
            yield "".join(_line({"kind": "metric", **plain(row)}) for row in chunk)


def json_text(run_dirs: Iterable[Path]) -> Iterator[str]:
    """Yield one document: {"runs": [...]}, with the curves of each run as parallel lists."""
    documents = []
    for run_dir in run_dirs:
        curves: dict[str, dict[str, dict[str, list[Any]]]] = {}
        for row in metric_rows(run_dir):
            lists = curves.setdefault(row["stage"], {}).setdefault(row["metric"], {})
            for column in ("step", "time_s", "attempt", "value", "is_superseded"):
                lists.setdefault(column, []).append(row[column])
        documents.append({**run_document(run_dir), "metrics": plain(curves)})
    yield json.dumps({"runs": documents}, ensure_ascii=False, allow_nan=False) + "\n"


def parquet_bytes(run_dirs: Sequence[Path], table: TableName) -> bytes:
    """Return a table as a Parquet file, with the documents of the runs in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for run_dir in run_dirs for row in _rows(run_dir, table)]
    documents = json.dumps([run_document(run_dir) for run_dir in run_dirs], ensure_ascii=False)
    schema = _schema(table).with_metadata({PARQUET_KEY: documents.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def write_chunks(path: Path, chunks: Iterable[bytes]) -> int:
    """Replace a file by what `chunks` hold and return its size in bytes."""
    aside = path.with_name(f".{path.name}.tmp")
    content = b"".join(chunks)
    try:
        write_synced(aside, content)
        aside.replace(path)
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    finally:
        aside.unlink(missing_ok=True)
    return len(content)


def _rows(run_dir: Path, table: TableName) -> Iterator[dict[str, Any]]:
    return metric_rows(run_dir) if table == "metrics" else stage_rows(run_dir)


def _stage_document(stage: StageView) -> Mapping[str, Any]:
    return {spec.name: getattr(stage, spec.name) for spec in fields(stage) if spec.name != "stage"}


def _line(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _schema(table: TableName) -> Any:
    import pyarrow as pa

    whole, real, text = pa.int64(), pa.float64(), pa.string()
    kinds = {
        "attempt": pa.int32(), "step": whole, "time_s": real, "value": real,
        "is_superseded": pa.bool_(), "started_s": real, "ended_s": real, "val_bpb": real,
    }  # fmt: skip
    columns = METRIC_COLUMNS if table == "metrics" else STAGE_COLUMNS
    return pa.schema([(column, kinds.get(column, text)) for column in columns])


def describe(view: RunView) -> str:
    """Return the name of a run as titles show it."""
    return view.slug if view.name == view.slug else f"{view.name} ({view.slug})"
