"""`runs tag`, `note` and `rename`: what people add to a run, typed at a prompt."""

from __future__ import annotations

import json

from runs.log import read_log
from runs.paths import LabHome
from tests.builders import START_S, build_finished_run
from tests.cli.conftest import Labcli


def test_tags_are_added_once_and_taken_off(labcli: Labcli, home: LabHome) -> None:
    run = build_finished_run(home, tags=("old",))
    assert labcli("runs", "tag", run.slug, "good", "good", "best").out == "old good best\n"
    assert labcli("runs", "tag", run.slug, "old", "--remove").out == "good best\n"
    (row,) = json.loads(labcli("runs", "list", "--json").out)
    assert row["tags"] == ["good", "best"]


def test_every_change_is_a_line_of_its_own(labcli: Labcli, home: LabHome) -> None:
    run = build_finished_run(home)
    labcli("runs", "tag", "last", "good")
    labcli("runs", "note", "last", "diverged at 300")
    labcli("runs", "rename", "last", "baseline")
    kinds = [record.kind for record in read_log(run.paths.annotations)]
    assert kinds == ["tag", "note", "rename"]


def test_tag_with_a_space_is_refused_and_nothing_is_written(labcli: Labcli, home: LabHome) -> None:
    run = build_finished_run(home)
    result = labcli("runs", "tag", "last", "fine", "not fine")
    assert result.code == 2 and "join with -" in result.err
    assert not run.paths.annotations.exists()


def test_notes_are_shown_oldest_first(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    labcli("runs", "note", "last", "one")
    assert labcli("runs", "note", "last", "two").out == "one\ntwo\n"
    assert labcli("runs", "note", "last", "  ").code == 2
    assert "note     two" in labcli("runs", "show", "last").out


def test_renamed_run_is_found_by_both_names(labcli: Labcli, home: LabHome) -> None:
    run = build_finished_run(home)
    assert labcli("runs", "rename", run.slug, "baseline").out == f"{run.slug} (baseline)\n"
    for name in ("baseline", run.slug):
        assert json.loads(labcli("runs", "show", name, "--json").out)["name"] == "baseline"


def test_rename_says_when_the_name_is_taken(labcli: Labcli, home: LabHome) -> None:
    older = build_finished_run(home, name="baseline")
    build_finished_run(home, created_s=START_S + 3600, seed=2)
    assert f"{older.slug} has this name too" in labcli("runs", "rename", "last", "baseline").err


def test_name_that_a_reference_could_not_hold_is_refused(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    assert labcli("runs", "rename", "last", "a:b").code == 2
