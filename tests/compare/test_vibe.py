"""The vibe test: the suite that ships, what it makes of answers, and how that is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.experiments.vibe.checks import Heard
from core.experiments.vibe.suite import Question, judge, load_suite, score_groups
from labcli.compare.vibe import Subject, ask_suite, vibe_object, vibe_text
from labcli.speaking.speaker import Speaker
from runs.errors import ExitCode, NotFound, UsageError
from tests.cli.conftest import Labcli
from tests.cli.talking import speaking
from tui.answering.sampling import TalkSettings

SETTINGS = TalkSettings(temperature=0.0, max_new_tokens=40)
SUITE = """
[[question]]
group = "sums"
name = "one"
prompt = "1 + 1?"
checks = [{ kind = "number", value = 2 }, { kind = "ends" }]
[[question]]
group = "sums"
name = "two"
prompt = "2 + 2?"
checks = [{ kind = "number", value = 4 }]
[[question]]
group = "words"
name = "yes"
prompt = "Say yes."
checks = [{ kind = "says", words = ["yes"] }]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def subject(label: str, texts: Sequence[str], questions: Sequence[Question]) -> Subject:
    judged = [
        judge(question, Heard(text=text, finish="stop"))
        for question, text in zip(questions, texts, strict=True)
    ]
    return Subject(label=label, name=f"model {label}", judged=judged, num_tokens=[3] * len(judged))


def test_the_suite_that_ships_covers_its_groups() -> None:
    questions = load_suite()

    groups = {question.group for question in questions}
    assert groups == {"arithmetic", "letters", "unknowable", "stopping", "language", "identity"}
    assert any(question.prompt == "What did I eat today?" for question in questions)
    for group in groups:
        assert sum(question.group == group for question in questions) >= 5


def test_an_empty_answer_passes_no_question_that_ships() -> None:
    silent = Heard(text="", finish="length")

    assert not any(judge(question, silent).has_passed for question in load_suite())


def test_a_question_passes_when_all_its_checks_do(suite: Path) -> None:
    question = load_suite(suite)[0]

    assert judge(question, Heard(text="2", finish="stop")).has_passed
    assert judge(question, Heard(text="2", finish="length")).failed == ("ends",)
    assert judge(question, Heard(text="3", finish="length")).failed == ("number", "ends")


def test_groups_are_scored_with_wilson_intervals(suite: Path) -> None:
    questions = load_suite(suite)

    scores = score_groups(subject("A", ["2", "5", "yes"], questions).judged)

    assert [(one.group, one.num_passed, one.share.num) for one in scores] == [
        ("sums", 1, 2), ("words", 1, 1), ("all", 2, 3),
    ]  # fmt: skip
    # Wilson's interval of 2 in 3.
    assert scores[2].share.ci_low == pytest.approx(0.2077, abs=1e-3)
    assert scores[2].share.ci_high == pytest.approx(0.9385, abs=1e-3)


def test_a_model_is_asked_every_question_and_equal_calls_agree(suite: Path) -> None:
    engine, script = speaking("The answer is 2.")
    speaker = Speaker(engine=engine, name="script", stage="sft")

    first = list(ask_suite(speaker, load_suite(suite), SETTINGS, 2))

    assert [one.has_passed for one, _ in first] == [True, True, False, False, False, False]
    assert len(script.prompts) == 6
    asked = [(one.answer, num) for one, num in ask_suite(speaker, load_suite(suite), SETTINGS, 2)]
    assert asked == [(one.answer, num) for one, num in first]


def test_models_stand_side_by_side_with_what_each_failed(suite: Path) -> None:
    questions = load_suite(suite)
    subjects = [
        subject("A", ["2", "4", "yes"], questions), subject("B", ["3", "4", ""], questions)
    ]  # fmt: skip

    lines = vibe_text(subjects, 1, 79).splitlines()

    assert lines[:2] == ["A  model A", "B  model B"]
    assert lines[4].split() == ["sums", "one", "pass", "FAIL", "number"]
    assert lines[6].split() == ["words", "yes", "pass", "FAIL", "says"]
    totals = next(line for line in lines if line.startswith("all"))
    assert totals.split()[:2] == ["all", "3/3"]
    assert "1/3" in totals


@pytest.mark.parametrize("num", [1, 3, 8])
@pytest.mark.parametrize("width", [40, 79, 199])
def test_no_row_is_wider_than_the_terminal(num: int, width: int) -> None:
    questions = load_suite()
    subjects = [subject(chr(65 + at), [""] * len(questions), questions) for at in range(num)]

    tables = vibe_text(subjects, 1, width).split("\n\n")[1:-1]

    assert max(len(line) for table in tables for line in table.splitlines()) <= width
    assert all(f"model {one.label}" in vibe_text(subjects, 1, width) for one in subjects)


def test_json_has_every_answer_and_every_group(suite: Path) -> None:
    questions = load_suite(suite)
    one = subject("A", ["2", "5", "yes"], questions)

    (model,) = vibe_object([one], SETTINGS, 1)["models"]

    assert [group["passed"] for group in model["groups"]] == [1, 1, 2]
    assert [question["name"] for question in model["questions"]] == ["one", "two", "yes"]
    (answer,) = model["questions"][1]["answers"]
    assert (answer["text"], answer["passed"], answer["failed"]) == ("5", False, ["number"])


@pytest.mark.parametrize(
    "text",
    [
        "", "x =", "question = 1", "[[question]]", '[[question]]\ngroup = "a"',
        SUITE.replace('"number"', '"nubmer"'), SUITE.replace('"two"', '"one"'),
        SUITE.replace("checks = [{ kind = \"number\", value = 4 }]", "checks = []"),
        SUITE.replace('"words"', '"all"'), SUITE.replace('{ kind = "ends" }', '"ends"'),
    ],
)  # fmt: skip
def test_what_is_no_suite_is_refused_by_its_name(text: str, suite: Path) -> None:
    suite.write_text(text)

    with pytest.raises(UsageError, match=r"suite\.toml"):
        load_suite(suite)


def test_a_suite_that_is_missing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_suite(tmp_path / "none.toml")


def test_the_command_gives_the_same_json_every_time(
    labcli: Labcli, trained: Path, suite: Path
) -> None:
    words = ("compare", "--vibe", "--prompts", str(suite), "--max-new-tokens", "6", "--json",
             "--model", "last:base", "--model", "last:sft")  # fmt: skip

    first, second = labcli(*words), labcli(*words)

    assert first.code == ExitCode.OK, first.err
    assert first.out == second.out
    body = json.loads(first.out)
    assert [model["label"] for model in body["models"]] == ["A", "B"]
    assert body["suite"] == str(suite)
