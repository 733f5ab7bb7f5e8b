"""Graded tasks: held-out questions, asked greedily in batches and marked right or wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.chat_format import render_for_completion
from core.engine.engine import Engine
from core.engine.request import Completion, Request
from core.tasks.registry import TASKS
from runs.errors import Corrupt, NotFound, UsageError

TEST_FILE = "test.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One held-out question; `number` is its place in the file."""

    number: int
    task: str
    messages: Sequence[Mapping[str, Any]]
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A question with what the model answered."""

    item: Item
    completion: Completion
    is_correct: bool


def load_items(conversations_dir: Path, *, per_task: int) -> list[Item]:
    """Return the first `per_task` held-out questions of every task, in the order of the file."""
    path = conversations_dir / TEST_FILE
    counts: Counter[str] = Counter()
    items = []
    for number, body in enumerate(_lines(path), start=1):
        item = _parse(path, number, body)
        counts[item.task] += 1
        if counts[item.task] <= per_task:
            items.append(item)
    if not items:
        raise Corrupt(f"{path} holds no questions; rebuild the data")
    return items


def ask(
    engine: Engine, items: Sequence[Item], *, max_new_tokens: int, batch_size: int
) -> Iterator[list[Marked]]:
    """Yield a batch of marked answers at a time, those with short prompts first."""
    prompts = [render_for_completion(engine.tokenizer, item.messages) for item in items]
    # Neighbours of equal length pad least; the sort is stable, so batches are repeatable.
    order = sorted(range(len(items)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        requests = [
            Request(prompt_ids=prompts[index], max_new_tokens=max_new_tokens) for index in chosen
        ]
        answers = engine.complete(requests)
        yield [mark(items[index], answer) for index, answer in zip(chosen, answers, strict=True)]


def mark(item: Item, completion: Completion) -> Marked:
    """Return the answer with its mark; an answer that was cut off is marked like any other."""
    is_correct = TASKS[item.task].is_correct(item.answer, completion.text)
    return Marked(item=item, completion=completion, is_correct=is_correct)


def score(marked: Iterable[Marked]) -> dict[str, dict[str, float]]:
    """Return {task: {"accuracy", "n", "chance"}}, tasks in alphabetical order."""
    by_task: dict[str, list[bool]] = {}
    for one in marked:
        by_task.setdefault(one.item.task, []).append(one.is_correct)
    return {
        task: {
            "accuracy": sum(marks) / len(marks),
            "n": len(marks),
            "chance": TASKS[task].chance,
        }
        for task, marks in sorted(by_task.items())
    }


def _lines(path: Path) -> Iterator[Any]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFound(f"no held-out questions at {path}; run the data stage first") from None
    except ValueError:
        raise Corrupt(f"{path} is not UTF-8; rebuild the data") from None
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError:
            raise Corrupt(f"{path}:{number} is not JSON; rebuild the data") from None


def _parse(path: Path, number: int, body: Any) -> Item:
    try:
        item = Item(
            number=number,
            task=str(body["task"]),
            messages=tuple(body["messages"]),
            answer=str(body["answer"]),
        )
    except (KeyError, TypeError):
        raise Corrupt(f"{path}:{number} is not a held-out question; rebuild the data") from None
    if item.task not in TASKS:
        raise UsageError(
            f"{path}:{number} asks for task {item.task!r}, which this labcli does not have"
        )
    return item
