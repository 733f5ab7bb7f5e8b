"""Conversations are repeatable, honest about their tools, and keep the test unseen."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.chat_format import parse_messages
from core.data.conversations import (
    SHARES,
    Conversations,
    Material,
    build_conversations,
    find_conversations,
    gather_material,
    held_out_rows,
    load_conversations,
    training_rows,
)
from core.data.corpus import Corpus
from core.data.shard_writer import write_shards
from core.data.shards import SourceCount
from core.engine.tools import calculate
from core.tasks.arithmetic import is_held_out_expression
from core.tasks.registry import TASKS
from core.tasks.words import words_in
from runs.errors import Corrupt
from tests.data.builders import SMALL, drain, never

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows(material: Material) -> list[Row]:
    return [*training_rows("mid", 1500, 42, material), *training_rows("sft", 800, 42, material)]


@pytest.fixture(scope="module")
def tests(material: Material) -> list[Row]:
    return list(held_out_rows(40, material))


def build(data_dir: Path, corpus: Corpus) -> Conversations:
    built = drain(build_conversations(data_dir, SMALL, corpus_dir=corpus.path, stop=never))
    assert built is not None
    return built


def tool_calls(rows: list[Row]) -> list[tuple[str, str]]:
    calls = []
    for row in rows:
        for message in row["messages"]:
            parts = message["content"] if isinstance(message["content"], list) else []
            for part, following in pairwise(parts):
                if part["type"] == "python":
                    assert following["type"] == "python_output"
                    calls.append((part["text"], following["text"]))
    return calls


def test_tool_outputs_are_what_the_calculator_says(rows: list[Row]) -> None:
    calls = tool_calls(rows)
    assert len(calls) > 1000
    assert all(calculate(code) == output for code, output in calls)


def test_every_conversation_can_be_rendered(rows: list[Row], tests: list[Row]) -> None:
    for row in (*rows, *tests):
        parse_messages(row["messages"])
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    assert all(len(row["messages"]) == 1 for row in tests)


def test_unseen_words_occur_in_no_training_conversation(
    rows: list[Row], tests: list[Row], material: Material
) -> None:
    seen = words_in(json.dumps(row["messages"]) for row in rows)
    assert not seen & set(material.words.held_out)
    for row in tests:
        if row["task"] == "spelling":
            assert row["answer"].replace(",", "") in material.words.held_out


def test_arithmetic_of_the_test_shares_no_expression_with_training(rows: list[Row]) -> None:
    trained = {code for code, _ in tool_calls(rows) if "count" not in code}
    assert trained and not any(is_held_out_expression(code) for code in trained)


def test_all_held_out_expressions_are_on_the_other_side(material: Material) -> None:
    questions = [
        row["messages"][0]["content"]
        for row in held_out_rows(200, material)
        if row["task"] == "arithmetic"
    ]
    plain = [text.removeprefix("What is ").removesuffix("?") for text in questions]
    shown = [text for text in plain if set(text) <= set("0123456789 +-*") and " " in text]
    assert shown and all(is_held_out_expression(text) for text in shown)


def test_rows_do_not_depend_on_how_many_there_are(material: Material) -> None:
    few = list(training_rows("mid", 10, 42, material))
    assert list(training_rows("mid", 30, 42, material))[:10] == few
    assert list(training_rows("mid", 10, 43, material)) != few
    assert list(training_rows("sft", 10, 42, material)) != few
    assert list(held_out_rows(5, material)) == [
        row for task in ("arithmetic", "counting", "spelling")
        for row in [row for row in held_out_rows(9, material) if row["task"] == task][:5]
    ]  # fmt: skip


def test_mixture_follows_the_stated_shares(rows: list[Row]) -> None:
    for task, share in SHARES.items():
        found = sum(row["task"] == task for row in rows) / len(rows)
        assert found == pytest.approx(share, abs=0.04)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_only_fine_tuning_talks_on_often(material: Material) -> None:
    def share(file: str) -> float:
        rows = list(training_rows(file, 500, 1, material))
        return sum(len(row["messages"]) > 2 for row in rows) / len(rows)

    assert share("mid") < 0.1 < share("sft") < 0.4


def test_right_answers_are_marked_right(tests: list[Row]) -> None:
    assert {row["task"] for row in tests} == set(TASKS)
    for row in tests:
        response = f"word:{row['answer']}" if row["task"] == "spelling" else row["answer"]
        assert TASKS[row["task"]].is_correct(row["answer"], response)


def test_same_settings_give_the_same_files_and_are_found_again(
    tmp_path: Path, corpus: Corpus
) -> None:
    one, other = build(tmp_path / "one", corpus), build(tmp_path / "other", corpus)
    assert one.files == other.files
    assert find_conversations(tmp_path / "one", SMALL, corpus.path.name) == one
    changed = replace(SMALL, seed=1)
    assert find_conversations(tmp_path / "one", changed, corpus.path.name) is None


def test_text_in_another_script_borrows_the_words_of_the_manual(tmp_path: Path) -> None:
    counts = {"book": SourceCount(num_docs=2, num_chars=2)}
    texts = ["\u0431\u0435\u043b\u044b\u0439 \u0434\u043e\u043c ", "kot"]
    write_shards(tmp_path, train=texts, val=texts, sources={"book": "1"}, counts=counts)
    material = gather_material(tmp_path)
    assert min(len(material.words.train), len(material.words.held_out)) > 40
    assert len(list(held_out_rows(40, material))) == 120


def test_damaged_conversations_are_corrupt(tmp_path: Path, corpus: Corpus) -> None:
    built = build(tmp_path, corpus)
    with open(built.path / "sft.jsonl", "a") as stream:
        stream.write("{}\n")
    with pytest.raises(Corrupt, match=r"sft\.jsonl"):
        load_conversations(built.path)
    assert find_conversations(tmp_path, SMALL, corpus.path.name) is None
    assert load_conversations(build(tmp_path, corpus).path) == built


def test_stop_publishes_nothing(tmp_path: Path, corpus: Corpus) -> None:
    steps = build_conversations(tmp_path, SMALL, corpus_dir=corpus.path, stop=lambda: True)
    assert drain(steps) is None
    assert list(tmp_path.iterdir()) == []
