"""The report: what it says of a run, and that a broken summary is named."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.hardware_table import shipped_table
from core.markdown import fence
from core.run_summary import RunSummary, parse_summary
from core.settings.experiments import ReportConfig
from core.stages.context import Input, StageContext
from core.stages.report import changed_settings, render_report, run
from runs.errors import Corrupt, NotFound
from runs.events import Alert, Artifact, Note, Sample
from runs.paths import LabHome
from runs.views.summary import build_summary
from tests.builders import build_finished_run, build_run, step

NOTE = Note(message="compiled", data={"is_compiled": True, "dtype": "bfloat16"})


@pytest.fixture
def body(tmp_path: Path) -> dict[str, Any]:
    """The summary of a finished run, as its worker writes it."""
    built = build_finished_run(LabHome(tmp_path))
    return json.loads(json.dumps(build_summary(built.paths.run_dir)))


def report_of(body: dict[str, Any], config: ReportConfig | None = None) -> str:
    return render_report(parse_summary(body), config or ReportConfig())


def rows_of(report: str) -> list[list[str]]:
    lines = [line for line in report.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_results_stand_side_by_side_with_chance(body: dict[str, Any]) -> None:
    rows = rows_of(report_of(body))

    assert ["Metric", "BASE", "MID", "SFT", "Chance", "n"] in rows
    assert ["validation bits per byte", "2.0000", "1.7500", "1.5000", "-", "-"] in rows
    assert ["arithmetic (accuracy)", "0.0%", "25.0%", "50.0%", "1.0%", "200"] in rows


def test_the_report_names_machine_and_versions(body: dict[str, Any]) -> None:
    report = report_of(body)

    for text in (body["host"]["cpu"], body["packages"]["torch"], body["slug"], "11.5M parameters"):
        assert text in report
    assert f"labcli chat --model {body['slug']}:sft" in report


def test_what_a_stage_noted_and_warned_of_is_in_the_report(tmp_path: Path) -> None:
    built = build_run(LabHome(tmp_path), stages=("base", "eval-base", "report"))
    alert = Alert(code="c", severity="warning", message="the disk is nearly full")
    built.finish("base", NOTE, step(100), alert)
    hostile = Sample(step=100, prompt="a|b", text="```\n# not a heading")
    built.finish("eval-base", hostile)

    report = report_of(build_summary(built.paths.run_dir))

    assert ["training", "compiled, bfloat16"] in rows_of(report)
    assert "base: the disk is nearly full" in report
    assert fence("> a|b\n```\n# not a heading") in report
    assert "````text" in report


def test_cost_is_rate_times_hours_or_said_to_be_unknown(body: dict[str, Any]) -> None:
    summary = parse_summary(body)
    stage = replace(summary.stages[0], started_s=0.0, ended_s=7200.0)
    two_hours = replace(summary, stages=(stage,), host={"gpus": []})

    def text(told: RunSummary, config: ReportConfig) -> str:
        return render_report(told, config)

    assert "No hourly rate is known" in text(two_hours, ReportConfig())
    assert "at $1.50 an hour that is $3.00" in text(two_hours, ReportConfig(usd_per_hour=1.5))
    rented = replace(two_hours, host={"gpus": [{"name": "NVIDIA H100 80GB HBM3"}] * 2})
    assert "at $6.00 an hour that is $12.00" in text(rented, ReportConfig())
    cheaper = shipped_table().with_cards({"H100": {"usd_per_hour": 2.0}}, where="settings.toml")
    assert "at $4.00 an hour" in render_report(rented, ReportConfig(), cheaper)


def test_only_settings_that_differ_from_their_defaults_are_listed() -> None:
    config = {"depth": 4, "num_iterations": 400, "device_batch_size": 16, "seed": 42}

    assert changed_settings("base", config) == {"num_iterations": 400, "device_batch_size": 16}
    assert changed_settings("unheard-of", {"x": 1}) == {}


def test_a_run_without_evaluations_still_gets_a_report(tmp_path: Path) -> None:
    built = build_run(LabHome(tmp_path), stages=("data", "report"))

    report = report_of(build_summary(built.paths.run_dir))

    assert "This run evaluated no model." in report
    assert "This run trained no model." in report


def context(tmp_path: Path, inputs: dict[str, Input]) -> StageContext:
    return StageContext(
        stage="report",
        run_dir=tmp_path,
        artifacts_dir=tmp_path / "artifacts" / "report",
        checkpoints_dir=tmp_path / "checkpoints" / "report",
        data_dir=tmp_path / "data",
        inputs=inputs,
    )


def test_the_stage_writes_the_file_it_announces(tmp_path: Path, body: dict[str, Any]) -> None:
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(body))
    ctx = context(tmp_path, {"summary": Input(path=path, sha256="a")})

    (event,) = run(ReportConfig(), ctx, stop=lambda: False, resume=None)

    assert isinstance(event, Artifact)
    assert (event.name, event.path) == ("report", "artifacts/report/report.md")
    assert (tmp_path / event.path).read_text() == report_of(body)


@pytest.mark.parametrize("content", ["", "[]", '{"v": 1}', '{"v": 2}'])
def test_a_broken_summary_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text(content)
    ctx = context(tmp_path, {"summary": Input(path=path, sha256="a")})

    with pytest.raises(Corrupt, match=r"summary\.json"):
        list(run(ReportConfig(), ctx, stop=lambda: False, resume=None))
    with pytest.raises(NotFound, match="summary"):
        list(run(ReportConfig(), context(tmp_path, {}), stop=lambda: False, resume=None))


def test_the_report_is_written_without_torch() -> None:
    code = "import core.stages.report, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
