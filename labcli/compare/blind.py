"""A blind vote: two answers in a hidden order, a person's choice, and who had said what."""

from __future__ import annotations

import random
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from labcli import diagnostics
from labcli.chat.keys import keys_unseen
from labcli.compare.columns import Column, Combination
from labcli.compare.layout import Layout
from labcli.compare.race import Race
from labcli.output import emit
from labcli.speaking.speaker import Speaker
from labcli.text.terminal import glyphs_of, is_styled
from runs.errors import UsageError
from runs.labels import Ballot, Choice, VotedAnswer, add_vote
from runs.paths import LabHome
from runs.refs import ResolvedCheckpoint
from tui.answering.sampling import TalkSettings

QUESTION = "Which is better? 1, 2, t(ie), s(kip), q(uit): "
Decision = Literal[Choice, "skip", "quit"]
DECISIONS: dict[str, Decision] = {
    "1": "first", "2": "second", "t": "tie", "tie": "tie", "s": "skip", "skip": "skip",
    "q": "quit", "quit": "quit",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One question to the voter: two models, as their numbers, and what both answer."""

    prompt: str
    models: tuple[int, int]
    settings: TalkSettings


def check_voter(*, is_json: bool) -> None:
    """Raise UsageError where no person sits at a terminal."""
    if is_json:
        raise UsageError(
            "--blind shows no JSON; read the votes with: labcli compare --votes --json"
        )
    for stream, name in ((sys.stdin, "stdin"), (sys.stdout, "stdout")):
        if not stream.isatty():
            raise UsageError(f"--blind asks a person, and {name} is not a terminal")


def check_candidates(found: Sequence[ResolvedCheckpoint]) -> None:
    """Raise UsageError unless there are two models or more, all of them different."""
    if len({checkpoint.path for checkpoint in found}) < max(2, len(found)):
        names = ", ".join(dict.fromkeys(checkpoint.name for checkpoint in found))
        raise UsageError(f"--blind needs two different models, not {names}; name them with --model")


def rounds_of(
    prompts: Sequence[str], num_models: int, num_answers: int, settings: TalkSettings
) -> list[Round]:
    """Return every two models with every prompt and seed, prompt by prompt."""
    return [
        Round(prompt=prompt, models=pair, settings=settings.changed(seed=settings.seed + number))
        for prompt in prompts
        for number in range(num_answers)
        for pair in combinations(range(num_models), 2)
    ]


def vote(
    home: LabHome,
    speakers: Sequence[Speaker],
    found: Sequence[ResolvedCheckpoint],
    rounds: Sequence[Round],
    *,
    rng: random.Random | None = None,
) -> int:
    """Ask for a vote in every round until the voter quits; return how many were kept."""
    # Not from the seed of the answers: who knows it would know the order.
    rng = rng or secrets.SystemRandom()
    num_kept = 0
    for number, one in enumerate(rounds, start=1):
        models = rng.sample(one.models, 2)
        texts = _answers(speakers, one, models)
        _show(f"{number}/{len(rounds)}  {one.prompt}", texts)
        names = [found[model].name for model in models]
        if texts[0] == texts[1]:
            diagnostics.say("both say the same; no vote\n")
            continue
        decision = _decide()
        if decision == "quit":
            break
        if decision != "skip":
            first, second = (
                VotedAnswer(model=found[model].name, run_id=found[model].run_id, text=text)
                for model, text in zip(models, texts, strict=True)
            )
            ballot = Ballot(
                prompt=one.prompt,
                first=first,
                second=second,
                choice=decision,
                settings=one.settings.as_row(),
            )
            add_vote(home, ballot)
            num_kept += 1
        outcome = "skipped" if decision == "skip" else "vote kept"
        diagnostics.say(f"1 was {names[0]}\n2 was {names[1]}\n{outcome}\n")
    return num_kept


def _answers(speakers: Sequence[Speaker], one: Round, models: Sequence[int]) -> list[str]:
    """Return what the models say, in their order."""
    columns = [
        Column(
            Combination(label=str(place), prompt=one.prompt, model=model, settings=one.settings),
            speakers[model].name,
        )
        for place, model in enumerate(models, start=1)
    ]
    race = Race(speakers, columns)
    status = diagnostics.StatusLine()
    status.update("both are answering")
    try:
        with keys_unseen():
            while not race.is_done:
                race.step()
    finally:
        race.close()
        status.clear()
    return [column.text for column in columns]


def _show(prompt: str, texts: Sequence[str]) -> None:
    width = shutil.get_terminal_size().columns
    layout = Layout(width, glyphs_of(sys.stdout), is_styled=is_styled(sys.stdout))
    titled = [(str(place), text) for place, text in enumerate(texts, start=1)]
    emit("\n".join([layout.prompt_line(prompt), *layout.titled(titled)]))


def _decide() -> Decision:
    """Return what the voter types; the end of input is to quit."""
    for line in _lines():
        decision = DECISIONS.get(line.strip().lower())
        if decision is not None:
            return decision
    return "quit"


def _lines(read: Callable[[], str] | None = None) -> Iterator[str]:
    read = read or sys.stdin.readline
    while True:
        diagnostics.inline(QUESTION)
        line = read()
        if not line:
            diagnostics.say()
            return
        yield line
