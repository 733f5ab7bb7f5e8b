"""`labcli compare`: every combination is a column, and what goes to stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core import hardware
from labcli.speaking.prompting import BASE_NOTE
from runs.errors import ExitCode
from runs.paths import LabHome
from tests.cli.conftest import Labcli
from tests.cli.talking import trained_run

KEYS = {
    "prompt", "model", "temperature", "seed", "text", "tokens", "ttft_s", "tok_per_sec",
    "entropy_bits", "finish",
}  # fmt: skip
SHORT = ("--max-new-tokens", "8", "--seed", "3")


@pytest.fixture(autouse=True)
def trained(home: LabHome) -> Path:
    """The checkpoint of a finished run that made a tokenizer, a base and a chat model."""
    return trained_run(home)


def rows(labcli: Labcli, *words: str) -> list[dict[str, Any]]:
    result = labcli("compare", *words, *SHORT, "--json")
    assert result.code == ExitCode.OK, result.err
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


def test_json_has_a_row_for_every_combination_in_order(labcli: Labcli) -> None:
    found = rows(
        labcli, "one", "two", "--model", "last:base", "--model", "last:sft",
        "--temperature", "0.6,1.0", "--n", "3",
    )  # fmt: skip

    assert len(found) == 2 * 2 * 2 * 3
    assert all(row.keys() >= KEYS for row in found)
    assert [row["seed"] for row in found[:4]] == [3, 4, 5, 3]
    assert [row["temperature"] for row in found[:12:3]] == [0.6, 1.0, 0.6, 1.0]
    assert [row["model"].partition(":")[2] for row in found[:12:6]] == ["base@12", "sft@12"]
    assert [row["prompt"] for row in found[::12]] == ["one", "two"]
    assert all(1 <= row["tokens"] <= 8 for row in found)
    assert all(row["entropy_bits"] > 0 and row["ttft_s"] > 0 for row in found)


def test_a_base_model_is_announced_once_and_gets_the_prompt_that_chat_gives_it(
    labcli: Labcli,
) -> None:
    asked = ("hello", "--model", "last:base", *SHORT, "--json")

    compared, talked = labcli("compare", *asked), labcli("chat", "-p", *asked)

    assert json.loads(compared.out)[0]["text"] == json.loads(talked.out)["text"]
    assert [result.err.count(BASE_NOTE) for result in (compared, talked)] == [1, 1]


@pytest.mark.parametrize("command", [("compare", "hello"), ("chat", "-p", "hello")])
def test_weights_of_another_type_answer_and_an_unknown_one_is_refused(
    labcli: Labcli, command: tuple[str, ...]
) -> None:
    good = labcli(*command, *SHORT, "--weights", "int8", "--json")
    bad = labcli(*command, "--weights", "int4")

    assert (good.code, bad.code) == (ExitCode.OK, ExitCode.USAGE)
    assert '"weights": "int8"' in good.out
    assert bad.err == "labcli: error: --weights is native, bf16 or int8, not 'int4'\n"


def test_weights_that_bring_nothing_are_told(
    labcli: Labcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "has_cpu_bf16", lambda: False)

    result = labcli("chat", "-p", "hello", *SHORT, "--weights", "bf16")

    assert result.code == ExitCode.OK
    assert "this CPU has no bfloat16 arithmetic" in result.err


def test_a_row_repeats_what_chat_answers(labcli: Labcli) -> None:
    words = ("--temperature", "0.9", *SHORT, "--json")

    (row,) = rows(labcli, "hello", "--temperature", "0.9")

    assert row["text"] == json.loads(labcli("chat", "-p", "hello", *words).out)["text"]


def test_more_answers_than_rows_are_all_answered(labcli: Labcli) -> None:
    assert len({row["seed"] for row in rows(labcli, "hello", "--n", "20")}) == 20


def test_one_model_named_twice_answers_twice(labcli: Labcli) -> None:
    found = rows(labcli, "hello", "--model", "last", "--model", "last:sft")

    assert found[0]["text"] == found[1]["text"]


def test_a_pipe_gets_plain_blocks_with_the_figures_of_each(labcli: Labcli) -> None:
    result = labcli("compare", "hello", "--n", "2", *SHORT)

    assert result.code == ExitCode.OK
    assert "\x1b" not in result.out
    assert result.out.startswith("A  speedrun-")
    assert "\nB  speedrun-" in result.out
    assert result.out.count("prompt: hello") == 2
    assert "bits" in result.out
    assert "departs from A at" in result.out
    assert "model: " in result.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), ExitCode.USAGE),
        ((" ",), ExitCode.USAGE),
        (("x", "--temperature", "warm"), ExitCode.USAGE),
        (("x", "--temperature", "-1"), ExitCode.USAGE),
        (("x", "--temperature", "nan"), ExitCode.USAGE),
        (("x", "--n", "0"), ExitCode.USAGE),
        (("x", "--model", "nothing"), ExitCode.NOT_FOUND),
        (("--prompts", "/nowhere"), ExitCode.NOT_FOUND),
        (("--prompts", "/"), ExitCode.USAGE),
        (("x" * 6000,), ExitCode.USAGE),
        (("x", "--blind"), ExitCode.USAGE),
        (("x", "--blind", "--json"), ExitCode.USAGE),
        (("--vibe", "--votes"), ExitCode.USAGE),
        (("--vibe", "x"), ExitCode.USAGE),
        (("--vibe", "--temperature", "0,1"), ExitCode.USAGE),
        (("--vibe", "--model", "nothing"), ExitCode.NOT_FOUND),
        (("--vibe", "--prompts", "/nowhere"), ExitCode.NOT_FOUND),
        (("--results", "last"), ExitCode.NOT_FOUND),
        (("--results", "nothing"), ExitCode.NOT_FOUND),
        (("--results", "last:sft"), ExitCode.NOT_FOUND),
    ],
)
def test_what_cannot_be_carried_out_is_one_line(
    words: tuple[str, ...], code: ExitCode, labcli: Labcli
) -> None:
    result = labcli("compare", *words)

    assert (result.code, result.out) == (code, "")
    assert result.err.splitlines()[-1].startswith("labcli: error:")
