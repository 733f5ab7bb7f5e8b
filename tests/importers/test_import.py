"""`runs import`: files that wandb, TensorBoard and trackio wrote, as runs like any other.

fixtures/ holds what wandb 0.31 and tensorboard 2.21 themselves wrote for a few steps.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from runs.errors import Corrupt
from runs.importers.detect import detect, find_sources, read_source
from runs.importers.tensorboard import read_tensorboard
from runs.importers.wandb_log import read_wandb
from runs.metrics.series import read_metrics
from runs.paths import LabHome
from runs.record import load_record
from runs.views.query import load_run, run_dirs
from tests.cli.conftest import Labcli

FIXTURES = Path(__file__).parent / "fixtures"
WANDB = FIXTURES / "small.wandb"
EVENTS = FIXTURES / "events.out.tfevents.1700000000.lab"
STEP_LINE = "step {:05d}/00003 (0.00%) | loss: {:.6f} | dt: 10.00ms | tok/sec: 1,000 | mfu: 40.00"


def curve(run_dir: Path, key: str) -> list[tuple[int, float]]:
    steps, values = read_metrics(run_dir, "import")[key]
    return list(zip(steps.tolist(), values.tolist(), strict=True))


def trackio_project(path: Path) -> Path:
    """Write a project as trackio 0.43 lays it out, with two runs."""
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, timestamp TEXT "
            "NOT NULL, run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL);"
            "CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, run_name TEXT, "
            "config TEXT NOT NULL, created_at TEXT);"
        )
        for run_id, name in (("aa", "first"), ("bb", "second")):
            config = json.dumps({"lr": 0.2, "_Created": "x"}).encode()
            row = [run_id, name, config, "x"]
            connection.execute(
                "INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)",
                row,
            )
            for step in range(3):
                stamp = f"2026-11-21T15:03:2{step}.402551+00:00"
                metrics = json.dumps({"loss": 1 / (step + 1), "note": "text"}).encode()
                connection.execute(
                    "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) "
                    "VALUES (?, ?, ?, ?, ?)",
                    [run_id, stamp, name, step, metrics],
                )
    connection.close()
    return path


def test_offline_run_of_wandb_keeps_its_curves_config_and_labels(
    labcli: Labcli, home: LabHome
) -> None:
    assert labcli("runs", "import", str(WANDB)).code == 0
    (run_dir,) = run_dirs(home)
    view, record = load_run(run_dir), load_record(run_dir)
    assert (view.name, view.state, view.tags, view.notes) == (
        "small run", "finished", ("a",), ("hello",),
    )  # fmt: skip
    assert curve(run_dir, "train/loss") == [(0, 3.0), (100, 1.5), (200, 1.0)]
    assert curve(run_dir, "nested.x") == [(0, 0.0), (100, 1.0), (200, 2.0)]
    assert record.stages[0].config == {"lr": 0.1, "model": {"depth": 4}}
    assert record.plan["imported"]["about"]["project"] == "demo"


def test_event_files_of_tensorboard_keep_scalars_and_hyperparameters(
    labcli: Labcli, home: LabHome
) -> None:
    assert labcli("runs", "import", str(EVENTS)).code == 0
    (run_dir,) = run_dirs(home)
    assert curve(run_dir, "train/loss") == [(0, 1.0), (10, 0.5), (20, pytest.approx(1 / 3))]
    assert curve(run_dir, "acc") == [(20, 0.75)]
    assert load_record(run_dir).stages[0].config == {"flag": True, "lr": 0.1, "opt": "adam"}
    assert load_run(run_dir).created_s == 1.7e9


def test_every_run_of_a_trackio_project_is_one_run(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    project = trackio_project(tmp_path / "project.db")
    rows = json.loads(labcli("runs", "import", str(project), "--json").out)
    assert [(row["name"], row["num_points"]) for row in rows] == [("first", 3), ("second", 3)]
    run_dir = run_dirs(home)[0]
    assert [value for _, value in curve(run_dir, "loss")] == [1.0, 0.5, 1 / 3]
    assert load_record(run_dir).stages[0].config == {"lr": 0.2}


def test_log_of_nanochat_is_a_run_with_bits_per_byte(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    log = tmp_path / "speedrun.log"
    lines = [STEP_LINE.format(step, 3.0 - step) for step in range(3)]
    log.write_text(
        "\n".join(["Autodetected device type: cuda", *lines, "Step 00003 | Validation bpb: 0.9000"])
    )
    assert labcli("runs", "import", str(log)).code == 0
    (run_dir,) = run_dirs(home)
    assert curve(run_dir, "loss") == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert load_run(run_dir).val_bpb == 0.9


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "step,loss,who\n0,3.0,x\n5,2.0,y\n"),
        ("a.jsonl", '{"step": 0, "loss": 3.0}\n{"step": 5, "loss": 2.0, "who": "x"}\n'),
        ("long.csv", "step,metric,value\n0,loss,3.0\n5,loss,2.0\n"),
    ],
)
def test_tables_of_metrics_are_read_wide_and_long(
    labcli: Labcli, home: LabHome, tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert labcli("runs", "import", str(path)).code == 0
    assert curve(run_dirs(home)[0], "loss") == [(0, 3.0), (5, 2.0)]


def test_directory_gives_each_of_its_runs_once(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    place = tmp_path / "files"
    (place / "tb").mkdir(parents=True)
    shutil.copy(WANDB, place)
    shutil.copy(EVENTS, place / "tb")
    (place / "latest").symlink_to(place / "small.wandb")
    (place / "notes.txt").write_text("not a run")
    rows = json.loads(labcli("runs", "import", str(place), "--json").out)
    assert sorted(row["format"] for row in rows) == ["tensorboard", "wandb"]


def test_same_content_is_imported_once_wherever_it_lies(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    labcli("runs", "import", str(WANDB))
    shutil.copy(WANDB, tmp_path / "copy.wandb")
    again = labcli("runs", "import", str(tmp_path / "copy.wandb"))
    assert again.code == 0 and "was imported before" in again.err
    labcli("runs", "rm", "last")
    assert "labcli runs restore" in labcli("runs", "import", str(WANDB)).err
    assert run_dirs(home) == []


def test_run_of_wandb_without_an_exit_record_failed(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.wandb"
    cut.write_bytes(WANDB.read_bytes()[:1100])
    result = labcli("runs", "import", str(cut))
    assert result.code == 0 and "ends within a record" in result.err
    view = load_run(run_dirs(home)[0])
    assert view.state == "failed" and "no exit record" in str(view.problem)


def test_wandb_file_cut_or_damaged_anywhere_gives_what_is_left_or_one_error(
    tmp_path: Path,
) -> None:
    data, path = WANDB.read_bytes(), tmp_path / "x.wandb"
    whole = len(read_wandb(WANDB)[0].points)
    for at in range(0, len(data), 17):
        for broken in (data[:at], data[:at] + b"\xff\x00\xfe" + data[at + 3 :]):
            path.write_bytes(broken)
            try:
                (run,) = read_wandb(path)
            except Corrupt:
                continue
            assert len(run.points) <= whole
            assert len(run.points) == whole or run.problems or run.outcome == "failed"


def test_event_file_cut_or_damaged_anywhere_gives_what_is_left_or_one_error(
    tmp_path: Path,
) -> None:
    data, path = EVENTS.read_bytes(), tmp_path / EVENTS.name
    whole = len(read_tensorboard([EVENTS], "x")[0].points)
    for at in range(0, len(data), 17):
        for broken in (data[:at], data[:at] + b"\xff\x00\xfe" + data[at + 3 :]):
            path.write_bytes(broken)
            try:
                (run,) = read_tensorboard([path], "x")
            except Corrupt:
                continue
            assert len(run.points) <= whole
    assert read_tensorboard([EVENTS], "x")[0].problems == ()


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.wandb", b"not wandb", "wandb"),
        ("a.wandb", b":W&B\xe1\xbe\x00", "wandb"),
        ("a.db", b"SQLite format 3\0" + b"\xff" * 200, "trackio"),
        ("a.db", b"", "trackio"),
        ("x.tfevents.1", b"\x00" * 40, "tensorboard"),
        ("a.csv", b"step,loss\n", "csv"),
        ("a.csv", b"\x00\xff\x00", "csv"),
        ("a.jsonl", b"[1]\n{", "jsonl"),
        ("a.log", b"nothing here", "nanochat"),
    ],
)
def test_hostile_file_gives_one_line_and_leaves_no_run(
    labcli: Labcli, home: LabHome, tmp_path: Path, name: str, content: bytes, form: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    result = labcli("runs", "import", str(path), "--format", form)
    assert result.code == 5
    assert len(result.err.splitlines()) == 1 and name in result.err
    assert not home.runs_dir.exists() or list(home.runs_dir.iterdir()) == []


def test_one_bad_file_among_others_is_named_and_the_others_come(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    shutil.copy(WANDB, tmp_path / "good.wandb")
    (tmp_path / "bad.wandb").write_bytes(b":W&B\xe1\xbe\x00garbage")
    result = labcli("runs", "import", str(tmp_path))
    assert result.code == 5 and "bad.wandb" in result.err
    assert len(run_dirs(home)) == 1


def test_unknown_format_and_missing_path_are_named(labcli: Labcli, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x00\x01")
    assert "add --format" in labcli("runs", "import", str(tmp_path / "x.bin")).err
    assert labcli("runs", "import", str(tmp_path / "none")).code == 3
    assert detect(tmp_path / "none") is None


def test_a_thousand_metrics_of_a_step_are_all_imported(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    path = tmp_path / "wide.jsonl"
    row = {f"layer.{i}.norm": i / 3 for i in range(1000)}
    path.write_text(json.dumps({"step": 1, **row}))
    (found,) = find_sources(path, None)
    assert len(read_source(found)[0].points) == 1
    labcli("runs", "import", str(path))
    metrics = read_metrics(run_dirs(home)[0], "import")
    assert {key: values.tolist() for key, (_, values) in metrics.items()} == {
        key: [value] for key, value in row.items()
    }
