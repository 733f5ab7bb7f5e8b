"""Experiments as runs: their plan, their inputs and parents, and what they leave untouched."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import build_stage_config
from core.settings.experiments import SelfchatConfig
from labcli.launching import experiments
from labcli.launching.experiments import GivenFile, NewExperiment, start_experiment
from labcli.working.stage_inputs import resolve_inputs
from runs.errors import NotFound, UsageError
from runs.files import sha256_file
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import resolve_checkpoint, resolve_run, resolve_training_run
from tests.cli.talking import trained_run
from tests.engine.builders import TOKENIZER


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(tmp_path / "home")


@pytest.fixture
def trained(home: LabHome) -> Path:
    """The chat checkpoint of a finished run."""
    return trained_run(home)


@pytest.fixture
def started(home: LabHome, trained: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """An experiment over one checkpoint and one file, whose supervisor was not started."""
    monkeypatch.setattr(experiments, "launch", lambda paths: 1)
    new = NewExperiment(
        stage="selfchat",
        config=SelfchatConfig(turns=2),
        checkpoints={"a": resolve_checkpoint(home, str(trained))},
        files={"topics": GivenFile(file_name="topics.txt", content=b"cats\n")},
        total=8,
        device="cpu",
    )
    return start_experiment(home, new, name="talk", tags=["first"])


def test_an_experiment_names_its_parents_and_where_its_inputs_come_from(
    home: LabHome, trained: Path, started: RunPaths
) -> None:
    record = load_record(started.run_dir)
    parent = resolve_training_run(home, "last").name[:26]
    assert record.is_experiment and record.parents == (parent,)
    assert (record.recipe, record.name, record.tags) == ("selfchat", "talk", ("first",))
    made = {name: entry["from"] for name, entry in record.inputs.items()}
    assert made == {
        "checkpoint:a": f"{parent}:sft",
        "tokenizer:a": f"{parent}:tok",
        "topics": "given",
    }
    assert record.inputs["checkpoint:a"]["path"] == str(trained)


def test_a_stage_is_handed_the_checkpoint_its_tokenizer_and_the_given_file(
    trained: Path, started: RunPaths
) -> None:
    inputs = resolve_inputs(started, load_record(started.run_dir), "selfchat")
    assert inputs["checkpoint:a"].path == trained
    assert inputs["checkpoint:a"].sha256 == sha256_file(trained / "COMMITTED")
    assert inputs["tokenizer:a"].sha256 == TOKENIZER.hash
    assert inputs["topics"].path.read_bytes() == b"cats\n"


def test_an_experiment_that_was_moved_with_its_home_finds_its_given_file(
    home: LabHome, started: RunPaths, tmp_path: Path
) -> None:
    moved = RunPaths(started.run_dir.rename(tmp_path / started.run_dir.name))
    inputs = resolve_inputs(moved, load_record(moved.run_dir), "selfchat")
    assert inputs["topics"].path.read_bytes() == b"cats\n"


def test_a_checkpoint_that_was_deleted_is_named(trained: Path, started: RunPaths) -> None:
    trained.rename(trained.with_name("elsewhere"))
    with pytest.raises(NotFound, match="checkpoint:a"):
        resolve_inputs(started, load_record(started.run_dir), "selfchat")


def test_settings_of_an_experiment_come_back_from_its_record(started: RunPaths) -> None:
    entry = load_record(started.run_dir).stage("selfchat")
    assert build_stage_config("selfchat", entry.config) == SelfchatConfig(turns=2)
    assert entry.total == 8


def test_last_means_the_newest_training_where_a_model_is_asked_for(
    home: LabHome, trained: Path, started: RunPaths
) -> None:
    assert resolve_run(home, "last") == started.run_dir
    assert resolve_checkpoint(home, "last:sft").path == trained
    assert resolve_checkpoint(home, None).path == trained


@pytest.mark.parametrize(
    ("text", "values"),
    [("0.6, 1", (0.6, 1.0)), ([0.5], (0.5,)), (0.7, (0.7,))],
)
def test_a_grid_is_read_from_text_and_from_json(text: object, values: tuple[float, ...]) -> None:
    config = build_stage_config("selfchat", {"temperatures": text})
    assert isinstance(config, SelfchatConfig) and config.temperatures == values


@pytest.mark.parametrize(
    "values",
    [{"temperatures": "warm"}, {"temperatures": []}, {"top_ks": "5,5"}, {"turns": 0}],
)
def test_settings_that_no_run_could_use_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        build_stage_config("selfchat", values)
