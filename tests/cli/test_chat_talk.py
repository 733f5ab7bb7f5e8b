"""A conversation and its slash commands, with a model that says what the test wants."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from core.chat_format import Part
from labcli.chat.commands import run_command
from labcli.chat.conversation import Conversation
from labcli.chat.keeping import transcript_of
from labcli.chat.reading import History
from labcli.speaking.speaker import Speaker
from runs.errors import UsageError
from tests.cli.talking import SETTINGS, conversation, speaking, talk_of
from tests.engine.builders import TOKENIZER
from tui.answering.slash import COMMANDS, is_command
from tui.answering.transcript_file import as_json


def ignore(piece: Part) -> None:
    """Show nothing."""


def test_a_later_turn_reads_the_earlier_ones_until_they_are_cleared() -> None:
    talked, script = conversation("fine")

    answers = [talked.say(text, ignore).text for text in ("how?", "and now?")]
    talked.clear()
    talked.say("once more", ignore)

    assert answers == ["fine", "fine"]
    seen = [TOKENIZER.decode(ids) for ids in script.prompts]
    assert (
        "how?<|user_end|><|assistant_start|>fine<|assistant_end|><|user_start|>and now" in seen[1]
    )
    assert "how?" not in seen[2]


def test_ctrl_c_ends_an_answer_and_not_the_conversation() -> None:
    talked, script = conversation("a long story")

    def press(piece: Part) -> None:
        if piece.text == "l":
            os.kill(os.getpid(), signal.SIGINT)

    answer = talked.say("tell", press)

    assert (answer.text, answer.finish) == ("a l", "interrupted")
    assert talked.say("go on", ignore).text == "a long story"
    assert "a l<|assistant_end|>" in TOKENIZER.decode(script.prompts[1])


def test_an_answer_stopped_before_its_first_word_leaves_no_trace() -> None:
    talked, _ = conversation("never")
    real = talked.engine.decoder.prefill

    def press(*args: object, **options: object) -> object:
        raise KeyboardInterrupt

    talked.engine.decoder.prefill = press  # type: ignore[method-assign, assignment]
    answer = talked.say("tell", ignore)
    talked.engine.decoder.prefill = real  # type: ignore[method-assign]

    assert (answer.finish, answer.ttft_s, talked.turns) == ("interrupted", None, [])
    assert talked.say("again", ignore).text == "never"


def test_a_text_that_does_not_fit_leaves_no_trace_in_the_conversation() -> None:
    talked, script = conversation("fine")

    with pytest.raises(UsageError, match="positions"):
        talked.say("x" * 6000, ignore)

    talked.say("short", ignore)
    assert "xxx" not in TOKENIZER.decode(script.prompts[-1])


def test_the_oldest_turns_are_not_read_once_the_context_is_full() -> None:
    talked, script = conversation("fine", sequence_len=16)

    answers = [talked.say(f"question {number:02d}", ignore) for number in range(12)]

    room = 160 - 40
    assert all(len(prompt) <= room for prompt in script.prompts)
    assert answers[0].num_unread == 0
    assert answers[-1].num_unread > 0
    last = TOKENIZER.decode(script.prompts[-1])
    assert "question 00" not in last
    assert last.startswith("<|bos|><|user_start|>question")
    assert len(talked.turns) == 12


def test_turns_are_dropped_several_at_a_time_so_that_the_next_prompts_begin_alike() -> None:
    talked, _ = conversation("fine", sequence_len=16)

    dropped = [talked.say(f"question {number:02d}", ignore).num_unread for number in range(12)]

    assert len(set(dropped)) < len([number for number in dropped if number])


def test_the_system_text_stays_when_turns_are_dropped() -> None:
    talked, script = conversation("fine", sequence_len=16)
    talked.system = "Be kind."

    for number in range(8):
        talked.say(f"question {number}", ignore)

    assert all("Be kind.\n\nquestion" in TOKENIZER.decode(ids) for ids in script.prompts)


def test_equal_seeds_give_equal_draws_after_the_seed_command(tmp_path: Path) -> None:
    talked, _ = conversation("fine")
    talk = talk_of(talked, tmp_path)
    seeds = []
    real = talked.engine.stream
    talked.engine.stream = lambda requests: seeds.append(requests[0].seed) or real(requests)  # type: ignore[method-assign, func-returns-value]

    for text in ("/seed 7", "a", "b", "/seed 7", "c", "/retry"):
        run_command(talk, text) if is_command(text) else talk.answer(text)

    assert seeds == [7, 8, 7, 8]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("/help", True), ("/", True), ("/nonsense x", True), ("/usr/bin is what?", False),
     ("//help", False), ("1/2", False)],
)  # fmt: skip
def test_a_slash_and_a_word_make_a_command_and_a_path_does_not(text: str, is_one: bool) -> None:
    assert is_command(text) == is_one


def test_an_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    talk = talk_of(conversation("fine")[0], tmp_path)

    with pytest.raises(UsageError, match="/temperature"):
        run_command(talk, "/tempratur 0.3")


def test_help_lists_every_command_within_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(talk_of(conversation("fine")[0], tmp_path), "/help")

    err = capsys.readouterr().err
    assert all(f"  /{name}" in err for name in COMMANDS)
    assert max(map(len, err.splitlines())) < 80


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [("/temperature 0.3", "temperature", 0.3), ("/topk 5", "top_k", 5),
     ("/topk off", "top_k", None), ("/topp 0.9", "top_p", 0.9),
     ("/minp 0.1", "min_p", 0.1), ("/max 9", "max_new_tokens", 9),
     ("/penalty 1.2", "repetition_penalty", 1.2), ("/seed 4", "seed", 4)],
)  # fmt: skip
def test_a_setting_command_changes_its_setting(
    command: str, name: str, value: object, tmp_path: Path
) -> None:
    talk = talk_of(conversation("fine")[0], tmp_path)

    run_command(talk, command)

    assert getattr(talk.conversation.settings, name) == value


@pytest.mark.parametrize(
    "command",
    ["/temperature -1", "/temperature warm", "/temperature nan", "/topk 0", "/topk 1.5",
     "/topp 2", "/minp -1", "/max 0", "/max off", "/seed -1", "/penalty 0"],
)  # fmt: skip
def test_a_setting_out_of_its_range_is_refused_and_kept(command: str, tmp_path: Path) -> None:
    talk = talk_of(conversation("fine")[0], tmp_path)
    before = talk.conversation.settings

    with pytest.raises(UsageError):
        run_command(talk, command)

    assert talk.conversation.settings == before


def test_another_model_goes_on_with_the_same_conversation(tmp_path: Path) -> None:
    talked, _ = conversation("fine")
    talk = talk_of(talked, tmp_path)
    talk.answer("how?")

    run_command(talk, "/model other")
    talk.answer("and you?")

    assert [turn.model for turn in talked.turns] == ["script", "other"]
    assert talked.turns[1].answer.text == "I am another"


def test_undo_forgets_the_last_turn_and_retry_replaces_its_answer(tmp_path: Path) -> None:
    talked, script = conversation("fine")
    talk = talk_of(talked, tmp_path)
    for text in ("one", "two"):
        talk.answer(text)

    run_command(talk, "/retry")
    run_command(talk, "/undo")

    assert [turn.text for turn in talked.turns] == ["one"]
    assert script.prompts[1] == script.prompts[2]
    assert len(talk.answers) == 3


@pytest.mark.parametrize("command", ["/retry", "/undo", "/copy"])
def test_what_needs_an_answer_says_that_there_is_none(command: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing has been answered"):
        run_command(talk_of(conversation("fine")[0], tmp_path), command)


def test_a_saved_talk_reads_back_as_messages_and_is_not_overwritten(tmp_path: Path) -> None:
    talked, _ = conversation("fine")
    talk = talk_of(talked, tmp_path)
    talk.answer("how?")
    path = tmp_path / "one.json"

    run_command(talk, f"/save {path}")
    with pytest.raises(UsageError, match="exists"):
        run_command(talk, f"/save {path}")
    run_command(talk, f"/save --force {path}")

    body = json.loads(path.read_text())
    assert body == json.loads(as_json(transcript_of(talked)))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"]
    assert body["answers"][0]["num_tokens"] == 5


def test_a_saved_page_shows_who_said_what(tmp_path: Path) -> None:
    talked, _ = conversation("fine")
    talk = talk_of(talked, tmp_path)
    talk.answer("how?")
    run_command(talk, "/model other")
    talk.answer("you?")

    run_command(talk, f"/save {tmp_path / 'talk.md'}")

    text = (tmp_path / "talk.md").read_text()
    assert text.startswith("# A talk with other\n")
    assert "## You\n\nhow?\n\n## Model (script)\n\nfine" in text


@pytest.mark.parametrize("name", ["talk.txt", "", "/nowhere/at/all.md"])
def test_a_file_that_cannot_be_written_is_one_clear_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run_command(talk_of(conversation("fine")[0], tmp_path), f"/save {name}")


def test_copied_text_is_in_a_file_of_the_lab_home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = talk_of(conversation("fine")[0], tmp_path)
    talk.answer("how?")

    run_command(talk, "/copy")

    assert (tmp_path / "clipboard.txt").read_text() == "fine"
    assert str(tmp_path / "clipboard.txt") in capsys.readouterr().err


def test_stats_has_a_line_per_answer_and_their_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = talk_of(conversation("fine")[0], tmp_path)
    for text in ("one", "two"):
        talk.answer(text)
    capsys.readouterr()

    run_command(talk, "/stats")

    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["1", "5"], ["2", "5"], ["all", "10"]]


def test_leaving_out_turns_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = talk_of(conversation("fine", sequence_len=16)[0], tmp_path)

    for number in range(12):
        talk.answer(f"question {number:02d}")

    assert capsys.readouterr().err.count("the oldest turns are not read") == 1


def test_the_trained_length_is_stated_and_passing_it_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = talk_of(conversation("fine", sequence_len=16)[0], tmp_path)

    for text in ("hi", "and now a longer question", "one more"):
        talk.answer(text)

    err = capsys.readouterr().err
    assert err.count("of 16 trained  (reads up to 160)") == 3
    assert err.count("over the 16 tokens of its training: answers may get worse") == 1


def test_a_base_model_goes_on_with_the_last_text_alone() -> None:
    talked, script = conversation(" and so on", stage="base")
    talked.system = "Once."

    for text in ("The sea", "The hills"):
        talked.say(text, ignore)

    expected = [
        [TOKENIZER.bos, *TOKENIZER.encode(f"Once.\n\n{text}")] for text in ("The sea", "The hills")
    ]
    assert [list(ids) for ids in script.prompts] == expected


def test_history_keeps_messages_of_several_lines_and_is_private(tmp_path: Path) -> None:
    history = History(tmp_path / "home" / "chat_history")

    history.add("one\ntwo")
    history.add("caf\u00e9")

    assert history.entries() == ["one\ntwo", "caf\u00e9"]
    assert (tmp_path / "home" / "chat_history").stat().st_mode & 0o777 == 0o600


def test_a_damaged_history_loses_only_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "chat_history"
    path.write_bytes(b'"one"\n\xff\xfe{\n[1]\n"two"\n')

    assert History(path).entries() == ["one", "two"]


def test_a_long_history_is_cut_to_its_newest(tmp_path: Path) -> None:
    path = tmp_path / "chat_history"
    path.write_text("".join(f'"{number}"\n' for number in range(2001)))
    history = History(path)

    history.trim()

    assert path.read_text().splitlines()[0] == '"1001"'
    assert len(history.entries()) == 1000


def test_an_engine_with_one_row_reads_only_what_is_new_in_a_later_turn() -> None:
    engine, _ = speaking("fine")
    starts: list[int] = []
    real = engine.decoder.prefill

    def prefill(row: int, ids: list[int], start: int, *, is_last: bool) -> object:
        starts.append(start)
        return real(row, ids, start, is_last=is_last)

    engine.decoder.prefill = prefill  # type: ignore[method-assign, assignment]
    talked = Conversation(Speaker(engine=engine, name="fine", stage="sft"), SETTINGS)

    first = talked.say("how are you today?", ignore)
    talked.say("and now?", ignore)

    assert starts == [0, first.num_context - 1]
