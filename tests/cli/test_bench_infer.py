"""`labcli bench infer`: its rows, and what it refuses."""

from __future__ import annotations

import json

import pytest

from labcli.app import run_command
from runs.errors import ExitCode

SMALL = ["--depth", "1", "--vocab-size", "320", "--prompt", "8", "--new", "4", "--rounds", "1"]


def test_a_row_per_batch_and_type_of_weights_with_equal_greedy_ids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["bench", "infer", *SMALL, "--batch", "1,3", "--weights", "float32,int8", "--json"]

    code = run_command(words)

    lines = capsys.readouterr().out.splitlines()
    assert (code, len(lines)) == (ExitCode.OK, 1)
    rows = json.loads(lines[0])
    assert [(row["batch"], row["weights"]) for row in rows] == [
        (1, "float32"), (1, "int8"), (3, "float32"), (3, "int8"),
    ]  # fmt: skip
    for row in rows:
        for name in ("ttft_s", "tpot_s", "tok_per_sec", "mbu", "mfu", "peak_memory_bytes"):
            assert row[name] > 0
        assert min(row["probe_cost"], row["greedy_probe_cost"]) > -1
        assert row["ttft_ratio"] == pytest.approx(row["plain_ttft_s"] / row["ttft_s"])
        assert row["has_equal_ids"] or row["weights"] == "int8"


def test_a_table_is_shown_without_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command(["bench", "infer", *SMALL, "--batch", "2"])

    out = capsys.readouterr().out
    assert code == ExitCode.OK
    assert "TTFT MS" in out
    assert "native" in out


@pytest.mark.parametrize(
    "words", [["--batch", "0"], ["--batch", "1,x"], ["--weights", "int3"], ["--new", "1"]]
)
def test_what_cannot_be_measured_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["bench", "infer", *SMALL, *words]) == ExitCode.USAGE
    assert capsys.readouterr().out == ""
