"""Exports hold what was measured, in full."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.experiments.measures.measure import measure_turn
from core.experiments.measures.summary import Summary, summarise
from core.experiments.report.export import ExportFormat, export
from core.experiments.report.figures import definition, metric_names, metric_title, with_interval
from core.experiments.selfchat.transcript import Experiment, parse_turn
from runs.errors import UsageError
from tests.selfchat_views.builders import make_experiment, make_trace


def written(experiment: Experiment, summary: Summary, path: Path, form: ExportFormat) -> str:
    files = export(experiment, summary, path, form, run_id="01RUN")
    assert files == (path,)
    return path.read_text(encoding="utf-8")


def test_parquet_holds_every_token_and_every_turn(
    experiment: Experiment, summary: Summary, tmp_path: Path
) -> None:
    files = export(experiment, summary, tmp_path / "out", ExportFormat.PARQUET)
    assert [path.name for path in files] == ["tokens.parquet", "turns.parquet"]
    tokens, turns = (pq.read_table(path).to_pydict() for path in files)
    held = [turn for one in experiment.conversations for turn in one.turns]
    assert len(turns["turn"]) == len(held)
    assert turns["text"] == [turn.text for turn in held]
    assert len(tokens["id"]) == sum(len(turn.tokens.ids) for turn in held)
    assert tokens["id"] == [id_ for turn in held for id_ in turn.tokens.ids]
    nats = math.fsum(value for turn in held for value in turn.tokens.entropy_nats)
    assert math.fsum(tokens["entropy_nats"]) == pytest.approx(nats)


def test_turns_carry_their_measures_with_units_in_the_names(
    experiment: Experiment, summary: Summary, tmp_path: Path
) -> None:
    _, path = export(experiment, summary, tmp_path, ExportFormat.PARQUET)
    table = pq.read_table(path).to_pydict()
    one = experiment.conversations[5]
    row = table["conversation"].index(5) + 3
    measured = measure_turn(one, 3)
    assert table["entropy_bits"][row] == measured["entropy_bits"]
    assert table["topic_drift"][row] == measured["topic_drift"]
    assert table["wall_s"][row] == 0.25


def test_json_holds_the_findings_and_every_turn(
    experiment: Experiment, summary: Summary, tmp_path: Path
) -> None:
    body = json.loads(written(experiment, summary, tmp_path / "x.json", ExportFormat.JSON))
    assert {key: body[key] for key in ("settings", "comparisons", "trends")} == json.loads(
        json.dumps(summary.to_json())
    )
    assert body["run_id"] == "01RUN"
    rows = [
        {**turn, "conversation": one["conversation"]}
        for one in body["transcript"]
        for turn in one["turns"]
    ]
    held = [turn for one in experiment.conversations for turn in one.turns]
    assert [parse_turn(row) for row in rows] == held


def test_json_of_a_model_that_broke_down_is_still_json(tmp_path: Path) -> None:
    experiment = make_experiment(temperatures=(1.0,), num_conversations=1, num_turns=1)
    first = experiment.conversations[0]
    turn = replace(first.turns[0], tokens=make_trace([math.nan, 1.0]))
    held = replace(experiment, conversations=(replace(first, turns=(turn,)),))
    text = written(held, summarise(held), tmp_path / "x.json", ExportFormat.JSON)
    body = json.loads(text, parse_constant=pytest.fail)
    assert body["transcript"][0]["turns"][0]["tokens"]["entropy_nats"][0] is None


def test_csv_has_a_line_per_setting_with_every_interval(
    experiment: Experiment, summary: Summary, tmp_path: Path
) -> None:
    text = written(experiment, summary, tmp_path / "x.csv", ExportFormat.CSV)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == [one.name for one in summary.settings]
    for row, one in zip(rows, summary.settings, strict=True):
        for name in metric_names(summary):
            found = one.metrics[name]
            assert found is not None
            assert float(row[f"{name}_mean"]) == found.mean
            assert float(row[f"{name}_ci_low"]) == found.ci_low


def test_markdown_says_verdicts_first_and_every_interval(
    experiment: Experiment, summary: Summary, tmp_path: Path
) -> None:
    text = written(experiment, summary, tmp_path / "x.md", ExportFormat.MARKDOWN)
    lines = text.splitlines()
    titles = [line for line in lines if line.startswith("## ")]
    assert titles[:2] == ["## Verdicts", "## Settings"]
    for name in metric_names(summary):
        row = next(line for line in lines if line.startswith(f"| {metric_title(name)} |"))
        for one in summary.settings:
            assert with_interval(one.metrics[name]) in row
        assert f"- {metric_title(name)}: {definition(name)}" in lines
    assert experiment.conversations[0].turns[0].text in text


def test_markdown_keeps_what_models_wrote_inside_fences(tmp_path: Path) -> None:
    hostile = "``` \n# Not a title\n<script>alert(1)</script> \x1b[2J"
    experiment = make_experiment(
        temperatures=(1.0,), num_conversations=1, num_turns=2, topic=hostile, texts=[hostile]
    )
    text = written(experiment, summarise(experiment), tmp_path / "x.md", ExportFormat.MARKDOWN)
    before, fenced, _ = text.split("````", maxsplit=2)
    assert "# Not a title" in fenced
    assert "Not a title" not in before
    assert "\x1b" not in text


@pytest.mark.parametrize("form", list(ExportFormat))
def test_a_place_that_cannot_be_written_is_named(
    form: ExportFormat, experiment: Experiment, summary: Summary, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write .*file"):
        export(experiment, summary, tmp_path / "file" / "out", form)


def test_half_a_surrogate_pair_does_not_stop_an_export(tmp_path: Path) -> None:
    experiment = make_experiment(
        temperatures=(1.0,), num_conversations=1, num_turns=1, topic="\ud800"
    )
    first = experiment.conversations[0]
    turn = replace(first.turns[0], text="half \ud83d")
    held = replace(experiment, conversations=(replace(first, turns=(turn,)),))
    summary = summarise(held)
    for form in ExportFormat:
        assert export(held, summary, tmp_path / form, form)
