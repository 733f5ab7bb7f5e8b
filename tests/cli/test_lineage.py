"""`--from`: what a run takes from another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.errors import NotFound, UsageError
from runs.files import read_json, write_json
from runs.lineage.inputs import missing_inputs, resolve_inputs
from runs.paths import LabHome
from tests.builders import SPEEDRUN, RunBuilder, artifact, build_run, checkpoint, make_plan


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(tmp_path / "home")


@pytest.fixture
def parent(home: LabHome) -> RunBuilder:
    """A run with a tokenizer, data, and checkpoints of base at 50 and 100 and of mid at 60."""
    run = build_run(home)
    tokenizer = run.paths.artifacts_dir("tok") / "tokenizer.json"
    write_json(tokenizer, {"v": 1})
    corpus = home.data_dir / "corpus"
    corpus.mkdir(parents=True)
    run.finish("data", artifact("corpus", str(corpus)), artifact("conversations", str(corpus)))
    run.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    run.finish("base", checkpoint("base", 50), checkpoint("base", 100))
    run.log("mid", checkpoint("mid", 60))
    for stage, step in (("base", 50), ("base", 100), ("mid", 60)):
        run.commit(stage, step)
    return run


def test_a_whole_recipe_needs_nothing() -> None:
    assert missing_inputs(make_plan(SPEEDRUN)) == {}


def test_a_single_stage_needs_what_the_others_make() -> None:
    assert missing_inputs(make_plan(["base"])) == {"corpus": "data", "tokenizer": "tok"}


def test_two_outside_producers_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="one at a time"):
        missing_inputs(make_plan(["eval-base", "eval-mid"]))


def test_artifacts_come_with_absolute_paths_and_their_origin(
    home: LabHome, parent: RunBuilder
) -> None:
    inputs, parents = resolve_inputs(home, make_plan(["base"]), "last:tok")
    tokenizer = parent.paths.artifacts_dir("tok") / "tokenizer.json"
    assert inputs["tokenizer"] == {
        "path": str(tokenizer),
        "sha256": "d" * 64,
        "from": f"{parent.run_id}:tok",
    }
    assert inputs["corpus"]["path"] == str(home.data_dir / "corpus")
    assert parents == (parent.run_id,)


@pytest.mark.parametrize(
    ("stage", "ref", "origin", "directory"),
    [
        ("mid", "last", "base", "step_100"),
        ("mid", "last:base@50", "base", "step_50"),
        ("sft", "last", "mid", "step_60"),
        ("sft", "last:base", "base", "step_100"),
        ("sft", "last:tok", "mid", "step_60"),
    ],
)
def test_checkpoint_comes_from_the_named_stage_and_step(
    home: LabHome, parent: RunBuilder, stage: str, ref: str, origin: str, directory: str
) -> None:
    inputs, _ = resolve_inputs(home, make_plan([stage]), ref)
    assert inputs["checkpoint"]["from"] == f"{parent.run_id}:{origin}"
    assert Path(inputs["checkpoint"]["path"]).name == directory


def test_path_of_a_checkpoint_is_a_reference_too(home: LabHome, parent: RunBuilder) -> None:
    path = parent.paths.checkpoints_dir("base") / "step_50"
    inputs, _ = resolve_inputs(home, make_plan(["sft"]), str(path))
    assert inputs["checkpoint"]["path"] == str(path)


def test_inputs_of_the_parent_are_inherited(home: LabHome, parent: RunBuilder) -> None:
    child = build_run(home, stages=["base"], seed=2, created_s=1_763_700_000.0)
    taken, _ = resolve_inputs(home, make_plan(["base"]), parent.slug)
    write_json(child.paths.run_json, {**read_json(child.paths.run_json), "inputs": taken})
    child.commit("base", 10)
    inputs, parents = resolve_inputs(home, make_plan(["eval-base"]), child.slug)
    assert inputs["tokenizer"]["from"] == f"{parent.run_id}:tok"
    assert parents == (child.run_id, parent.run_id)


def test_missing_artifact_is_named_with_its_stage(home: LabHome) -> None:
    run = build_run(home)
    with pytest.raises(NotFound, match=f"stage data of run {run.slug} has not made corpus"):
        resolve_inputs(home, make_plan(["base"]), "last")


def test_deleted_artifact_is_not_found(home: LabHome, parent: RunBuilder) -> None:
    (parent.paths.artifacts_dir("tok") / "tokenizer.json").unlink()
    with pytest.raises(NotFound, match="is gone"):
        resolve_inputs(home, make_plan(["base"]), "last")


def test_a_stage_that_no_run_behind_the_reference_has_is_refused_by_name(
    home: LabHome, parent: RunBuilder
) -> None:
    with pytest.raises(NotFound, match=f"run {parent.slug} has no stage 'bas'; closest: 'base'"):
        resolve_inputs(home, make_plan(["mid"]), "last:bas")
    child = build_run(home, stages=["base"], seed=2, created_s=1_763_700_000.0)
    described = read_json(child.paths.run_json)
    write_json(child.paths.run_json, {**described, "parents": [parent.run_id]})
    assert resolve_inputs(home, make_plan(["base"]), f"{child.slug}:tok")[0]["tokenizer"]


def test_what_only_an_ancestor_made_is_found_there(home: LabHome, parent: RunBuilder) -> None:
    child = build_run(home, stages=["base"], seed=2, created_s=1_763_700_000.0)
    child.commit("base", 10)
    with pytest.raises(NotFound, match="which makes"):
        resolve_inputs(home, make_plan(["mid"]), child.slug)
    described = read_json(child.paths.run_json)
    write_json(child.paths.run_json, {**described, "parents": [parent.run_id]})
    inputs, _ = resolve_inputs(home, make_plan(["mid"]), child.slug)
    assert inputs["checkpoint"]["from"] == f"{child.run_id}:base"
    assert inputs["conversations"]["from"] == f"{parent.run_id}:data"
