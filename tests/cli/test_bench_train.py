"""`labcli bench train`: its figures, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labcli.app import run_command
from labcli.bench import train
from labcli.bench.train_job import in_options
from labcli.data import harvested
from runs.errors import ExitCode
from tests.core.builders import make_world

SMALL = [
    "--depth", "1", "--vocab", "320", "--seq-len", "32", "--device-batch", "2", "--compile", "off",
    "--steps", "2", "--rounds", "2", "--device", "cpu",
]  # fmt: skip


def test_both_sides_and_their_ratios_are_one_line_of_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["bench", "train", *SMALL, "--dtype", "float32", "--baseline", "--json"]

    code = run_command(words)

    lines = capsys.readouterr().out.splitlines()
    assert (code, len(lines)) == (ExitCode.OK, 1)
    row = json.loads(lines[0])
    for side in (row, row["baseline"]):
        assert min(side["tok_per_sec"], side["mfu"], side["step_s"]) > 0
        assert side["tok_per_sec"] == pytest.approx(64 / side["step_s"], rel=1e-3)
        assert side["peak_memory_bytes"] >= side["memory_before_bytes"] > 0
        assert 4 * side["num_params"] < side["step_memory_bytes"] < side["peak_memory_bytes"]
        assert {"data", "forward-backward", "optimizer"} <= side["phases"].keys()
        assert sum(side["phases"].values()) == pytest.approx(side["step_s"], rel=0.5)
        assert (side["dtype"], side["compiled"], side["steps"]) == ("float32", False, 4)
        assert side["torch"]
    assert row["ratio"] == pytest.approx(
        row["tok_per_sec"] / row["baseline"]["tok_per_sec"], rel=1e-3
    )
    for name in ("step_memory", "peak_memory"):
        peaks = [side[f"{name}_bytes"] for side in (row, row["baseline"])]
        assert row[f"{name}_ratio"] == pytest.approx(peaks[0] / peaks[1])


def test_both_sides_are_scored_on_text_that_they_have_not_seen(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_world(tmp_path)["corpus"].path
    monkeypatch.setattr(harvested, "harvested_corpus", lambda home: corpus)
    # Every further seed would be two more processes of the same.
    monkeypatch.setattr(train, "NUM_SEEDS", 1)
    words = ["bench", "train", *SMALL, "--baseline", "--loss-steps", "3", "--json"]

    code = run_command(words)

    loss = json.loads(capsys.readouterr().out)["loss"]
    assert (code, loss["steps"], loss["tokens"]) == (ExitCode.OK, 3, 3 * 64)
    (ours,), (other,) = loss["ours"], loss["baseline"]
    # Three steps teach next to nothing, and both sides start from the same weights.
    assert ours == pytest.approx(other, rel=0.1)
    assert loss["is_no_worse"] == (ours <= other)


def test_a_table_is_shown_without_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command(["bench", "train", *SMALL])

    out = capsys.readouterr().out
    assert code == ExitCode.OK
    assert "TOK/S" in out
    assert "forward-backward" in out
    assert "baseline" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vocab", "200"], "--vocab takes"),
        (["--dtype", "float12"], "error: --dtype is one of auto, float32, bfloat16, float16, not"),
        (["--window", "X"], "error: --window 'X' must be made of S and L"),
        (["--head-dim", "7"], "error: --head-dim must be even, not 7"),
        (["--compile", "maybe"], "error: --compile is one of auto, on, off, not 'maybe'"),
        (["--device", "nowhere"], "is no device"),
        (["--loss-steps", "4"], "add --baseline"),
        (["--fp8"], "error: --fp8 on is not possible here: 8-bit floats need a GPU from Hopper"),
    ],
)
def test_what_cannot_be_measured_is_a_usage_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["bench", "train", *SMALL, *words]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_a_step_that_needs_more_memory_than_there_is_says_how_large_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # More than a process can address.
    words = ["--depth", "3000000", "--vocab", "300000"]
    assert run_command(["bench", "train", *SMALL, *words]) == ExitCode.FAILED
    error = capsys.readouterr().err
    assert "measuring our step failed: out of memory with 2 rows of 32 tokens at depth" in error


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("compile = on is not possible here: torch.compile fails; use auto or off",
         "--compile on is not possible here: torch.compile fails; use auto or off"),
        ("fp8 = on is not possible here: no; use auto or off",
         "--fp8 on is not possible here: no; leave it out"),
        ("take a smaller depth or sequence_len", "take a smaller --depth or --seq-len"),
        ("the base learned compiled kernels", "the base learned compiled kernels"),
    ],
)  # fmt: skip
def test_settings_are_told_by_their_options(said: str, told: str) -> None:
    assert in_options(said) == told
