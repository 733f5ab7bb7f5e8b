"""What a clean-up removes, what it never removes, and that a kill in the middle loses nothing."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from runs.errors import Busy, UsageError
from runs.events import Eval
from runs.files import write_json
from runs.labels import Ballot, VotedAnswer, add_tag, add_vote
from runs.lineage import gc
from runs.lineage.gc import finish_removals, plan_removal, remove
from runs.lineage.retention import KeepRules, parse_age, parse_size
from runs.paths import LabHome, RunPaths
from runs.supervision.system import hold_lock
from tests.builders import RunBuilder
from tests.cli.conftest import Labcli
from tests.lineage.builders import age, real_checkpoint, run_from, trained_run

DAY_S = 86400.0
LAST = KeepRules(keep_last=1)


def going(home: LabHome, rules: KeepRules = LAST) -> list[str]:
    return sorted(item.label for item in plan_removal(home, rules).going)


def kept(home: LabHome, rules: KeepRules = LAST) -> dict[str, str]:
    return {one.item.label: one.why for one in plan_removal(home, rules).kept}


def everything(home: LabHome) -> set[Path]:
    return {path for path in home.root.rglob("*") if path.name not in ("gc.lock", "trash")}


def test_the_newest_checkpoint_of_every_stage_stays(home: LabHome) -> None:
    trained_run(home)
    assert going(home) == ["base@10", "base@20"]
    assert going(home, KeepRules(keep_last=2)) == ["base@10"]


def test_without_a_rule_no_checkpoint_goes(home: LabHome) -> None:
    trained_run(home)
    assert going(home, KeepRules()) == []


def test_the_best_checkpoint_stays_when_it_is_asked_for(home: LabHome) -> None:
    run = trained_run(home)
    evals = [Eval(step=step, val_bpb=bpb) for step, bpb in ((10, 1.2), (20, 1.1), (30, 1.3))]
    run.finish("eval-base")
    run.log("base", *(real for real in evals), attempt=1)
    assert going(home, KeepRules(keep_best=True)) == ["base@10"]


def test_what_another_run_was_built_on_stays(home: LabHome) -> None:
    trained_run(home)
    child = run_from(home, "last:base@10", ["mid"], seed=2)
    child.finish("mid", real_checkpoint(child, "mid", 7))
    assert going(home) == ["base@20"]
    assert kept(home) == {"base@10": f"run {child.slug}"}


def test_a_copied_home_protects_its_own_checkpoints(home: LabHome, tmp_path: Path) -> None:
    trained_run(home)
    run_from(home, "last:base@10", ["mid"], seed=2).finish("mid")
    moved = LabHome(tmp_path / "elsewhere")
    home.root.rename(moved.root)
    assert going(moved) == ["base@20"]


def test_a_run_with_the_tag_keep_loses_nothing(home: LabHome) -> None:
    run = trained_run(home)
    add_tag(run.paths.run_dir, "keep")
    assert going(home) == []
    assert set(kept(home)) == {"base@10", "base@20"}


def test_a_run_at_work_loses_nothing(home: LabHome) -> None:
    run = trained_run(home)
    run.paths.events("mid", 1).unlink()
    run.run_now("mid")
    (run.paths.checkpoints_dir("mid") / "step_000099").mkdir()
    assert going(home) == []


def test_a_vote_keeps_the_checkpoint_that_it_was_given_for(home: LabHome) -> None:
    run = trained_run(home)
    names = (f"{run.slug}:base@10", f"{run.slug}:base@30")
    first, second = (VotedAnswer(model=name, run_id=run.run_id, text="hi") for name in names)
    add_vote(home, Ballot(prompt="hello", first=first, second=second, choice="first"))
    assert going(home) == ["base@20"]


def test_half_built_directories_of_runs_that_ended_go(home: LabHome) -> None:
    run = trained_run(home)
    (run.paths.checkpoints_dir("mid") / "step_000009").mkdir()
    run.paths.artifacts_dir("mid").mkdir(parents=True, exist_ok=True)
    (run.paths.artifacts_dir("mid") / ".batch-7.json.4711.partial").write_text("{")
    (run.paths.checkpoints_dir("base") / ".measured.json.4711.partial").write_text("{")
    assert going(home, KeepRules()) == [
        "base/.measured.json.4711.partial",
        "mid/.batch-7.json.4711.partial",
        "mid/step_000009",
    ]


def test_only_token_caches_that_no_run_uses_go(home: LabHome) -> None:
    run = trained_run(home)
    used = next(
        json.loads(line)["sha256"]
        for line in run.paths.events("tok", 1).read_text().splitlines()
        if '"artifact"' in line
    )
    for name in (used[:16], "0" * 16):
        cache = home.data_dir / "corpus" / f"tokens-{name}"
        cache.mkdir()
        age(cache, by_s=DAY_S)
    fresh = home.data_dir / "corpus" / f"tokens-{'1' * 16}"
    fresh.mkdir()
    assert going(home, KeepRules()) == [f"corpus/tokens-{'0' * 16}"]


def test_token_directories_that_nothing_reads_go(home: LabHome) -> None:
    run = trained_run(home)
    used = next(
        json.loads(line)["sha256"]
        for line in run.paths.events("tok", 1).read_text().splitlines()
        if '"artifact"' in line
    )
    corpus = home.data_dir / "corpus"
    for name in (f"later-{used[:16]}", f"tokens-{used[:16]}.partial", f"tokens-{used[:16]}"):
        (corpus / name).mkdir()
        (corpus / name / "shard_00001.parquet.tokens").write_bytes(b"ids")
    for name in ("train.tokens", "val.offsets.npy"):
        (corpus / f"tokens-{used[:16]}" / name).write_bytes(b"ids")
    cut_off = corpus / f"tokens-{used[:16]}" / ".shard_00002.parquet.tokens.partial"
    cut_off.write_bytes(b"id")
    age(corpus, by_s=DAY_S)
    assert going(home, KeepRules()) == [
        f"corpus/later-{used[:16]}",
        f"corpus/tokens-{used[:16]}.partial",
        f"corpus/tokens-{used[:16]}/train.tokens",
        f"corpus/tokens-{used[:16]}/val.offsets.npy",
        f"data/corpus/tokens-{used[:16]}/{cut_off.name}",
    ]
    remove(home, KeepRules())
    left = [path.name for path in (corpus / f"tokens-{used[:16]}").iterdir()]
    assert left == ["shard_00001.parquet.tokens"]


def test_only_downloads_that_no_corpus_holds_or_waits_for_go(home: LabHome) -> None:
    trained_run(home)
    downloads = home.data_dir / "downloads" / "climbmix"
    downloads.mkdir(parents=True)
    names = [f"shard_{number:05d}.parquet" for number in range(3)]
    for name in (*names, "shard_00007.parquet.partial"):
        (downloads / name).write_bytes(b"text")
    corpus = home.data_dir / "grows"
    corpus.mkdir()
    os.link(downloads / names[0], corpus / names[0])
    write_json(corpus / "manifest.json", {"v": 1, "later": [{"name": names[1]}]})
    assert going(home, KeepRules()) == []
    age(home.data_dir, by_s=DAY_S)
    with open(downloads / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert going(home, KeepRules()) == []
    age(downloads, by_s=DAY_S)
    gone = [f"climbmix/{names[2]}", "climbmix/shard_00007.parquet.partial"]
    assert going(home, KeepRules()) == gone
    remove(home, KeepRules())
    assert sorted(path.name for path in downloads.glob("shard*")) == names[:2]


def test_tokens_that_a_run_had_at_hand_go_when_it_has_ended(home: LabHome) -> None:
    run = trained_run(home)
    window = run.paths.artifacts_dir("mid") / "window"
    window.mkdir(parents=True)
    (window / "shard_00001.parquet.tokens").write_bytes(b"ids")
    assert going(home, KeepRules()) == ["mid/window"]
    run.paths.events("mid", 1).unlink()
    run.run_now("mid")
    assert going(home, KeepRules()) == []


def test_snapshots_stay_as_long_as_a_run_names_them(home: LabHome) -> None:
    run = trained_run(home)
    for name in ("aaaa", "bbbb"):
        (home.root / "snapshots" / name).mkdir(parents=True)
        age(home.root / "snapshots" / name, by_s=DAY_S)
    text = run.paths.run_json.read_text()
    run.paths.run_json.write_text(text.replace('"tags": []', '"tags": ["aaaa"]'))
    assert going(home, KeepRules()) == ["bbbb"]


def test_compiled_kernels_go_once_a_week_has_added_none(home: LabHome) -> None:
    (home.kernels_dir / "ab").mkdir(parents=True)
    age(home.kernels_dir / "ab", by_s=8 * DAY_S)
    age(home.kernels_dir, by_s=6 * DAY_S)
    assert going(home, KeepRules()) == []
    age(home.kernels_dir, by_s=8 * DAY_S)
    assert going(home, KeepRules()) == ["cache/kernels"]


def put_into_trash(home: LabHome, run: RunBuilder) -> None:
    target = home.root / "trash" / "runs" / run.paths.run_dir.name
    target.parent.mkdir(parents=True)
    run.paths.run_dir.rename(target)


def test_removed_runs_go_only_when_they_are_old(home: LabHome) -> None:
    run = trained_run(home)
    put_into_trash(home, run)
    assert going(home, KeepRules()) == []
    assert going(home, KeepRules(older_than_s=0.0)) == [run.slug]


def test_a_removed_run_stays_as_long_as_another_was_built_on_it(home: LabHome) -> None:
    run = trained_run(home)
    run_from(home, "last:base@10", ["mid"], seed=2)
    put_into_trash(home, run)
    assert going(home, KeepRules(older_than_s=0.0)) == []


def test_a_disk_budget_takes_the_oldest_and_no_more_than_it_must(home: LabHome) -> None:
    run = trained_run(home)
    base = run.paths.checkpoints_dir("base")
    (base / "step_000010" / "model.safetensors").write_bytes(b"x" * 100_000)
    (base / "step_000020" / "model.safetensors").write_bytes(b"x" * 100_000)
    age(base / "step_000020", by_s=DAY_S)
    total = plan_removal(home, LAST).num_bytes
    assert going(home, KeepRules(max_bytes=10 * total)) == []
    assert going(home, KeepRules(max_bytes=total)) == ["base@20"]
    assert going(home, KeepRules(max_bytes=0)) == ["base@10", "base@20"]


def test_only_what_is_old_enough_goes(home: LabHome) -> None:
    run = trained_run(home)
    age(run.paths.checkpoints_dir("base") / "step_000010", by_s=40 * DAY_S)
    assert going(home, KeepRules(older_than_s=30 * DAY_S)) == ["base@10"]


def test_a_removal_takes_exactly_what_the_dry_run_listed(home: LabHome) -> None:
    run = trained_run(home)
    base = run.paths.checkpoints_dir("base")
    planned = {item.path for item in plan_removal(home, LAST).going}
    _, removed = remove(home, LAST)
    assert {item.path for item in removed.gone} == planned
    assert sorted(path.name for path in base.iterdir()) == ["step_000030"]
    assert list((home.root / "trash").iterdir()) == []


def test_a_removal_that_was_killed_after_the_rename_is_finished_by_the_next(
    home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_run(home)
    base = run.paths.checkpoints_dir("base")
    real, calls = gc.finish_removals, []

    def die_the_second_time(lab: LabHome) -> None:
        calls.append(lab)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(lab)

    monkeypatch.setattr(gc, "finish_removals", die_the_second_time)
    with pytest.raises(KeyboardInterrupt):
        remove(home, LAST)
    monkeypatch.undo()
    assert sorted(path.name for path in base.iterdir()) == ["step_000030"]
    remove(home, KeepRules())
    assert list((home.root / "trash").iterdir()) == []


def test_what_a_run_came_to_need_in_between_goes_back(home: LabHome) -> None:
    run = trained_run(home)
    origin = run.paths.checkpoints_dir("base") / "step_000010"
    run_from(home, "last:base@10", ["mid"], seed=2)
    batch = home.root / "trash" / "gc-1"
    batch.mkdir(parents=True)
    write_json(batch / "index.json", {"v": 1, "origins": {"0": str(origin)}})
    origin.rename(batch / "0")
    finish_removals(home)
    assert (origin / "COMMITTED").is_file()


def test_two_removals_at_once_are_refused(home: LabHome) -> None:
    trained_run(home)
    with (
        hold_lock(home.root / "gc.lock", wait_s=0.0, what="the clean-up"),
        pytest.raises(Busy, match=str(os.getpid())),
    ):
        remove(home, LAST)


def test_the_command_removes_nothing_unless_told_to(home: LabHome, labcli: Labcli) -> None:
    run = trained_run(home)
    before = everything(home)
    shown = labcli("runs", "gc", "--keep-last", "1")
    assert "base@10" in shown.out and "add --yes" in shown.err
    assert everything(home) == before
    body = json.loads(labcli("runs", "gc", "--keep-last", "1", "--yes", "--json").out)
    assert body["dry_run"] is False
    assert [item["label"] for item in body["items"]] == ["base@10", "base@20"]
    assert labcli("runs", "gc", "--dry-run", "--yes").code == 2
    assert RunPaths(run.paths.run_dir).run_json.is_file()


@pytest.mark.parametrize(
    ("text", "seconds"), [("12h", 43200.0), ("30d", 30 * DAY_S), ("2w", 14 * DAY_S)]
)
def test_ages_are_read(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize(
    ("text", "num_bytes"), [("50G", 50 << 30), ("1.5MiB", 3 << 19), ("2tb", 2 << 40)]
)
def test_sizes_are_read(text: str, num_bytes: int) -> None:
    assert parse_size(text) == num_bytes


@pytest.mark.parametrize("text", ["", "d", "30", "-1d", "nand", "infd", "1e99d"])
def test_nonsense_is_no_age(text: str) -> None:
    with pytest.raises(UsageError):
        parse_age(text)
