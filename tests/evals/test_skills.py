"""Held-out questions: which are asked, how answers are marked, what a score says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.chat_format import Part
from core.engine.request import Completion
from core.evals.skills import Item, ask, load_items, mark, score
from core.tasks.registry import TASKS
from runs.errors import Corrupt, NotFound, UsageError
from tests.engine.builders import TOKENIZER, scripted

special = TOKENIZER.special


def line(task: str, question: str, answer: str) -> dict[str, Any]:
    return {"task": task, "messages": [{"role": "user", "content": question}], "answer": answer}


def write(directory: Path, *lines: object) -> Path:
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (directory / "test.jsonl").write_text(text, encoding="utf-8")
    return directory


def item(answer: str = "378", task: str = "arithmetic", question: str = "27 * 14") -> Item:
    messages = [{"role": "user", "content": question}]
    return Item(number=1, task=task, messages=messages, answer=answer)


def said(text: str, finish: str = "stop") -> Completion:
    part = Part(type="text", text=text)
    return Completion(ids=(1,), is_forced=(False,), parts=(part,), finish=finish)  # type: ignore[arg-type]


def test_the_first_questions_of_every_task_are_asked(tmp_path: Path) -> None:
    lines = [line(task, f"{task} {i}", "1") for i in range(3) for task in TASKS]

    items = load_items(write(tmp_path, *lines), per_task=2)

    assert [(one.number, one.task) for one in items] == [
        (number, task) for number, task in enumerate([*TASKS, *TASKS], start=1)
    ]


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["no object"], Corrupt),
        ([{"task": "arithmetic", "messages": []}], Corrupt),
        ([line("astrology", "?", "!")], UsageError),
        ([], Corrupt),
    ],
)
def test_a_broken_question_file_is_refused(
    lines: list[object], error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error, match=r"test\.jsonl"):
        load_items(write(tmp_path, *lines), per_task=2)


def test_a_missing_question_file_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="data stage"):
        load_items(tmp_path, per_task=1)


def test_every_task_marks_a_right_and_a_wrong_answer() -> None:
    assert mark(item(), said("The answer is 378.")).is_correct
    assert not mark(item(), said("The answer is 379.")).is_correct
    assert not mark(item(), said("")).is_correct


def test_what_the_calculator_printed_is_not_what_the_model_said() -> None:
    parts = (Part(type="python", text="27*14"), Part(type="python_output", text="378"))
    silent = Completion(ids=(1,), is_forced=(True,), parts=parts, finish="stop")

    assert not mark(item(), silent).is_correct


def test_scores_hold_accuracy_number_and_chance_per_task() -> None:
    right, wrong = said("It is 378."), said("It is 1.")
    marked = [mark(item(), right), mark(item(), wrong), mark(item("1", "counting"), wrong)]

    assert score(marked) == {
        "arithmetic": {"accuracy": 0.5, "n": 2, "chance": TASKS["arithmetic"].chance},
        "counting": {"accuracy": 1.0, "n": 1, "chance": TASKS["counting"].chance},
    }


def test_questions_are_asked_in_batches_and_answers_go_to_their_questions() -> None:
    def script(text: str) -> list[int]:
        return [*TOKENIZER.encode(text), special("assistant_end")]

    engine, _ = scripted(script("It is 1."), script("It is 22."))
    items = [item("22", question="a long question"), item("1", question="short")]

    batches = list(ask(engine, items, max_new_tokens=20, batch_size=2))

    assert [[one.completion.text for one in batch] for batch in batches] == [
        ["It is 1.", "It is 22."]
    ]
    assert all(one.is_correct for batch in batches for one in batch)
