"""Recipes that stand for several runs, and plans for hardware that is not here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import hardware
from labcli.sweep import creating
from runs.paths import LabHome
from runs.recipe import load_recipe
from runs.scheduling.sweep import resolve_sweep
from runs.views.query import list_runs
from tests.cli.conftest import Labcli


@pytest.fixture(autouse=True)
def has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan as on a machine without a GPU, whatever this one has, and let nothing start."""
    monkeypatch.setattr(hardware, "nvidia_gpus", lambda: ())
    monkeypatch.setattr(creating, "ensure_runner", lambda home: None)


def test_miniseries_is_eight_depths_each_with_its_own_horizon(labcli: Labcli) -> None:
    plan = json.loads(labcli("run", "miniseries", "--dry-run", "--json").out)
    made = [item["plan"] for item in plan["variants"]]
    assert [one["model"]["depth"] for one in made] == [12, 14, 16, 18, 20, 22, 24, 26]
    # The steps of nanochat's own table at 12 tokens per parameter.
    steps = {one["model"]["depth"]: one["steps"] for one in made}
    assert {depth: steps[depth] for depth in (12, 16, 20, 24, 26)} == {
        12: 2520, 16: 5376, 20: 4980, 24: 8352, 26: 10_510,
    }  # fmt: skip
    assert plan["num_runs"] == 8


def test_scaling_spends_every_budget_on_every_depth(labcli: Labcli) -> None:
    plan = json.loads(labcli("run", "scaling", "--dry-run", "--json").out)
    assert plan["num_runs"] == 4 * 6
    for item in plan["variants"]:
        budget = float(item["changed"]["base.target_flops"])
        assert item["plan"]["flops"] == pytest.approx(budget, rel=2e-3)


def test_series_is_listed_for_people(labcli: Labcli) -> None:
    out = labcli("run", "miniseries", "--dry-run").out
    assert "runs  8" in out and "DEPTH" in out


def test_series_becomes_runs_in_the_queue(labcli: Labcli, home: LabHome, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'stages = ["data", "tok", "base"]\n[presets.default.base]\nnum_iterations = 3\n'
        '[[runs]]\n"base.depth" = 2\n[[runs]]\n"base.depth" = 3\n[grid]\n"base.seed" = [1, 2]\n'
    )
    done = labcli("run", str(recipe), "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert len(resolve_sweep(home, told["slug"]).variants) == len(list_runs(home)) == 4
    assert all(Path(run).is_dir() for run in told["runs"])


def test_series_refuses_what_is_for_one_run(labcli: Labcli, home: LabHome) -> None:
    done = labcli("run", "miniseries", "--note", "mine")
    assert done.code == 2
    assert "stands for several runs" in done.err
    assert not home.root.exists()


@pytest.mark.parametrize("what", [("speedrun", "--preset", "d32"), ("miniseries",)])
def test_a_plan_for_other_hardware_is_shown_but_not_started(
    labcli: Labcli, home: LabHome, what: tuple[str, ...]
) -> None:
    done = labcli("run", *what, "--detach")
    assert done.code == 2
    assert "8 x H100, which this machine is not" in done.err
    assert not list(home.runs_dir.glob("*"))


@pytest.mark.parametrize("preset", list(load_recipe("speedrun")["presets"]))
def test_every_preset_is_shown_with_the_source_of_its_figures(labcli: Labcli, preset: str) -> None:
    done = labcli("run", "speedrun", "--preset", preset, "--dry-run", "--json")
    plan = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    figures = ("tokens", "steps", "memory_bytes", "disk_bytes", "time_s")
    assert all(plan[name] > 0 and plan["sources"][name] for name in figures)


def test_cards_of_the_lab_homes_settings_are_counted_with(labcli: Labcli, home: LabHome) -> None:
    home.root.mkdir()
    (home.root / "settings.toml").write_text('[hardware."RTX 4090"]\nusd_per_hour = 0.5\n')
    plan = json.loads(labcli("run", "speedrun", "--preset", "gpu-24g", "--dry-run", "--json").out)
    assert plan["usd_per_hour"] == 0.5
    assert plan["usd"] == pytest.approx(0.5 * plan["time_s"] / 3600, abs=0.01)


def test_a_card_of_the_settings_that_cannot_be_is_one_line(labcli: Labcli, home: LabHome) -> None:
    home.root.mkdir()
    (home.root / "settings.toml").write_text('[hardware."Mine"]\nusd_per_hour = 0.5\n')
    done = labcli("run", "speedrun", "--dry-run")
    assert done.code == 2
    assert '[hardware."Mine"] in settings.toml needs bf16_flops' in done.err
