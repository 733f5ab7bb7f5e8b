"""`bench registry`: every figure is measured and has its place; how fast is not judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labcli.bench import tools
from labcli.bench.registry import emit, figures, killed, peer_reading
from labcli.bench.registry.figures import Extent, Figure
from runs.errors import LabError
from tests.cli.conftest import Labcli

TINY = Extent(
    emit_rounds=1, kill_rounds=2, num_runs=3, num_curve_runs=2, num_steps=50, ingest_points=1000,
    stale_s=1.0, num_launches=1, rounds=1,
)  # fmt: skip
FIELDS = {"task", "tool", "figure", "value", "unit", "target", "met"}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "SHORT", TINY)
    for module in (emit, figures, peer_reading):
        monkeypatch.setattr(module, "installed_version", lambda package: None)


def test_every_figure_is_one_row_on_one_line(labcli: Labcli, tiny: None) -> None:
    only = [word for task in ("emit", "ingest", "list", "history") for word in ("--only", task)]
    result = labcli("bench", "registry", "--json", *only)
    assert result.code == 0, result.err
    rows = json.loads(result.out)
    assert len(result.out.splitlines()) == 1
    assert all(set(row) == FIELDS for row in rows)
    tasks = {"emit", "ingest", "reindex", "list", "filter", "sql", "history"}
    assert {row["task"] for row in rows} == tasks
    assert {row["tool"] for row in rows if row["task"] == "emit"} == {"labcli", "json+write"}
    assert all(row["value"] > 0 for row in rows)


def test_no_acknowledged_event_is_lost_to_kill_9(tmp_path: Path) -> None:
    losses = killed.measure_losses(tmp_path, rounds=3)
    assert losses.num_acknowledged > losses.rounds
    assert losses.num_lost == 0


def test_reader_of_the_dashboard_sees_events_of_all_runs(labcli: Labcli, tiny: None) -> None:
    result = labcli("bench", "registry", "--only", "tail")
    assert result.code == 0
    assert [line.split()[:2] for line in result.out.splitlines()] == [
        ["TASK", "TOOL"], ["tail", "labcli"], ["tail", "labcli"],
    ]  # fmt: skip


def test_target_is_met_on_the_right_side_of_it() -> None:
    slow = Figure(task="list", tool="labcli", figure="median", value=300, unit="ms", target=250)
    many = Figure(
        task="ingest", tool="labcli", figure="median", value=2e6, unit="points/s", target=1e6,
        is_more_better=True,
    )  # fmt: skip
    assert (slow.is_met, many.is_met) == (False, True)


def test_tool_that_cannot_log_is_one_line(tmp_path: Path) -> None:
    with emit.Worker("nonesuch", tmp_path) as worker, pytest.raises(LabError, match="ended"):
        worker.block()


@pytest.mark.skipif(not tools.installed_version("trackio"), reason="trackio is not installed")
def test_runs_of_a_peer_are_read_back_where_it_is_installed(tmp_path: Path) -> None:
    listed = peer_reading.trackio_list_s(tmp_path / "list", num_runs=3, rounds=1)
    curves = peer_reading.trackio_curves(tmp_path / "curves", num_steps=10, rounds=2)
    assert listed is not None and len(listed) == 1
    assert curves is not None and curves.num_points == 2000
    assert len(curves.one_s) == len(curves.overlay_s) == 2


def test_unknown_task_is_a_usage_error(labcli: Labcli) -> None:
    result = labcli("bench", "registry", "--only", "lisst")
    assert (result.code, result.out) == (2, "")
    assert "list" in result.err


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_long_form_measures_a_hundred_million_points(labcli: Labcli) -> None:
    assert tools.installed_version("duckdb")
    result = labcli("bench", "registry", "--soak", "--json")
    assert result.code == 0, result.err
    rows = {(row["task"], row["figure"], row["tool"]): row for row in json.loads(result.out)}
    assert rows["history", "points in the lab", "labcli"]["value"] == 100_000_000
    assert rows["kill -9", "lost", "labcli"]["value"] == 0
