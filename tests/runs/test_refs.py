"""References to runs and checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs import labels
from runs.errors import Corrupt, NotFound, UsageError
from runs.events import End, Eval, Start
from runs.paths import LabHome, RunPaths
from runs.refs import Ref, Step, parse_ref, resolve_checkpoint, resolve_run
from tests.runs.builders import make_run, write_events


def commit(paths: RunPaths, stage: str, *steps: int) -> None:
    for step in steps:
        directory = paths.checkpoints_dir(stage) / f"step_{step}"
        directory.mkdir(parents=True)
        (directory / "COMMITTED").touch()


@pytest.fixture
def paths(home: LabHome) -> RunPaths:
    stages: dict[str, dict[str, int]] = {"base": {}, "mid": {}, "sft": {}}
    return make_run(home, stages, name="tuesday", clock=lambda: 1000.0)


@pytest.mark.parametrize(
    ("text", "run", "stage", "step"),
    [
        ("last", "last", None, None),
        ("fox", "fox", None, None),
        ("fox:sft", "fox", "sft", None),
        ("fox@120", "fox", None, 120),
        ("fox:base@best", "fox", "base", "best"),
        ("fox:eval-base@last", "fox", "eval-base", "last"),
        (":base", "last", "base", None),
    ],
)
def test_reference_has_a_run_a_stage_and_a_step(
    text: str, run: str, stage: str | None, step: Step | None
) -> None:
    assert parse_ref(text) == Ref(run=run, stage=stage, step=step)


@pytest.mark.parametrize("text", ["fox:", "fox@", "fox@-1", "fox@newest", "fox:base@1.5"])
def test_malformed_reference_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="fox"):
        parse_ref(text)


def test_run_is_found_by_id_prefix_slug_name_and_last(home: LabHome, paths: RunPaths) -> None:
    run_id, slug = paths.run_dir.name[:26], paths.run_dir.name[27:]
    for text in (run_id, run_id.lower(), run_id[:20], slug, "tuesday", "last"):
        assert resolve_run(home, text) == paths.run_dir


def test_run_is_found_by_its_new_name_only(home: LabHome, paths: RunPaths) -> None:
    labels.rename(paths.run_dir, "wednesday")
    assert resolve_run(home, "wednesday") == paths.run_dir
    with pytest.raises(NotFound, match="wednesday"):
        resolve_run(home, "tuesday")


def test_ambiguous_prefix_and_name_list_their_candidates(home: LabHome, paths: RunPaths) -> None:
    other = make_run(home, name="tuesday", clock=lambda: 1000.001)
    for text in (paths.run_dir.name[:8], "tuesday"):
        with pytest.raises(UsageError) as caught:
            resolve_run(home, text)
        assert paths.run_dir.name in str(caught.value) and other.run_dir.name in str(caught.value)


def test_unknown_run_names_the_closest(home: LabHome, paths: RunPaths) -> None:
    with pytest.raises(NotFound, match="'tuesday'"):
        resolve_run(home, "tuesdey")


def test_last_is_the_newest_run(home: LabHome, paths: RunPaths) -> None:
    newest = make_run(home, clock=lambda: 2000.0)
    assert resolve_run(home, "last") == newest.run_dir


def test_empty_lab_home_says_how_to_start(home: LabHome) -> None:
    with pytest.raises(NotFound, match="labcli run"):
        resolve_run(home, "last")


def test_checkpoint_defaults_to_the_furthest_stage_and_last_step(
    home: LabHome, paths: RunPaths
) -> None:
    commit(paths, "base", 100, 20)
    commit(paths, "mid", 5, 10)
    found = resolve_checkpoint(home, "tuesday")
    assert (found.stage, found.step) == ("mid", 10)
    assert found.path == paths.checkpoints_dir("mid") / "step_10"
    assert found.name == f"{paths.run_dir.name[27:]}:mid@10"
    assert resolve_checkpoint(home, "tuesday:base").step == 100
    assert resolve_checkpoint(home, "tuesday:base@20").step == 20


def test_uncommitted_checkpoint_does_not_exist(home: LabHome, paths: RunPaths) -> None:
    commit(paths, "base", 10)
    (paths.checkpoints_dir("base") / "step_20").mkdir()
    assert resolve_checkpoint(home, "last:base").step == 10
    with pytest.raises(NotFound, match="it has 10"):
        resolve_checkpoint(home, "last:base@20")


def test_best_is_the_kept_checkpoint_with_the_lowest_bits_per_byte(
    home: LabHome, paths: RunPaths
) -> None:
    commit(paths, "base", 10, 20, 30)
    evals = [Eval(step=step, val_bpb=bpb) for step, bpb in ((5, 0.1), (10, 3), (20, 1), (30, 2))]
    write_events(paths, "base", 1, *evals)
    assert resolve_checkpoint(home, "last:base@best").step == 20


def test_run_without_a_checkpoint_and_unknown_stage_are_not_found(
    home: LabHome, paths: RunPaths
) -> None:
    with pytest.raises(NotFound, match="no checkpoint yet"):
        resolve_checkpoint(home, "last")
    with pytest.raises(NotFound, match="base, mid, sft"):
        resolve_checkpoint(home, "last:rl")


def test_path_to_a_checkpoint_is_a_reference(home: LabHome, paths: RunPaths) -> None:
    commit(paths, "base", 10)
    path = paths.checkpoints_dir("base") / "step_10"
    found = resolve_checkpoint(home, str(path))
    assert (found.path, found.run_id, found.stage) == (path, paths.run_dir.name[:26], "base")


def test_path_to_something_else_is_refused(home: LabHome, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no checkpoint directory"):
        resolve_checkpoint(home, str(tmp_path / "nowhere"))
    with pytest.raises(Corrupt, match="not a complete checkpoint"):
        resolve_checkpoint(home, str(tmp_path))


def test_no_reference_means_the_last_finished_run_with_a_model(
    home: LabHome, paths: RunPaths
) -> None:
    commit(paths, "base", 10)
    start = Start(
        stage="s", attempt=1, config_hash="", host="", device="", torch=None, world_size=1, argv=()
    )
    for stage in ("base", "mid", "sft"):
        write_events(paths, stage, 1, start, End(reason="finished"))
    unfinished = make_run(home, clock=lambda: 3000.0)
    commit(unfinished, "base", 99)
    assert resolve_checkpoint(home, None).step == 10
