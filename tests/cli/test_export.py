"""`runs export`: nothing is sampled, rounded or dropped on the way out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runs.events import Start
from runs.export import METRIC_COLUMNS, PARQUET_KEY, STAGE_COLUMNS
from runs.metrics.series import read_metrics
from runs.paths import LabHome
from runs.views.query import run_dirs
from tests.builders import RunBuilder, build_finished_run, build_run, step
from tests.cli.conftest import Labcli


def resumed_run(home: LabHome) -> RunBuilder:
    """Return a run whose second attempt went on from step 2, and one value of which is NaN."""
    run = build_run(home, name="a|b <c>", stages=("base",), tags=("good",))
    run.log("base", *(step(number) for number in range(1, 5)))
    again = Start(
        stage="base", attempt=2, config_hash="", host="lab", device="cpu", torch=None,
        world_size=1, argv=(), resumed_from=2,
    )  # fmt: skip
    second = RunBuilder(run.paths, run.clock)
    second.log("base", again, step(3, loss=float("nan")), attempt=2)
    return run


def test_csv_has_every_point_of_every_attempt(labcli: Labcli, home: LabHome) -> None:
    resumed_run(home)
    rows = list(csv.DictReader(io.StringIO(labcli("runs", "export", "last").out)))
    assert tuple(rows[0]) == METRIC_COLUMNS
    losses = [row for row in rows if row["metric"] == "loss"]
    assert [(row["step"], row["attempt"], row["value"]) for row in losses] == [
        ("1", "1", "3.99"), ("2", "1", "3.98"), ("3", "1", "3.97"), ("4", "1", "3.96"),
        ("3", "2", "nan"),
    ]  # fmt: skip
    assert all(float(row["time_s"]) > 1e9 for row in rows)


def test_points_that_a_resume_superseded_say_so(labcli: Labcli, home: LabHome) -> None:
    run = build_run(home, stages=("base",))
    run.log("base", *(step(number) for number in range(1, 5)))
    run.log("base", step(1), attempt=2)
    rows = list(csv.DictReader(io.StringIO(labcli("runs", "export", "last").out)))
    old = {row["attempt"] for row in rows if row["is_superseded"] == "true"}
    assert old == {"1"} and {row["attempt"] for row in rows} == {"1", "2"}


def test_stages_table_holds_settings_and_states(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    out = labcli("runs", "export", "last", "--table", "stages").out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert tuple(rows[0]) == STAGE_COLUMNS
    base = next(row for row in rows if row["stage"] == "base")
    assert (base["stage_state"], base["val_bpb"]) == ("finished", "2.0")
    assert json.loads(base["config"]) == {"seed": 42}


def test_json_is_one_document_with_curves_and_text_for_what_is_not_finite(
    labcli: Labcli, home: LabHome
) -> None:
    resumed_run(home)
    (run,) = json.loads(labcli("runs", "export", "last", "--format", "json").out)["runs"]
    loss = run["metrics"]["base"]["loss"]
    assert loss["step"] == [1, 2, 3, 4, 3] and loss["value"][-1] == "NaN"
    assert run["tags"] == ["good"] and run["stages"]["base"]["config"] == {"seed": 42}


def test_jsonl_begins_each_run_with_its_document(labcli: Labcli, home: LabHome) -> None:
    slugs = [build_finished_run(home).slug, build_finished_run(home, seed=2).slug]
    out = labcli("runs", "export", *slugs, "--format", "jsonl").out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["run"] for line in lines if line["kind"] == "run"] == slugs
    assert set(METRIC_COLUMNS) < set(next(line for line in lines if line["kind"] == "metric"))


def test_parquet_has_typed_columns_and_the_documents_of_its_runs(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    run = resumed_run(home)
    out = tmp_path / "runs.parquet"
    assert labcli("runs", "export", run.slug, "--out", str(out)).code == 0
    table = pq.read_table(out)
    assert tuple(table.column_names) == METRIC_COLUMNS
    assert str(table.schema.field("value").type) == "double"
    assert table.num_rows == 15
    (document,) = json.loads(table.schema.metadata[PARQUET_KEY])
    assert document["run_id"] == run.run_id
    assert list(tmp_path.glob(".*")) == []


def test_markdown_page_is_safe_to_paste(labcli: Labcli, home: LabHome) -> None:
    resumed_run(home)
    labcli("runs", "note", "last", "<script>")
    page = labcli("runs", "export", "last", "--format", "md").out
    assert page.startswith("## a\\|b &lt;c>") and "<script>" not in page
    assert "| base.seed | `42` |" in page and "| tags | good |" in page


def test_markdown_page_shows_skills_beside_chance(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    page = labcli("runs", "export", "last", "--format", "md").out
    assert "| arithmetic | 0.0% | 25.0% | 50.0% | 1.0% |" in page


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_exported_metrics_come_back_by_import(
    labcli: Labcli, home: LabHome, tmp_path: Path, suffix: str
) -> None:
    original = build_finished_run(home)
    out = tmp_path / f"metrics.{suffix}"
    labcli("runs", "export", original.slug, "--out", str(out))
    assert labcli("runs", "import", str(out)).code == 0
    (imported,) = [path for path in run_dirs(home) if "-import-" in path.name]
    for stage in ("base", "sft"):
        before = read_metrics(original.paths.run_dir, stage)["loss"]
        after = read_metrics(imported, "import")[f"{stage}.loss"]
        assert [part.tolist() for part in after] == [part.tolist() for part in before]


def test_format_that_cannot_be_told_and_a_place_that_cannot_be_written_are_named(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    build_finished_run(home)
    assert labcli("runs", "export", "last", "--out", "x.xlsx").code == 2
    result = labcli("runs", "export", "last", "--out", str(tmp_path / "none" / "x.csv"))
    assert result.code == 1 and "choose another --out" in result.err
