"""`labcli bench serve`: what it measures of a real server, and how it counts what was lost."""

from __future__ import annotations

import json

import pytest

from labcli.app import run_command
from labcli.bench.serve import Case, Heard, Round, summarise
from runs.errors import ExitCode

SMALL = ["--depth", "1", "--vocab-size", "320", "--prompt", "8", "--new", "4", "--rounds", "1"]


def test_a_server_and_an_engine_answer_the_same_requests(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run_command(["bench", "serve", *SMALL, "--streams", "3", "--json"])

    lines = capsys.readouterr().out.splitlines()
    assert (code, len(lines)) == (ExitCode.OK, 1)
    (row,) = json.loads(lines[0])
    assert (row["num_requests"], row["num_lost"]) == (3, 0)
    assert row["ratio"] == pytest.approx(row["server_tok_per_sec"] / row["engine_tok_per_sec"])
    assert row["engine_tok_per_sec"] == max(row["engine_by_threads"].values())
    for name in ("inter_token_s", "ttft_s"):
        assert 0 < row[name]["p50"] <= row[name]["p99"]


def test_answers_without_an_end_are_lost_and_slow_rounds_do_not_hide_in_a_mean() -> None:
    complete = Heard(asked_s=1.0, chunks_s=[1.5, 1.75, 2.0], is_complete=True)
    broken = Heard(asked_s=1.0, chunks_s=[2.0])
    rounds = [
        Round(num_tokens=tokens, wall_s=2.0, heard=[complete, broken]) for tokens in (2, 4, 90)
    ]

    row = summarise({1: [Round(num_tokens=8, wall_s=2.0)], 2: rounds[:1]}, rounds)

    assert (row["num_requests"], row["num_lost"]) == (6, 3)
    assert (row["engine_tok_per_sec"], row["server_tok_per_sec"], row["ratio"]) == (4.0, 2.0, 0.5)
    assert row["inter_token_s"] == {"p50": 0.25, "p99": 0.25}
    assert row["ttft_s"]["p99"] == 1.0


def test_no_prompt_of_a_measurement_begins_like_another() -> None:
    case = Case(num_streams=300, num_prompt=16, num_new=2, rounds=3)
    prompts = [case.prompt(number, stream) for number in range(4) for stream in range(300)]

    assert len({tuple(prompt[:3]) for prompt in prompts}) == len(prompts)
    assert {len(prompt) for prompt in prompts} == {16}
    assert all(0 <= token_id < 256 for prompt in prompts for token_id in prompt)
