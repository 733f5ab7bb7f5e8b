"""The vibe test of one or several models: a suite of questions, judged by a program."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcli import diagnostics
from labcli.compare.columns import label_of
from labcli.output import emit, emit_json
from labcli.speaking.prompting import prompt_of
from labcli.text.cells import cut, grid
from runs.files import sha256_file
from tui.answering.sampling import TalkSettings

if TYPE_CHECKING:
    from core.experiments.vibe.suite import GroupScore, Judged, Question
    from labcli.speaking.speaker import Speaker

# Columns of a table: the group names of the suite that ships, and one model's score.
NAMES_WIDTH, SCORE_WIDTH = 10, 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One model with its judged answers: those to one question follow each other, seeds going up.

    num_tokens: of each answer.
    """

    label: str
    name: str
    judged: Sequence[Judged]
    num_tokens: Sequence[int]


def show_vibe(
    speakers: Sequence[Speaker],
    suite: Path | None,
    settings: TalkSettings,
    *,
    num_answers: int,
    is_json: bool,
) -> None:
    """Ask every model the whole suite and show what passed, question by question and by group."""
    from core.experiments.vibe.suite import BUILT_IN, load_suite

    path = suite or BUILT_IN
    questions = load_suite(path)
    status = diagnostics.StatusLine()
    subjects = []
    for index, speaker in enumerate(speakers):
        judged: list[Judged] = []
        counts: list[int] = []
        for one, num_tokens in ask_suite(speaker, questions, settings, num_answers):
            judged.append(one)
            counts.append(num_tokens)
            status.update(f"{speaker.name}: {len(judged)} of {len(questions) * num_answers}")
        subjects.append(
            Subject(label=label_of(index), name=speaker.name, judged=judged, num_tokens=counts)
        )
    status.clear()
    if is_json:
        suite_row = {"suite": suite and str(suite), "suite_sha256": sha256_file(path)}
        emit_json({**suite_row, **vibe_object(subjects, settings, num_answers)})
    else:
        emit(vibe_text(subjects, num_answers, shutil.get_terminal_size().columns - 1))


def ask_suite(
    speaker: Speaker, questions: Sequence[Question], settings: TalkSettings, num_answers: int
) -> Iterator[tuple[Judged, int]]:
    """Yield every answer, judged, with its number of tokens.

    Equal calls yield equal answers if the speaker's engine is deterministic.
    """
    from core.experiments.vibe.checks import Heard
    from core.experiments.vibe.suite import judge

    engine = speaker.engine
    room = engine.max_positions - settings.max_new_tokens
    asked = []
    for question in questions:
        ids = prompt_of(speaker, [{"role": "user", "content": question.prompt}], room).prompt_ids
        asked += [(question, settings.request(ids, draw=draw)) for draw in range(num_answers)]
    for start in range(0, len(asked), engine.max_rows):
        batch = asked[start : start + engine.max_rows]
        found = engine.complete([request for _, request in batch])
        for (question, _), completion in zip(batch, found, strict=True):
            heard = Heard(text=completion.text, finish=completion.finish)
            yield judge(question, heard), len(completion.ids)


def vibe_object(
    subjects: Sequence[Subject], settings: TalkSettings, num_answers: int
) -> dict[str, Any]:
    """Return what --json states."""
    return {
        "settings": settings.as_row(),
        "answers_per_question": num_answers,
        "models": [_subject_object(subject, settings, num_answers) for subject in subjects],
    }


def vibe_text(subjects: Sequence[Subject], num_answers: int, width: int) -> str:
    """Return the questions and, below, the groups, with a column for every model."""
    num_fitting = max(1, (width - NAMES_WIDTH) // (SCORE_WIDTH + 2))
    bands = [subjects[at : at + num_fitting] for at in range(0, len(subjects), num_fitting)]
    models = "\n".join(f"{subject.label}  {subject.name}" for subject in subjects)
    blocks = [_questions_table(band, width) for band in bands]
    blocks += [_groups_table(band, width) for band in bands]
    return "\n\n".join((models, *blocks, _note(num_answers)))


def _questions_table(subjects: Sequence[Subject], width: int) -> str:
    columns = [_by_question(subject.judged) for subject in subjects]
    names = [(answers[0].question.group, answers[0].question.name) for answers in columns[0]]
    taken = sum(max(map(len, column)) + 2 for column in zip(*names, strict=True))
    room = max(len("FAIL"), (width - taken) // len(subjects) - 2)
    rows = [
        (*name, *(cut(_cell(answers), room) for answers in row))
        for name, row in zip(names, zip(*columns, strict=True), strict=True)
    ]
    labels = [subject.label for subject in subjects]
    return grid(("GROUP", "QUESTION", *labels), rows, max_width=width)


def _groups_table(subjects: Sequence[Subject], width: int) -> str:
    scores = [_scores(subject) for subject in subjects]
    rows = [
        (group[0].group, *(score_cell(score) for score in group))
        for group in zip(*scores, strict=True)
    ]
    labels = [subject.label for subject in subjects]
    return grid(("GROUP", *labels), rows, max_width=width)


def _note(num_answers: int) -> str:
    many = "; answers to one question count as independent" if num_answers > 1 else ""
    return f"passed/asked, share and its 95 % interval (Wilson){many}"


def score_cell(score: GroupScore) -> str:
    """Return passed/asked, the share, and its interval, all in per cent."""
    share = score.share
    assert share.ci_low is not None and share.ci_high is not None
    counts = f"{score.num_passed}/{share.num}"
    interval = f"[{100 * share.ci_low:.0f}-{100 * share.ci_high:.0f}]"
    return f"{counts:>5}  {100 * share.mean:3.0f}% {interval}"


def _cell(answers: Sequence[Judged]) -> str:
    failed = dict.fromkeys(name for one in answers for name in one.failed)
    num_passed = sum(one.has_passed for one in answers)
    if not failed:
        word = "pass"
    elif len(answers) == 1:
        word = "FAIL"
    else:
        word = f"{num_passed} of {len(answers)}"
    return " ".join([word, ", ".join(failed)]).rstrip()


def _by_question(judged: Sequence[Judged]) -> list[list[Judged]]:
    return [list(group) for _, group in groupby(judged, key=lambda one: one.question)]


def _scores(subject: Subject) -> list[GroupScore]:
    from core.experiments.vibe.suite import score_groups

    return score_groups(subject.judged)


def _subject_object(subject: Subject, settings: TalkSettings, num_answers: int) -> dict[str, Any]:
    counts = iter(subject.num_tokens)
    questions = []
    for answers in _by_question(subject.judged):
        question = answers[0].question
        questions.append(
            {
                "group": question.group,
                "name": question.name,
                "prompt": question.prompt,
                "answers": [
                    {
                        "seed": settings.seed + number,
                        "text": one.answer.text,
                        "finish": one.answer.finish,
                        "tokens": next(counts),
                        "passed": one.has_passed,
                        "failed": list(one.failed),
                    }
                    for number, one in enumerate(answers)
                ],
            }
        )
    return {
        "label": subject.label,
        "model": subject.name,
        "groups": [score.as_row() for score in _scores(subject)],
        "questions": questions,
    }
