"""The vibe test: a suite of questions, and what a model's answers make of it. Torch-free."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.experiments.vibe.checks import Decide, Heard, build_check
from runs.errors import NotFound, UsageError
from runs.statistics import Estimate, share_interval

BUILT_IN = Path(__file__).with_name("suite.toml")
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a question, by the name it has in the suite."""

    name: str
    decide: Decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question with everything that must hold of its answer."""

    group: str
    name: str
    prompt: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One answer to a question and the names of the checks that it failed."""

    question: Question
    answer: Heard
    failed: tuple[str, ...]

    @property
    def has_passed(self) -> bool:
        """Whether every check holds."""
        return not self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """The share of answers of a group that pass, with its 95 % score interval."""

    group: str
    num_passed: int
    share: Estimate

    def as_row(self) -> dict[str, Any]:
        """Return the score as JSON states it."""
        return {
            "group": self.group,
            "passed": self.num_passed,
            "n": self.share.num,
            "share": self.share.mean,
            "ci_low": self.share.ci_low,
            "ci_high": self.share.ci_high,
        }


def load_suite(path: Path = BUILT_IN) -> tuple[Question, ...]:
    """Return the questions of a suite.

    Raises:
        NotFound: there is no such file.
        UsageError: it is not a suite; the question is named.
    """
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"no suite of questions at {path}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not a suite in TOML: {error}") from None
    raw = body.get("question")
    if not isinstance(raw, list) or not raw:
        raise UsageError(f"{path} holds no [[question]]")
    questions = []
    for number, entry in enumerate(raw, start=1):
        try:
            questions.append(_question(entry))
        except ValueError as error:
            raise UsageError(f"question {number} of {path} cannot be used: {error}") from None
    names = [(question.group, question.name) for question in questions]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{path} has two questions named {' / '.join(twice)}")
    return tuple(questions)


def judge(question: Question, answer: Heard) -> Judged:
    """Return an answer with the checks that it failed."""
    failed = tuple(check.name for check in question.checks if not check.decide(answer))
    return Judged(question=question, answer=answer, failed=failed)


def score_groups(judged: Sequence[Judged]) -> list[GroupScore]:
    """Return the score of every group in the order of the suite, then that of all together."""
    groups = list(dict.fromkeys(one.question.group for one in judged))
    return [
        *(
            _score(group, [one for one in judged if one.question.group == group])
            for group in groups
        ),
        _score(ALL, judged),
    ]


def _score(group: str, judged: Sequence[Judged]) -> GroupScore:
    num_passed = sum(one.has_passed for one in judged)
    return GroupScore(
        group=group, num_passed=num_passed, share=share_interval(num_passed, len(judged))
    )


def _question(raw: Any) -> Question:
    if not isinstance(raw, Mapping):
        raise ValueError("it is not a table")
    for key in ("group", "name", "prompt"):
        if not isinstance(raw.get(key), str) or not raw[key].strip():
            raise ValueError(f"it has no {key}")
    checks = raw.get("checks")
    if not isinstance(checks, list) or not checks:
        raise ValueError("it has no checks, so that every answer would pass")
    if raw["group"] == ALL:
        raise ValueError(f"{ALL!r} stands for all groups together")
    return Question(
        group=raw["group"],
        name=raw["name"],
        prompt=raw["prompt"],
        checks=tuple(map(_check, checks)),
    )


def _check(raw: Any) -> Check:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("kind"), str):
        raise ValueError("a check has no kind")
    values = {key: value for key, value in raw.items() if key != "kind"}
    return Check(name=raw["kind"], decide=build_check(raw["kind"], values))
