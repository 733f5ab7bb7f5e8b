"""What was made from what, and what is stale when something of it changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runs.lineage.graph import Lineage, StageNode, lineage_of
from runs.paths import LabHome
from tests.cli.conftest import Labcli
from tests.lineage.builders import real_checkpoint, real_file, run_from, trained_run


def lineage(home: LabHome, run_dir: Path, *, deep: bool = False) -> dict[str, StageNode]:
    found = lineage_of(home, run_dir, deep=deep)
    return {key.stage: node for key, node in found.nodes.items() if key.run_id == found.run_id}


def stale(found: Lineage) -> list[str]:
    return [node.key.stage for node in found.stale]


def test_every_stage_names_what_it_was_made_from_by_hash(home: LabHome) -> None:
    run = trained_run(home)
    nodes = lineage(home, run.paths.run_dir)
    made = {output.label: output.sha256 for node in nodes.values() for output in node.outputs}
    used = {use.label: use.sha256 for use in nodes["mid"].uses}
    assert set(used) == {"checkpoint@30", "tokenizer", "conversations"}
    assert all(sha256 and made[label] == sha256 for label, sha256 in used.items())
    assert stale(lineage_of(home, run.paths.run_dir)) == []


def test_a_changed_input_makes_everything_after_it_stale(home: LabHome) -> None:
    run = trained_run(home)
    (run.paths.artifacts_dir("tok") / "tokenizer.json").write_text("other")
    found = lineage_of(home, run.paths.run_dir)
    assert stale(found) == ["base", "eval-base", "mid"]
    assert [node.key.stage for node in found.rebuild] == ["tok", "base", "eval-base", "mid"]
    states = {use.name: use.state for use in lineage(home, run.paths.run_dir)["mid"].uses}
    assert states == {"tokenizer": "changed", "checkpoint": "stale", "conversations": "ok"}


def test_an_input_that_is_gone_makes_its_user_stale_but_not_its_maker(home: LabHome) -> None:
    run = trained_run(home)
    shutil.rmtree(run.paths.checkpoints_dir("base"))
    found = lineage_of(home, run.paths.run_dir)
    assert stale(found) == ["eval-base", "mid"]
    assert [node.key.stage for node in found.rebuild] == ["base", "eval-base", "mid"]


def test_a_stage_that_ran_again_makes_what_was_built_on_its_former_output_stale(
    home: LabHome,
) -> None:
    run = trained_run(home)
    run.log("tok", real_file(run, "tok", "tokenizer.json", "trained again"), attempt=2)
    states = {use.name: use.state for use in lineage(home, run.paths.run_dir)["base"].uses}
    assert states["tokenizer"] == "remade"


def test_a_changed_shard_is_found_when_asked_to_look_into_directories(home: LabHome) -> None:
    run = trained_run(home)
    (home.data_dir / "corpus" / "shard.parquet").write_text("twice")
    assert stale(lineage_of(home, run.paths.run_dir)) == []
    assert "base" in stale(lineage_of(home, run.paths.run_dir, deep=True))


def test_ancestors_and_descendants_in_other_runs_are_part_of_the_lineage(home: LabHome) -> None:
    parent = trained_run(home)
    child = run_from(home, "last:base@20", ["mid"], seed=2)
    child.finish("mid", real_checkpoint(child, "mid", 7))
    seen = [(key.run_id, key.stage) for key in lineage_of(home, parent.paths.run_dir).nodes]
    assert (child.run_id, "mid") in seen
    from_child = lineage_of(home, child.paths.run_dir)
    assert (parent.run_id, "base") in [(key.run_id, key.stage) for key in from_child.nodes]
    shutil.rmtree(parent.paths.checkpoints_dir("base") / "step_000020")
    assert stale(lineage_of(home, child.paths.run_dir)) == ["mid"]


def test_a_moved_lab_home_keeps_its_lineage(home: LabHome, tmp_path: Path) -> None:
    trained_run(home)
    moved = LabHome(tmp_path / "elsewhere")
    home.root.rename(moved.root)
    (run_dir,) = moved.runs_dir.iterdir()
    assert stale(lineage_of(moved, run_dir)) == []


def test_a_stage_that_has_not_run_is_drawn_in_its_place_and_is_not_stale(
    home: LabHome, labcli: Labcli
) -> None:
    run = trained_run(home)
    run.paths.events("mid", 1).unlink()
    (run.paths.artifacts_dir("tok") / "tokenizer.json").write_text("other")
    assert stale(lineage_of(home, run.paths.run_dir)) == ["base", "eval-base"]
    assert "      `- mid        pending" in labcli("runs", "lineage").out


def test_the_command_draws_the_tree_and_says_what_to_run_again(
    home: LabHome, labcli: Labcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = trained_run(home)
    (run.paths.artifacts_dir("tok") / "tokenizer.json").write_text("other")
    shown = labcli("runs", "lineage", run.slug).out
    assert "`- tok" in shown and "tokenizer (changed)" in shown
    assert f"labcli run tok --from {run.slug}" in shown
    body = json.loads(labcli("runs", "lineage", "--json").out)
    assert body["is_stale"] is True
    assert [entry["stage"] for entry in body["rebuild"]] == ["tok", "base", "eval-base", "mid"]
    base = next(entry for entry in body["stages"] if entry["stage"] == "base")
    assert [output["label"] for output in base["outputs"]] == ["checkpoint@30"]
    assert base["inputs"][1]["state"] == "changed"
