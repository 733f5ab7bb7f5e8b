"""`runs rm` and `runs restore`: nothing is lost before somebody agrees to it."""

from __future__ import annotations

import json

import pytest

from labcli import diagnostics
from runs.files import sha256_file
from runs.lineage.trash import trash_home
from runs.paths import LabHome
from runs.registry.store import query
from runs.views.query import run_dirs
from tests.builders import START_S, build_finished_run, build_run, step
from tests.cli.conftest import Labcli


def test_deleted_run_is_hidden_everywhere_and_comes_back_whole(
    labcli: Labcli, home: LabHome
) -> None:
    run = build_finished_run(home, name="first")
    before = {path.name: sha256_file(path) for path in run.paths.events_dir.iterdir()}
    assert labcli("runs", "rm", "first").out == f"{run.slug}\n"
    assert json.loads(labcli("runs", "list", "--json").out) == []
    assert labcli("runs", "show", run.slug).code == 3
    assert query(home, "SELECT count(*) FROM runs").rows == ((0,),)
    assert labcli("runs", "restore", "first").out == f"{run.slug}\n"
    after = {path.name: sha256_file(path) for path in run.paths.events_dir.iterdir()}
    assert after == before
    assert query(home, "SELECT name FROM runs").rows == (("first",),)


def test_trash_is_listed_with_what_it_takes_on_disk(labcli: Labcli, home: LabHome) -> None:
    run = build_finished_run(home)
    (moved,) = json.loads(labcli("runs", "rm", "last", "--json").out)
    (entry,) = json.loads(labcli("runs", "restore", "--json").out)
    assert (entry["slug"], entry["state"], entry["path"]) == (run.slug, "finished", moved["path"])
    assert entry["disk_bytes"] > 0 and entry["deleted_s"] > START_S


@pytest.mark.parametrize("words", [("rm",), ("rm", "--purge", "--yes")])
def test_running_run_is_never_deleted(
    labcli: Labcli, home: LabHome, words: tuple[str, ...]
) -> None:
    run = build_run(home)
    run.run_now("base", step(1))
    result = labcli("runs", *words, run.slug)
    assert result.code == 4 and f"labcli runs stop {run.slug}" in result.err
    assert run_dirs(home) == [run.paths.run_dir]


def test_run_that_nobody_launched_can_be_deleted(labcli: Labcli, home: LabHome) -> None:
    build_run(home)
    assert labcli("runs", "rm", "last").code == 0
    assert run_dirs(home) == []


def test_new_run_never_takes_the_slug_of_a_deleted_one(labcli: Labcli, home: LabHome) -> None:
    deleted = build_run(home).slug
    labcli("runs", "rm", "last")
    # The same entropy draws the same words.
    assert build_run(home, created_s=START_S + 60).slug != deleted


def test_purge_without_a_terminal_needs_yes(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    result = labcli("runs", "rm", "--purge", "last")
    assert result.code == 2 and "add --yes" in result.err
    assert len(run_dirs(home)) == 1


def test_purge_asks_a_person_and_takes_only_yes(
    labcli: Labcli, home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_finished_run(home)
    answers = iter(["", "yes"])
    monkeypatch.setattr(diagnostics, "is_terminal", lambda: True)
    monkeypatch.setattr(diagnostics, "ask", lambda question: next(answers))
    assert labcli("runs", "rm", "--purge", "last").code == 130
    assert len(run_dirs(home)) == 1
    assert labcli("runs", "rm", "--purge", "last").code == 0
    assert list(home.runs_dir.iterdir()) == []


def test_purge_frees_what_lies_in_the_trash(labcli: Labcli, home: LabHome) -> None:
    slug = build_finished_run(home).slug
    build_finished_run(home, created_s=START_S + 3600, seed=2)
    labcli("runs", "rm", "last", slug)
    assert labcli("runs", "rm", "--purge", "--yes", slug).code == 0
    (freed,) = json.loads(labcli("runs", "rm", "--purge", "--trash", "--yes", "--json").out)
    assert freed["disk_bytes"] > 0 and freed["path"] is None
    assert run_dirs(trash_home(home)) == []


def test_deleting_a_parent_names_the_runs_that_were_built_on_it(
    labcli: Labcli, home: LabHome
) -> None:
    parent = build_finished_run(home)
    child = build_finished_run(home, created_s=START_S + 3600, seed=2)
    record = json.loads(child.paths.run_json.read_text())
    child.paths.run_json.write_text(json.dumps({**record, "parents": [parent.run_id]}))
    assert child.slug in labcli("runs", "rm", parent.slug).err


def test_restore_of_what_is_not_in_the_trash_names_what_is(labcli: Labcli, home: LabHome) -> None:
    assert "trash" in labcli("runs", "restore", "nothing").err
    slug = build_finished_run(home).slug
    labcli("runs", "rm", "last")
    result = labcli("runs", "restore", slug[:-2] + "xx")
    assert result.code == 3 and slug in result.err
