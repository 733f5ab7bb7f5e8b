"""`runs list` and `runs show`: the shapes that programs read and the tables that people read."""

from __future__ import annotations

import csv
import io
import json

from runs.events import Eval
from runs.paths import LabHome
from tests.builders import (
    OTHER_VAL_TEXT,
    SPEEDRUN,
    START_S,
    VAL_TEXT,
    build_finished_run,
    build_run,
    step,
)
from tests.cli.conftest import Labcli

LIST_KEYS = {
    "run_id", "name", "recipe", "preset", "state", "stage", "created_s", "val_bpb", "tags",
    "stages",
}  # fmt: skip


def two_runs(home: LabHome) -> tuple[str, str]:
    """Create an older finished run and a newer one that is queued; return their ids."""
    older = build_finished_run(home, name="first", tags=("a", "b"))
    newer = build_run(home, created_s=START_S + 3600, seed=2)
    return older.run_id, newer.run_id


def test_list_json_is_an_array_with_the_newest_first(labcli: Labcli, home: LabHome) -> None:
    older, newer = two_runs(home)
    rows = json.loads(labcli("runs", "list", "--json").out)
    assert [row["run_id"] for row in rows] == [newer, older]
    assert all(set(row) >= LIST_KEYS for row in rows)


def test_list_json_has_the_figures_of_a_run(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home, name="first", tags=("a", "b"))
    (row,) = json.loads(labcli("runs", "list", "--json").out)
    assert (row["name"], row["state"], row["tags"]) == ("first", "finished", ["a", "b"])
    assert (row["val_bpb"], row["val_sha256"]) == (1.5, VAL_TEXT)
    assert row["stages"] == [{"stage": stage, "state": "finished"} for stage in SPEEDRUN]


def test_list_of_an_empty_home_is_an_empty_array(labcli: Labcli, home: LabHome) -> None:
    assert json.loads(labcli("runs", "list", "--json").out) == []
    assert labcli("runs", "list", "--jsonl").out == ""
    assert not home.root.exists()


def test_list_jsonl_has_one_object_per_line(labcli: Labcli, home: LabHome) -> None:
    two_runs(home)
    lines = labcli("runs", "list", "--jsonl").out.splitlines()
    assert [json.loads(line)["name"] for line in lines][1:] == ["first"]


def test_list_csv_has_a_header_and_a_row_per_run(labcli: Labcli, home: LabHome) -> None:
    two_runs(home)
    rows = list(csv.DictReader(io.StringIO(labcli("runs", "list", "--csv").out)))
    assert [row["state"] for row in rows] == ["queued", "finished"]
    assert (rows[0]["val_bpb"], rows[1]["tags"]) == ("", "a b")


def test_list_table_fits_a_run_on_a_line(labcli: Labcli, home: LabHome) -> None:
    slug = build_finished_run(home, name="first", tags=("a", "b")).slug
    width = len(f"{slug} (first)")
    assert labcli("runs", "list").out.splitlines() == [
        f"{'RUN':{width}}  STATE     STAGE   VAL BPB  PRESET  CREATED           TAGS",
        f"{slug} (first)  finished  report   1.5000  cpu     2025-11-21 01:53  a b",
    ]


def test_list_marks_figures_over_another_validation_text(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home, val_sha256=OTHER_VAL_TEXT)
    build_finished_run(home, created_s=START_S + 3600, seed=2)
    lines = labcli("runs", "list", "--table").out.splitlines()
    assert ["1.5000*" in line for line in lines[1:3]] == [False, True]
    assert lines[-1].startswith("* another validation text")


def test_home_may_be_given_before_or_after_the_command(labcli: Labcli, home: LabHome) -> None:
    other = LabHome(home.root.parent / "other")
    build_finished_run(other)
    before = labcli("--home", str(other.root), "runs", "list", "--json").out
    after = labcli("runs", "list", "--json", "--home", str(other.root)).out
    assert before == after
    assert len(json.loads(after)) == 1


def test_show_json_has_plan_and_stages(labcli: Labcli, home: LabHome) -> None:
    run = build_finished_run(home)
    shown = json.loads(labcli("runs", "show", run.slug, "--json").out)
    assert (shown["run_id"], shown["state"]) == (run.run_id, "finished")
    assert [stage["stage"] for stage in shown["plan"]["stages"]] == list(SPEEDRUN)
    assert shown["stages"]["base"]["val_bpb"] == 2.0
    skills = shown["stages"]["eval-sft"]["results"]
    assert set(skills) == {"arithmetic", "counting", "spelling"}
    assert set(skills["arithmetic"]) >= {"accuracy", "n", "chance", "base"}


def test_show_json_writes_null_for_a_figure_that_is_not_finite(
    labcli: Labcli, home: LabHome
) -> None:
    build_run(home).log("base", step(1, loss=float("nan")))
    shown = json.loads(labcli("runs", "show", "last", "--json").out)
    assert shown["stages"]["base"]["metrics"]["loss"] is None


def test_show_has_times_and_skills_of_every_model(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    out = labcli("runs", "show", "last").out
    assert "METRIC      BASE    MID    SFT  CHANCE" in out
    assert "arithmetic  0.0%  25.0%  50.0%    1.0%" in out
    assert "STAGE      STATE     TIME" in out


def test_show_marks_a_stage_measured_on_another_text(labcli: Labcli, home: LabHome) -> None:
    run = build_run(home, stages=("base", "mid"))
    run.finish("base", Eval(step=1, val_bpb=2.0, val_sha256=VAL_TEXT))
    run.finish("mid", Eval(step=1, val_bpb=1.0, val_sha256=OTHER_VAL_TEXT))
    assert "1.0000*" in labcli("runs", "show", "last").out


def test_run_with_a_broken_record_is_listed_as_unreadable(labcli: Labcli, home: LabHome) -> None:
    run = build_finished_run(home)
    run.paths.run_json.write_text("{")
    (row,) = json.loads(labcli("runs", "list", "--json").out)
    assert row["state"] == "unreadable"
