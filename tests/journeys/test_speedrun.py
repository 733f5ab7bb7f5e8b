"""From nothing to a chatting model: the whole speedrun, small, through the commands of a user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STAGES = ["data", "tok", "base", "eval-base", "mid", "eval-mid", "sft", "eval-sft", "report"]
SMALL = [
    "data.num_mid=120", "data.num_sft=60", "data.num_test=8", "tok.vocab_size=512",
    "base.depth=2", "base.sequence_len=128", "base.num_iterations=4", "base.sample_every=4",
    *(f"{stage}.device_batch_size=2" for stage in ("base", "mid", "sft")),
    *(f"{stage}.total_batch_size=512" for stage in ("base", "mid", "sft")),
    *(f"{stage}.eval_tokens=1024" for stage in ("base", "mid", "sft")),
    *(f"{stage}.compile=off" for stage in ("base", "mid", "sft")),
    *(f"{stage}.num_iterations=4" for stage in ("mid", "sft")),
    *(f"eval-{stage}.num_items=4" for stage in ("base", "mid", "sft")),
    *(f"eval-{stage}.eval_tokens=1024" for stage in ("base", "mid", "sft")),
    *(f"eval-{stage}.max_new_tokens=16" for stage in ("base", "mid", "sft")),
]  # fmt: skip


def labcli(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a labcli command as a user would, without a terminal."""
    code = "import sys; from labcli.app import main; main(sys.argv[1:])"
    env = {**os.environ, "LABCLI_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab home with one finished speedrun in it."""
    home = tmp_path_factory.mktemp("home")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    done = labcli(home, "run", "speedrun", "--preset", "cpu", "--name", "small", *settings)
    assert done.returncode == 0, done.stderr
    assert "labcli chat -p" in done.stderr
    return home


def shown(home: Path, *args: str) -> Any:
    done = labcli(home, *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(400)
def test_speedrun_finishes_every_stage(home: Path) -> None:
    (run,) = shown(home, "runs", "list")
    assert run["state"] == "finished"
    assert [(s["stage"], s["state"]) for s in run["stages"]] == [(s, "finished") for s in STAGES]
    assert run["val_bpb"] > 0


def test_show_has_bits_per_byte_and_skills_beside_the_base_model(home: Path) -> None:
    stages = shown(home, "runs", "show", "small")["stages"]
    for stage in ("base", "eval-base", "mid", "eval-mid", "sft", "eval-sft"):
        assert stages[stage]["val_bpb"] > 0
    for figures in stages["eval-sft"]["results"].values():
        assert set(figures) >= {"accuracy", "n", "chance", "base"}


def test_report_has_the_table_of_all_stages(home: Path) -> None:
    (report,) = home.glob("runs/*/artifacts/report/report.md")
    text = report.read_text()
    assert "| Metric | BASE | MID | SFT | Chance | n |" in text
    assert all(f"| {skill} (accuracy)" in text for skill in ("arithmetic", "counting", "spelling"))


def test_chat_answers_from_the_trained_model(home: Path) -> None:
    done = labcli(home, "chat", "-p", "What is 27 * 14?", "--max-new-tokens", "8")
    assert done.returncode == 0, done.stderr
    assert "sft@4" in done.stderr


def test_one_stage_on_two_ranks_continues_another_run(home: Path) -> None:
    done = labcli(
        home, "run", "sft", "--from", "small:mid", "--nproc", "2", "--set", "sft.num_iterations=3",
        "--set", "sft.device_batch_size=1", "--set", "sft.total_batch_size=512",
        "--set", "sft.compile=off", "--set", "sft.eval_tokens=1024",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = shown(home, "runs", "list")[0]
    assert (run["recipe"], run["state"]) == ("sft", "finished")
    assert sorted(path.name for path in home.glob(f"runs/{run['run_id']}-*/events/*")) == [
        "sft.a1.r0.jsonl",
        "sft.a1.r1.jsonl",
    ]


def test_registry_is_rebuilt_after_it_was_deleted(home: Path) -> None:
    (home / "registry.duckdb").unlink()
    done = labcli(home, "runs", "reindex")
    assert done.returncode == 0, done.stderr
    assert (home / "registry.duckdb").exists()
