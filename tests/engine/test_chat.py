"""`labcli chat`: what goes to stdout, which model speaks, and how turns and interrupts behave."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.chat_format import Part
from labcli.app import run_command
from labcli.talk import Conversation, TalkSettings, show_piece
from runs.errors import ExitCode, UsageError
from runs.paths import LabHome
from tests.builders import artifact, build_run
from tests.engine.builders import (
    TOKENIZER,
    Script,
    random_model,
    save_checkpoint,
    scripted,
    tiny_config,
)

END = TOKENIZER.special("assistant_end")
SETTINGS = TalkSettings(temperature=0.0, top_k=50, seed=0, max_new_tokens=40)
Chat = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabHome:
    monkeypatch.setenv("LABCLI_HOME", str(tmp_path / "home"))
    return LabHome(tmp_path / "home")


@pytest.fixture
def trained(home: LabHome) -> Path:
    """The checkpoint of a finished run that made a tokenizer and a chat model."""
    built = build_run(home, stages=("tok", "sft"))
    TOKENIZER.save(built.paths.artifacts_dir("tok") / "tokenizer.json")
    model = random_model(tiny_config())
    path = save_checkpoint(built.paths.checkpoints_dir("sft"), model, TOKENIZER, "sft")
    built.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    built.finish("sft")
    return path


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
        "temperature": 0.6, "top_k": 50, "seed": 3, "max_new_tokens": 8,
    }  # fmt: skip
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


@pytest.mark.parametrize("words", [("-p", " "), ("-p", "x", "--device", "nonsense")])
@pytest.mark.usefixtures("trained")
def test_a_request_that_cannot_be_carried_out_is_a_usage_error(
    words: tuple[str, ...], chat: Chat
) -> None:
    code, out, err = chat(*words)

    assert (code, out) == (ExitCode.USAGE, "")
    assert err.splitlines()[-1].startswith("labcli: error:")


def talk(*texts: str) -> tuple[Conversation, Script]:
    engine, script = scripted(*([*TOKENIZER.encode(text), END] for text in texts))
    return Conversation(engine, SETTINGS), script


def test_a_later_turn_reads_the_earlier_ones_until_they_are_cleared() -> None:
    conversation, script = talk("fine")

    answers = [conversation.say(text, lambda piece: None).text for text in ("how?", "and now?")]
    conversation.clear()
    conversation.say("once more", lambda piece: None)

    assert answers == ["fine", "fine"]
    seen = [TOKENIZER.decode(ids) for ids in script.prompts]
    assert (
        "how?<|user_end|><|assistant_start|>fine<|assistant_end|><|user_start|>and now" in seen[1]
    )
    assert "how?" not in seen[2]


def test_ctrl_c_ends_an_answer_and_not_the_conversation() -> None:
    conversation, script = talk("a long story")

    def interrupt(piece: Part) -> None:
        if piece.text == "l":
            raise KeyboardInterrupt

    answer = conversation.say("tell", interrupt)

    assert (answer.text, answer.finish) == ("a l", "interrupted")
    assert conversation.say("go on", lambda piece: None).text == "a long story"
    assert "a l<|assistant_end|>" in TOKENIZER.decode(script.prompts[1])


def test_a_text_that_does_not_fit_leaves_no_trace_in_the_conversation() -> None:
    conversation, script = talk("fine")

    with pytest.raises(UsageError, match="positions"):
        conversation.say("x" * 6000, lambda piece: None)

    conversation.say("short", lambda piece: None)
    assert "xxx" not in TOKENIZER.decode(script.prompts[-1])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_model_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("NO_COLOR", "1")

    for piece in (
        Part(type="text", text="a\x1b[2Jb\n"),
        Part(type="python", text="1+1\x07"),
        Part(type="python_output", text="2"),
    ):
        show_piece(piece)

    assert out.getvalue() == "a\ufffd[2Jb\n"
    assert err.getvalue() == "[1+1\ufffd = 2] "
