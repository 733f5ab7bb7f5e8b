"""`labcli track`: an unmodified script as a run with a true state, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runs.export import run_document
from runs.metrics.series import read_metrics
from runs.paths import LabHome, RunPaths
from runs.supervision.process import find_family
from runs.views.card import load_cards
from runs.views.query import load_run, run_dirs
from runs.views.run_view import RunView
from tests.cli.conftest import Labcli
from tests.runs.builders import kill_everything, wait_for, wait_for_state, worker_pid

SCRIPT = """
import sys, time, wandb
steps, code, pause_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
wandb.init(project="p", name="from wandb", tags=["good"], config={"lr": 0.1})
for i in range(steps):
    wandb.log({"train/loss": 1 / (i + 1)}, step=i)
    print(f"step {i:05d}/{steps:05d} ({i}%) | loss: {2 / (i + 1):.6f} | tok/sec: 1,000", flush=True)
    time.sleep(pause_s)
print("to stderr", file=sys.stderr)
print("no newline", end="")
sys.exit(code)
"""


@dataclass(frozen=True)
class Tracked:
    """One tracked script that has ended, and what its command printed."""

    paths: RunPaths
    done: subprocess.CompletedProcess[str]

    @property
    def view(self) -> RunView:
        return load_run(self.paths.run_dir)


def track(directory: Path, *words: str) -> Tracked:
    """Run a script under `labcli track` in a process of its own."""
    (directory / "train.py").write_text(SCRIPT)
    home = LabHome(directory / "home")
    argv = [sys.executable, "-m", "labcli.app", "--home", str(home.root), "track", *words]
    done = subprocess.run(
        argv, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    return Tracked(RunPaths(run_dirs(home)[0]), done)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    directory = tmp_path_factory.mktemp("failed")
    words = ("--parse", "nanochat", "--", sys.executable, "train.py", "5", "3", "0")
    return track(directory, *words)


@pytest.fixture
def home(home: LabHome) -> Iterator[LabHome]:
    yield home
    kill_everything(home)


def detached(labcli: Labcli, home: LabHome, directory: Path) -> RunPaths:
    """Start a script that would go on for long, and return once it has taken a step."""
    script = directory / "train.py"
    script.write_text(SCRIPT)
    words = ("track", "--detach", "--", sys.executable, str(script), "2000", "0", "0.02")
    slug = labcli(*words).out.strip()
    (run_dir,) = [path for path in run_dirs(home) if path.name[27:] == slug]
    wait_for(lambda: load_run(run_dir).stages[0].step, "the first step")
    return RunPaths(run_dir)


def test_output_and_exit_code_are_those_of_the_script(failed: Tracked) -> None:
    assert failed.done.returncode == 3
    lines = failed.done.stdout.splitlines()
    assert lines[0].startswith("step 00000/00005") and lines[-2:] == ["to stderr", "no newline"]
    assert "ended with exit code 3" in failed.done.stderr
    assert failed.view.state == "failed"


def test_metrics_come_from_wandb_and_from_the_lines(failed: Tracked) -> None:
    metrics = read_metrics(failed.paths.run_dir, "track")
    assert metrics["train/loss"][1].tolist() == [1 / (i + 1) for i in range(5)]
    assert metrics["loss"][1].tolist() == pytest.approx([2 / (i + 1) for i in range(5)], abs=1e-5)
    assert metrics["tok_per_sec"][0].tolist() == [0, 1, 2, 3, 4]


def test_name_tags_and_config_that_wandb_was_told_are_those_of_the_run(failed: Tracked) -> None:
    assert (failed.view.name, failed.view.tags) == ("from wandb", ("good",))
    said = json.loads((failed.paths.artifacts_dir("track") / "wandb.json").read_text())
    assert said["config"] == {"lr": 0.1}


def test_exported_run_has_the_config_that_wandb_was_told(failed: Tracked) -> None:
    assert run_document(failed.paths.run_dir)["logged_config"] == {"lr": 0.1}


def test_filters_find_the_config_that_wandb_was_told(failed: Tracked) -> None:
    (card,) = load_cards(failed.paths.home)
    assert card.settings["track.lr"] == 0.1


def test_run_records_the_command_and_where_it_ran(failed: Tracked) -> None:
    record = json.loads(failed.paths.run_json.read_text())
    (stage,) = record["plan"]["stages"]
    assert stage["config"]["argv"] == [sys.executable, "train.py", "5", "3", "0"]
    assert stage["config"]["cwd"] == str(failed.paths.home.root.parent)


def test_script_that_is_killed_is_killed_and_so_is_its_run(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    paths = detached(labcli, home, tmp_path)
    tracker = worker_pid(paths, "track")
    (script,) = [
        member.pid for member in find_family(paths.run_dir.name[:26]) if member.pid != tracker
    ]
    os.kill(script, signal.SIGKILL)
    view = wait_for_state(paths, "killed", "failed", "crashed", "finished")
    assert view.state == "killed" and "signal 9" in str(view.problem)


def test_killed_tracker_leaves_no_script_behind(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    paths = detached(labcli, home, tmp_path)
    os.kill(worker_pid(paths, "track"), signal.SIGKILL)
    assert wait_for_state(paths, "killed", "crashed", "finished").state == "killed"
    run_id = paths.run_dir.name[:26]
    wait_for(lambda: not find_family(run_id), "the script to end")


def test_stop_asks_the_script_to_end_and_resume_starts_it_again(
    labcli: Labcli, home: LabHome, tmp_path: Path
) -> None:
    paths = detached(labcli, home, tmp_path)
    assert labcli("runs", "stop", "last", "--wait").code == 0
    assert load_run(paths.run_dir).state == "stopped"
    assert labcli("runs", "resume", "last", "--detach").code == 0
    wait_for(lambda: load_run(paths.run_dir).stages[0].attempt == 2, "the second attempt")
    wait_for_state(paths, "running")


def test_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    tracked = track(tmp_path, "--", "no-such-program")
    assert tracked.done.returncode == 127
    assert "no-such-program cannot be started" in tracked.done.stderr


def test_nothing_to_track_is_a_usage_error(labcli: Labcli) -> None:
    result = labcli("track")
    assert result.code == 2 and "labcli track -- python train.py" in result.err
