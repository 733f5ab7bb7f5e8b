"""What all votes say about the models: Bradley-Terry scores with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from labcli.text.cells import grid
from runs.analysis.bradley_terry import Strength, Vote, bradley_terry
from runs.labels import Ballot

HEADER = ("MODEL", "SCORE", "95 % INTERVAL", "WON", "LOST", "TIED")


def strengths(ballots: Sequence[Ballot]) -> tuple[Strength, ...]:
    """Return the models of all votes, the strongest first."""
    return bradley_terry(map(_vote, ballots))


def votes_object(ballots: Sequence[Ballot]) -> dict[str, Any]:
    """Return what --json states: the scores, and the votes with their answers."""
    models = [
        {
            "model": one.name,
            "score": one.score,
            "ci_low": one.ci_low,
            "ci_high": one.ci_high,
            "wins": one.wins,
            "losses": one.losses,
            "ties": one.ties,
        }
        for one in strengths(ballots)
    ]
    return {"num_votes": len(ballots), "models": models, "votes": [asdict(one) for one in ballots]}


def votes_text(ballots: Sequence[Ballot], width: int) -> str:
    """Return the scores as a table."""
    if not ballots:
        return "no votes yet; vote with: labcli compare --blind PROMPT --model A --model B"
    rows = [
        (
            one.name,
            f"{one.score:+.2f}",
            f"{one.ci_low:+.2f} to {one.ci_high:+.2f}",
            str(one.wins),
            str(one.losses),
            str(one.ties),
        )
        for one in strengths(ballots)
    ]
    votes = "1 vote" if len(ballots) == 1 else f"{len(ballots)} votes"
    note = f"{votes}; one ahead by d is preferred with probability 1 / (1 + exp(-d))"
    return f"{grid(HEADER, rows, right='lrlrrr', max_width=width)}\n\n{note}"


def _vote(ballot: Ballot) -> Vote:
    first, second = ballot.first.model, ballot.second.model
    if ballot.choice == "second":
        first, second = second, first
    return Vote(winner=first, loser=second, is_tie=ballot.choice == "tie")
