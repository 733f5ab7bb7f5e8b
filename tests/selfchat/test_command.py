"""The command line of `labcli selfchat`: what it plans, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.tokenizer import Tokenizer
from runs.errors import ExitCode
from runs.paths import LabHome
from runs.views.query import list_runs
from tests.builders import artifact, build_run
from tests.cli.conftest import Labcli
from tests.cli.talking import trained_run
from tests.engine.builders import random_model, save_checkpoint, tiny_config


@pytest.fixture(autouse=True)
def trained(home: LabHome) -> Path:
    """The chat checkpoint of a finished run."""
    return trained_run(home)


def run_with_another_tokenizer(home: LabHome) -> str:
    """Build a run whose model reads other tokens, and return its name."""
    run = build_run(home, stages=("tok", "sft"), name="other", seed=2)
    tokenizer = Tokenizer([(97, 98)])
    tokenizer.save(run.paths.artifacts_dir("tok") / "tokenizer.json")
    model = random_model(tiny_config(vocab_size=tokenizer.vocab_size))
    save_checkpoint(run.paths.checkpoints_dir("sft"), model, tokenizer, "sft")
    run.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json")).finish("sft")
    return "other"


def planned(labcli: Labcli, *words: str) -> dict[str, Any]:
    """Return the plan that --dry-run prints."""
    result = labcli("selfchat", "--dry-run", "--json", *words)
    assert result.code == 0, result.err
    plan: dict[str, Any] = json.loads(result.out)
    return plan


def test_a_dry_run_counts_everything_and_starts_nothing(home: LabHome, labcli: Labcli) -> None:
    plan = planned(
        labcli, "--temperature", "0.6,0.8,1.0", "--top-k", "50,none", "--seeds", "3",
        "--topic", "cats", "--topic", "dogs", "--turns", "5", "--max-new-tokens", "10",
    )  # fmt: skip
    assert (plan["settings"], plan["topics"], plan["conversations"]) == (6, 2, 36)
    assert (plan["turns"], plan["tokens"]) == (180, 1800)
    assert plan["time_s"] > 0 and plan["stages"][0]["config"]["top_ks"] == [50, None]
    assert len(list_runs(home)) == 1


def test_topics_come_from_a_file_and_the_command_line(labcli: Labcli, tmp_path: Path) -> None:
    path = tmp_path / "topics.txt"
    path.write_text("# about animals\ncats\n\ndogs\ncats\n")
    assert planned(labcli, "--topics", str(path), "--topic", "birds")["topics"] == 3
    assert planned(labcli)["topics"] == 8


def test_every_kept_checkpoint_of_the_chat_stages_talks(
    home: LabHome, labcli: Labcli, trained: Path
) -> None:
    copy = trained.with_name("step_000020")
    copy.mkdir()
    for file in trained.iterdir():
        target = copy / file.name
        target.mkdir() if file.is_dir() else target.write_bytes(file.read_bytes())
    plan = planned(labcli, "--every-checkpoint", "--temperature", "1")
    keys = [name for name in plan["stages"][0]["inputs"] if name.startswith("checkpoint:")]
    assert keys == ["checkpoint:sft@12", "checkpoint:sft@20"]
    assert plan["settings"] == 2


def test_a_model_given_twice_talks_to_itself(labcli: Labcli) -> None:
    plan = planned(labcli, "--model", "last:sft", "--model", "last:sft@12")
    assert list(plan["stages"][0]["inputs"]) == ["checkpoint:a", "tokenizer:a", "script"]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--model", "nobody"], ExitCode.NOT_FOUND, "no run matches 'nobody'"),
        (["--model", "last:sft@7"], ExitCode.NOT_FOUND, "no checkpoint at step 7"),
        (["--model", "last:base"], ExitCode.USAGE, "has not learned to take turns"),
        (["--model", "x", "--model", "y", "--model", "z"], ExitCode.USAGE, "3 times"),
        (["--turns", "0"], ExitCode.USAGE, "turns must be above 0"),
        (["--seeds", "0"], ExitCode.USAGE, "num_seeds must be above 0"),
        (["--temperature", "warm"], ExitCode.USAGE, "'warm'"),
        (["--temperature", "0.5,"], ExitCode.USAGE, "temperatures"),
        (["--temperature", "nan"], ExitCode.USAGE, "takes a number"),
        (["--temperature", "-1"], ExitCode.USAGE, "0 or more"),
        (["--temperature", "1,1.0"], ExitCode.USAGE, "none twice"),
        (["--top-k", "0"], ExitCode.USAGE, "top_k"),
        (["--top-p", "1.5"], ExitCode.USAGE, "top_p"),
        (["--repetition-penalty", "0"], ExitCode.USAGE, "repetition_penalty"),
        (["--topic", " "], ExitCode.USAGE, "a topic is empty"),
        (["--topics", "/nowhere/topics"], ExitCode.NOT_FOUND, "no file of topics"),
        (["--max-context", "999999"], ExitCode.USAGE, "positions"),
        (["--every-checkpoint", "--model", "last:sft@12"], ExitCode.USAGE, "leave @12 out"),
        (["--device", "abacus"], ExitCode.USAGE, "'abacus'"),
        (["--show", "nobody"], ExitCode.NOT_FOUND, "no run matches"),
        (["--show", "last"], ExitCode.USAGE, "is no self-chat"),
        (["--conversation", "1"], ExitCode.USAGE, "--show RUN"),
        (["--export", "talk.txt"], ExitCode.USAGE, "format"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    home: LabHome, labcli: Labcli, words: list[str], code: ExitCode, part: str
) -> None:
    result = labcli("selfchat", *words)
    lines = [line for line in result.err.splitlines() if not line.startswith("model: ")]
    assert (result.code, result.out, len(lines)) == (code, "", 1)
    assert lines[0].startswith("labcli: error: ") and part in lines[0]
    assert len(list_runs(home)) == 1


def test_a_file_without_a_topic_is_refused(labcli: Labcli, tmp_path: Path) -> None:
    path = tmp_path / "topics.txt"
    path.write_text("\n# nothing\n")
    result = labcli("selfchat", "--topics", str(path))
    assert result.code == ExitCode.USAGE and "holds no topic" in result.err


def test_models_with_different_tokenizers_do_not_talk(home: LabHome, labcli: Labcli) -> None:
    other = run_with_another_tokenizer(home)
    first = list_runs(home)[-1].slug
    result = labcli("selfchat", "--model", first, "--model", other)
    assert result.code == ExitCode.USAGE and "different tokenizers" in result.err


def test_run_names_the_command_that_a_selfchat_has(labcli: Labcli) -> None:
    result = labcli("run", "selfchat")
    assert result.code == ExitCode.USAGE and "labcli selfchat --help" in result.err
