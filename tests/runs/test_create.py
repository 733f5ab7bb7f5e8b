"""New runs: identifiers, run.json, the environment, and recipes."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from runs import environment
from runs.create import create_run
from runs.errors import Corrupt, LabError, NotFound, UsageError
from runs.ids import is_ulid, new_slug, new_ulid, ulid_time_s
from runs.paths import LabHome, lab_home
from runs.recipe import list_recipes, load_recipe, parse_recipe
from runs.record import load_record, plan_hash, write_record
from tests.runs.builders import make_run, toy_plan

RECIPE = """
name = "mine"
description = "a small one"
stages = ["tok", "base"]

[settings.base]
depth = 4

[presets.cpu]
description = "for a laptop"

[presets.cpu.base]
depth = 2
"""


def test_identifiers_sort_by_time_and_tell_it() -> None:
    times_s = (1.0, 1.001, 5e9)
    ids = [new_ulid(clock=iter([time_s]).__next__, entropy=bytes) for time_s in times_s]
    assert ids == sorted(ids) and all(map(is_ulid, ids))
    assert tuple(ulid_time_s(run_id) for run_id in ids) == times_s


def test_slug_is_unique_even_when_the_words_run_out() -> None:
    rng = random.Random(1)
    slug = new_slug("speedrun", set(), rng)
    assert slug.startswith("speedrun-") and slug.count("-") == 2

    class Everything(set[str]):
        def __contains__(self, name: object) -> bool:
            return str(name).count("-") == 2

    assert new_slug("speedrun", Everything(), rng).endswith("-2")


def test_record_comes_back_as_it_was_written(home: LabHome) -> None:
    inputs = {"tokenizer": {"path": "/t", "sha256": "a", "from": "x:tok"}}
    paths = make_run(home, name="n", tags=["t"], argv=["labcli", "run"], inputs=inputs, nproc=2)
    record = load_record(paths.run_dir)
    assert (record.name, record.tags, record.argv) == ("n", ("t",), ("labcli", "run"))
    assert record.inputs == inputs
    assert record.nproc == 2
    assert [entry.stage for entry in record.stages] == ["tok", "base"]
    assert record.plan_hash == plan_hash(toy_plan({"tok": {}, "base": {}}))
    assert record.packages["torch"] and record.host["num_cpus"] >= 1
    assert paths.run_dir.name == f"{record.run_id}-{record.slug}"
    assert paths.home == home


def test_run_json_is_written_once(home: LabHome) -> None:
    paths = make_run(home)
    with pytest.raises(Corrupt, match="exists already"):
        write_record(paths.run_dir, load_record(paths.run_dir))


def test_directory_without_run_json_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not a run directory"):
        load_record(tmp_path)


def test_unknown_stage_of_a_run_names_its_stages(home: LabHome) -> None:
    with pytest.raises(NotFound, match="tok, base"):
        load_record(make_run(home).run_dir).stage("mid")


@pytest.mark.parametrize("name", ["", "  ", "a:b", "a@b", "a/b"])
def test_name_that_a_reference_could_not_hold_is_refused(home: LabHome, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a run"):
        make_run(home, name=name)


def test_lab_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("a file")
    with pytest.raises(LabError, match="choose another --home"):
        create_run(LabHome(tmp_path / "lab"), plan=toy_plan({"tok": {}}), recipe="r", preset="p")


def test_lab_home_is_the_option_then_the_variable_then_the_default(tmp_path: Path) -> None:
    env = {"LABCLI_HOME": str(tmp_path / "env")}
    assert lab_home(tmp_path / "option", env).root == tmp_path / "option"
    assert lab_home(None, env).root == tmp_path / "env"
    assert lab_home(None, {}).root == Path.home() / ".labcli"


def test_git_state_tells_commit_branch_and_diff(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "-b", "trunk")
    (tmp_path / "a.txt").write_text("one\n")
    git("add", "a.txt")
    git("commit", "-m", "first")
    clean = environment.capture_git(tmp_path)
    assert (clean.branch, clean.is_dirty, clean.diff) == ("trunk", False, None)
    assert clean.sha is not None and len(clean.sha) == 40
    (tmp_path / "a.txt").write_text("two\n" * 400_000)
    dirty = environment.capture_git(tmp_path)
    assert dirty.is_dirty and dirty.diff is not None
    assert b"+two" in dirty.diff and dirty.diff.endswith(b"longer than 1 MB]\n")


def test_directory_without_git_has_no_commit(tmp_path: Path) -> None:
    state = environment.capture_git(tmp_path)
    assert (state.sha, state.branch, state.is_dirty, state.diff) == (None, None, False, None)


def test_recipe_is_parsed_to_plain_mappings(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    assert load_recipe(str(path)) == {
        "name": "mine",
        "description": "a small one",
        "stages": ["tok", "base"],
        "settings": {"base": {"depth": 4}},
        "presets": {"cpu": {"description": "for a laptop", "base": {"depth": 2}}},
        "runs": [],
        "grid": {},
    }


def test_every_recipe_of_ours_can_be_loaded() -> None:
    for name in list_recipes():
        assert load_recipe(name)["stages"]


def test_unknown_recipe_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'speedrum'"):
        load_recipe("speedrum")


def test_missing_recipe_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_recipe("./none.toml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('stages = ["tok"\n', "line"),
        ('name = "x"\n', "at least one stage"),
        ("stages = []\n", "at least one stage"),
        ('stages = ["a", "a"]\n', "twice"),
        ('stages = ["tok"]\nstagse = 1\n', "closest: 'stages'"),
        ('stages = ["tok"]\n[settings.tko]\nx = 1\n', "closest: 'tok'"),
        ('stages = ["tok"]\nsettings = 3\n', "must be a table"),
        ('stages = ["tok"]\nruns = 3\n', "each under [[runs]]"),
        ('stages = ["tok"]\n[[runs]]\ndepth = 3\n', "in quotes"),
        ('stages = ["tok"]\n[[runs]]\n"tko.x" = 3\n', "closest: 'tok'"),
        ('stages = ["tok"]\n[[runs]]\n"tok.x" = [3]\n', "takes one value"),
        ('stages = ["tok"]\n[grid]\n"tok.x" = 3\n', "takes lists"),
        ('stages = ["tok"]\n[presets.cpu]\ndescription = 3\n', "must be text"),
        ('stages = ["tok"]\npresets.cpu = 3\n', "must be a table"),
    ],
)
def test_broken_recipe_names_the_file_and_the_place(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml") as caught:
        parse_recipe(text, source="mine.toml", default_name="mine")
    assert complaint in str(caught.value)
