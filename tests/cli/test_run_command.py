"""`labcli run`: the plan that it shows and the run that it creates."""

from __future__ import annotations

import json

import pytest

from labcli.launching import new_run
from runs.errors import ExitCode
from runs.files import write_json
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.views.query import list_runs
from tests.builders import artifact, build_run
from tests.cli.conftest import Labcli

PLAN_KEYS = {
    "preset", "stages", "model", "tokens", "flops", "steps", "memory_bytes", "disk_bytes",
    "time_s", "usd",
}  # fmt: skip


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[RunPaths]:
    """Collect launches instead of starting supervisors."""
    launches: list[RunPaths] = []
    monkeypatch.setattr(new_run, "launch", launches.append)
    return launches


def test_dry_run_prints_the_plan_and_starts_nothing(labcli: Labcli, home: LabHome) -> None:
    result = labcli("run", "speedrun", "--preset", "cpu", "--dry-run", "--json")
    plan = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert set(plan) >= PLAN_KEYS
    assert set(plan["model"]) >= {"num_params", "depth", "n_embd"}
    assert not home.root.exists()


def test_dry_run_for_people_names_the_model_first(labcli: Labcli) -> None:
    out = labcli("run", "speedrun", "--preset", "cpu", "--dry-run").out
    assert out.startswith("current d4, ")
    assert "STAGE      STEPS" in out


def test_a_price_that_is_given_is_the_one_of_the_plan(labcli: Labcli) -> None:
    words = ("--preset", "cpu", "--usd-per-hour", "3.5", "--dry-run", "--json")
    plan = json.loads(labcli("run", "speedrun", *words).out)
    assert plan["usd_per_hour"] == 3.5
    assert plan["usd"] == pytest.approx(3.5 * plan["time_s"] / 3600, abs=0.01)
    assert plan["sources"]["usd"] == "time x $3.50 an hour, as you gave it"


def test_overrides_reach_the_plan(labcli: Labcli) -> None:
    words = ("--set", "base.depth=2", "--set", "base.num_iterations=7")
    plan = json.loads(
        labcli("run", "speedrun", "--preset", "cpu", "--dry-run", "--json", *words).out
    )
    assert (plan["model"]["depth"], plan["steps"]) == (2, 7)


def test_until_cuts_the_plan(labcli: Labcli) -> None:
    plan = json.loads(labcli("run", "speedrun", "--until", "tok", "--dry-run", "--json").out)
    assert [stage["stage"] for stage in plan["stages"]] == ["data", "tok"]


def test_stage_is_planned_alone_without_its_inputs(labcli: Labcli) -> None:
    plan = json.loads(labcli("run", "base", "--dry-run", "--json").out)
    assert [stage["stage"] for stage in plan["stages"]] == ["base"]


def test_detached_run_prints_its_slug(
    labcli: Labcli, home: LabHome, launched: list[RunPaths]
) -> None:
    result = labcli("run", "speedrun", "--detach", "--name", "mine", "--tag", "a", "--tag", "b")
    (view,) = list_runs(home)
    assert (result.code, result.out) == (0, f"{view.slug}\n")
    assert (view.name, view.tags) == ("mine", ("a", "b"))
    assert [paths.run_dir for paths in launched] == [view.path]
    assert result.err.startswith("current d")


def test_seed_and_note_are_given_at_launch_and_a_stage_keeps_its_own_seed(
    labcli: Labcli, home: LabHome, launched: list[RunPaths]
) -> None:
    words = ("--seed", "7", "--set", "sft.seed=9", "--note", "first try", "--detach")
    assert labcli("run", "speedrun", *words).code == 0
    (view,) = list_runs(home)
    assert view.notes == ("first try",)
    seeds = {entry.stage: entry.config["seed"] for entry in load_record(view.path).stages}
    assert seeds.pop("sft") == 9
    assert set(seeds.values()) == {7}
    for option, text in (("--note", " "), ("--tag", "two words")):
        refused = labcli("run", "speedrun", "--detach", option, text)
        assert (refused.code, len(refused.err.splitlines())) == (ExitCode.USAGE, 1)
    assert len(list_runs(home)) == 1


def test_detached_run_as_json(labcli: Labcli, home: LabHome, launched: list[RunPaths]) -> None:
    said = json.loads(labcli("run", "speedrun", "--detach", "--json").out)
    (view,) = list_runs(home)
    assert said == {"run_id": view.run_id, "slug": view.slug, "path": str(view.path)}


def test_stage_as_a_run_of_its_own_records_parent_and_inputs(
    labcli: Labcli, home: LabHome, launched: list[RunPaths]
) -> None:
    parent = build_run(home)
    write_json(parent.paths.artifacts_dir("tok") / "tokenizer.json", {"v": 1})
    home.data_dir.mkdir()
    parent.finish("data", artifact("corpus", str(home.data_dir)))
    parent.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    words = ("--from", "last:tok", "--set", "base.depth=2", "--detach")
    result = labcli("run", "base", *words)
    assert result.code == 0, result.err
    record = load_record(launched[0].run_dir)
    assert (record.recipe, record.parents) == ("base", (parent.run_id,))
    assert set(record.inputs) == {"corpus", "tokenizer"}


def test_recipe_file_of_the_user_runs(
    labcli: Labcli, home: LabHome, launched: list[RunPaths]
) -> None:
    recipe = home.root.parent / "mine.toml"
    recipe.write_text('stages = ["data", "tok", "base"]\n[presets.cpu.base]\nnum_iterations = 3\n')
    result = labcli("run", str(recipe), "--preset", "cpu", "--detach")
    assert result.code == 0, result.err
    assert load_record(launched[0].run_dir).recipe == "mine"
