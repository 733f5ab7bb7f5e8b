"""Votes: kept as they are cast, read back whatever lies between them, and made into scores."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from labcli.compare.blind import rounds_of, vote
from labcli.compare.votes import strengths, votes_text
from labcli.speaking.speaker import Speaker
from runs.errors import ExitCode
from runs.labels import Ballot, Choice, VotedAnswer, add_vote, read_votes
from runs.paths import LabHome
from runs.refs import ResolvedCheckpoint
from tests.cli.conftest import Labcli
from tests.cli.keyboard import Keyboard
from tests.cli.talking import speaking, trained_run
from tests.engine.builders import TOKENIZER, random_model, save_checkpoint, tiny_config
from tui.answering.sampling import TalkSettings

SETTINGS = TalkSettings(temperature=0.0, max_new_tokens=40)


def ballot(first: str, second: str, choice: Choice) -> Ballot:
    return Ballot(
        prompt="ask",
        first=VotedAnswer(model=first, run_id="", text="one"),
        second=VotedAnswer(model=second, run_id="R", text="two"),
        choice=choice,
        settings={"seed": 3},
    )


def test_a_vote_comes_back_with_its_answers(home: LabHome) -> None:
    add_vote(home, ballot("a", "b", "second"))

    (found,) = read_votes(home)

    assert found.t is not None
    assert (found.first.text, found.second.model, found.choice) == ("one", "b", "second")
    assert found.settings == {"seed": 3}


def test_a_torn_or_foreign_line_costs_no_other_vote(home: LabHome) -> None:
    add_vote(home, ballot("a", "b", "first"))
    path = home.generations_dir / "annotations.jsonl"
    with open(path, "ab") as stream:
        stream.write(b'{"v":1,"t":1,"kind":"vote","prompt":"x","choice":"fir\n')
        stream.write(b'{"v":1,"t":1,"kind":"vote","prompt":"x","choice":"both"}\n')
        stream.write(b'{"v":1,"t":1,"kind":"note","text":"x"}\n{"v":1,"t":1')
    add_vote(home, ballot("a", "b", "tie"))

    assert [one.choice for one in read_votes(home)] == ["first", "tie"]


def test_the_model_that_wins_more_stands_higher(home: LabHome) -> None:
    votes = [ballot("a", "b", "first"), ballot("b", "a", "second"), ballot("a", "b", "tie")]

    best, other = strengths(votes)

    assert (best.name, best.wins, best.losses, best.ties) == ("a", 2, 0, 1)
    assert (other.name, other.losses) == ("b", 2)
    assert other.ci_low < other.score < best.score < best.ci_high


def test_the_table_names_every_model_and_an_empty_one_says_how_to_vote() -> None:
    text = votes_text([ballot("a", "b", "first")], 79)

    assert text.splitlines()[1].startswith("a ")
    assert "1 vote;" in text
    assert "--blind" in votes_text([], 79)


def test_json_has_the_scores_and_the_votes(labcli: Labcli, home: LabHome) -> None:
    add_vote(home, ballot("a", "b", "second"))

    body = json.loads(labcli("compare", "--votes", "--json").out)

    assert [model["model"] for model in body["models"]] == ["b", "a"]
    assert body["models"][0]["wins"] == 1
    assert body["votes"][0]["second"] == {"model": "b", "run_id": "R", "text": "two"}


def candidates(*texts: str) -> tuple[list[Speaker], list[ResolvedCheckpoint]]:
    speakers = [Speaker(engine=speaking(text)[0], name=text, stage="sft") for text in texts]
    found = [
        ResolvedCheckpoint(path=Path(text), run_id="R", stage="sft", step=1, name=f"model-{text}")
        for text in texts
    ]
    return speakers, found


class Voter:
    """A person at a terminal: types what is given, and saw what was shown."""

    def __init__(self, *words: str) -> None:
        self._words = iter(words)

    def readline(self) -> str:
        return next(self._words, "")

    def isatty(self) -> bool:
        return False


def cast(
    home: LabHome, monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...], *words: str
) -> int:
    monkeypatch.setattr("sys.stdin", Voter(*words))
    speakers, found = candidates(*texts)
    rounds = rounds_of(["ask"], len(texts), 3, SETTINGS)
    return vote(home, speakers, found, rounds, rng=random.Random(0))


def test_a_vote_names_the_answer_that_was_shown_at_that_place(
    home: LabHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cast(home, monkeypatch, ("good", "bad"), "what\n", "1\n", "2\n", "t\n") == 3

    votes = read_votes(home)
    assert [one.choice for one in votes] == ["first", "second", "tie"]
    assert {one.first.text for one in votes} == {"good", "bad"}
    assert [one.settings["seed"] for one in votes] == [0, 1, 2]
    captured = capsys.readouterr()
    for one in votes:
        assert one.first.model == f"model-{one.first.text}"
        assert f"1 was {one.first.model}\n2 was {one.second.model}\nvote kept\n" in captured.err
    # Nothing on the page of answers tells whose they are.
    assert "model-" not in captured.out


def test_what_is_skipped_is_not_kept_and_quitting_ends_it(
    home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cast(home, monkeypatch, ("good", "bad"), "s\n", "1\n", "q\n") == 1
    assert len(read_votes(home)) == 1


def test_the_end_of_input_ends_it(home: LabHome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cast(home, monkeypatch, ("good", "bad"), "2\n") == 1


def test_equal_answers_are_not_voted_on(home: LabHome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cast(home, monkeypatch, ("same", "same"), "1\n", "1\n", "1\n") == 0


def test_every_two_models_meet_on_every_prompt_and_seed() -> None:
    rounds = rounds_of(["x", "y"], 3, 2, SETTINGS)

    assert len(rounds) == 2 * 2 * 3
    assert {one.models for one in rounds} == {(0, 1), (0, 2), (1, 2)}
    assert [one.settings.seed for one in rounds[:6]] == [0, 0, 0, 1, 1, 1]


def test_a_vote_survives_a_kill_right_after_it(home: LabHome) -> None:
    trained_run(home)
    other = save_checkpoint(home.root / "other", random_model(tiny_config(), 7), TOKENIZER, "sft")
    TOKENIZER.save(home.root.parent / "artifacts" / "tok" / "tokenizer.json")
    words = ("--model", "last:sft", "--model", str(other), "--max-new-tokens", "4", "--n", "2")

    with Keyboard(home, "compare", "--blind", "hello", *words) as keys:
        keys.wait_for("q(uit): ")
        keys.press("2\r")
        assert "1 was" in keys.wait_for("vote kept")
        os.kill(keys.process.pid, signal.SIGKILL)
        keys.process.wait()

    (found,) = read_votes(home)
    assert found.choice == "second"
    assert {found.first.model, found.second.model} >= {str(other)}


@pytest.mark.parametrize(
    ("words", "message"),
    [(("x", "--blind"), "stdin is not a terminal"), (("x", "--blind", "--json"), "no JSON")],
)
def test_a_vote_needs_a_person(
    labcli: Labcli, words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Voter())

    result = labcli("compare", *words)

    assert result.code == ExitCode.USAGE
    assert message in result.err
    assert len(result.err.splitlines()) == 1
