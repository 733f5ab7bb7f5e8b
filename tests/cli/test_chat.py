"""`labcli chat`: what goes to stdout, which model speaks, and how turns and interrupts behave."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labcli.app import run_command
from runs.errors import ExitCode
from runs.paths import LabHome
from tests.cli.talking import trained_run

Chat = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trained(home: LabHome) -> Path:
    """The checkpoint of a finished run that made a tokenizer and a chat model."""
    return trained_run(home)


@pytest.fixture
def chat(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Chat:
    def call(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = run_command(["chat", "--max-new-tokens", "8", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.usefixtures("trained")
def test_one_shot_writes_the_answer_alone_to_stdout_and_names_the_model(chat: Chat) -> None:
    code, out, err = chat("-p", "hello")

    assert code == ExitCode.OK
    assert "model: speedrun-" in err
    assert ":sft@12" in err
    _, as_json, _ = chat("-p", "hello", "--json")
    assert json.loads(as_json)["text"] + "\n" == out


@pytest.mark.usefixtures("trained")
def test_one_shot_is_repeatable_and_json_says_how_it_was_drawn(chat: Chat) -> None:
    answers = [json.loads(chat("-p", "-", "--json", stdin=b"hello\xff")[1]) for _ in range(2)]

    assert answers[0]["text"] == answers[1]["text"]
    assert answers[0]["prompt"] == "hello\ufffd"
    assert answers[0]["num_tokens"] <= 8
    assert answers[0]["settings"]["temperature"] == 0.0


@pytest.mark.usefixtures("trained")
def test_every_line_of_stdin_is_a_turn_and_the_end_of_input_quits(chat: Chat) -> None:
    lines = b"first\n\n/clear\n/nonsense\nsecond\n/quit\nnever asked\n"

    code, out, err = chat("--json", "--seed", "3", stdin=lines)

    assert code == ExitCode.OK
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["prompt"] for row in rows] == ["first", "second"]
    assert rows[0]["settings"] == {
        "temperature": 0.6, "top_k": 50, "top_p": None, "min_p": None,
        "repetition_penalty": 1.0, "seed": 3, "max_new_tokens": 8,
    }  # fmt: skip
    assert "no command '/nonsense'" in err
    assert "a new conversation" in err
    assert chat("--seed", "3", stdin=lines)[1] == chat("--seed", "3", stdin=lines)[1]


def test_without_a_finished_model_one_line_says_what_to_run(home: LabHome, chat: Chat) -> None:
    code, out, err = chat("-p", "hello")

    assert (code, out) == (ExitCode.NOT_FOUND, "")
    assert len(err.splitlines()) == 1
    assert "labcli run" in err


def test_a_checkpoint_without_its_tokenizer_is_refused(
    trained: Path, tmp_path: Path, chat: Chat
) -> None:
    copied = tmp_path / "elsewhere" / trained.name
    shutil.copytree(trained, copied)

    code, _, err = chat("-p", "hello", "--model", str(copied))

    assert code == ExitCode.NOT_FOUND
    assert "tokenizer.json" in err


@pytest.mark.parametrize(
    "words", [("-p", " "), ("-p", "x", "--device", "nonsense"), ("-p", "x", "--min-p", "0")]
)
@pytest.mark.usefixtures("trained")
def test_a_request_that_cannot_be_carried_out_is_a_usage_error(
    words: tuple[str, ...], chat: Chat
) -> None:
    code, out, err = chat(*words)

    assert (code, out) == (ExitCode.USAGE, "")
    assert err.splitlines()[-1].startswith("labcli: error:")


@pytest.mark.usefixtures("trained")
def test_what_an_answer_took_is_told_on_stderr(chat: Chat) -> None:
    _, out, err = chat("-p", "hello")

    assert "tokens/s" in err.splitlines()[1]
    assert "tokens/s" not in out


@pytest.mark.usefixtures("trained")
def test_a_talk_switches_to_another_model_and_keeps_its_turns(chat: Chat) -> None:
    lines = b"first\n/model last:sft@12\n/model nothing\nsecond\n"

    code, out, err = chat("--json", stdin=lines)

    rows = [json.loads(line) for line in out.splitlines()]
    assert code == ExitCode.OK
    assert rows[1]["context"]["used"] > rows[0]["context"]["used"]
    assert "no run matches 'nothing'" in err


@pytest.mark.usefixtures("trained")
def test_a_piped_talk_leaves_no_history(chat: Chat, home: LabHome) -> None:
    chat(stdin=b"hello\n")

    assert not (home.root / "chat_history").exists()
