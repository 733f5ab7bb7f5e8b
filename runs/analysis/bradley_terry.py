"""Strengths of competitors from votes between pairs of them (Bradley and Terry 1952)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from runs.errors import UsageError
from runs.statistics import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# One tie of every competitor against an average one that nobody sees.
PRIOR_TIES = 1.0
_TOLERANCE = 1e-10
_MAX_NEWTON_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One judgement of two answers; of a tie, which is named first does not matter."""

    winner: str
    loser: str
    is_tie: bool = False

    def __post_init__(self) -> None:
        if self.winner == self.loser:
            raise UsageError(f"a vote needs two competitors, and {self.winner!r} stands alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How strong one competitor is, in logits around the mean of all, with its 95 % interval.

    One with a score higher by d wins against the other with probability 1 / (1 + exp(-d)).
    """

    name: str
    score: float
    ci_low: float
    ci_high: float
    wins: int
    losses: int
    ties: int


def bradley_terry(votes: Iterable[Vote]) -> tuple[Strength, ...]:
    """Return the competitors of all votes, the strongest first.

    The most probable scores, found by Newton's method: with the prior, the log-likelihood is
    strictly concave (Hunter 2004, "MM algorithms for generalized Bradley-Terry models"). A tie
    is half a win for each. The prior is a tie against an average competitor: it keeps the
    undefeated, and groups that never met, finite, and counts for less with every vote.
    Intervals are normal ones from the Fisher information; as a tie informs like a win, they are
    a little too wide where ties are many. Votes count as independent of each other.
    """
    import numpy as np

    cast = tuple(votes)
    names = sorted({name for vote in cast for name in (vote.winner, vote.loser)})
    if not names:
        return ()
    place = {name: i for i, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    ties = np.zeros_like(wins)
    for vote in cast:
        i, j = place[vote.winner], place[vote.loser]
        (ties if vote.is_tie else wins)[i, j] += 1
    ties += ties.T
    scores, information = _fit(wins + ties / 2)
    centring = np.eye(len(names)) - 1 / len(names)
    variances = np.diag(centring @ np.linalg.inv(information) @ centring.T)
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * np.sqrt(variances)
    scores = scores - scores.mean()
    found = [
        Strength(
            name=name,
            score=float(scores[i]),
            ci_low=float(scores[i] - half[i]),
            ci_high=float(scores[i] + half[i]),
            wins=int(wins[i].sum()),
            losses=int(wins[:, i].sum()),
            ties=int(ties[i].sum()),
        )
        for name, i in place.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.name)))


def _fit(wins: Array) -> tuple[Array, Array]:
    """Return the scores and their information matrix; wins[i, j] counts i's wins over j."""
    import numpy as np

    met = wins + wins.T
    scores = np.zeros(len(wins))
    for _ in range(_MAX_NEWTON_STEPS):
        gradient, information = _slopes(scores, wins, met)
        step = np.linalg.solve(information, gradient)
        # A full step can overshoot where the curve is flat; a short one climbs.
        while _log_posterior(scores + step, wins) < _log_posterior(scores, wins) - _TOLERANCE:
            step = step / 2
        scores = scores + step
        if float(np.abs(step).max()) < _TOLERANCE:
            break
    return scores, _slopes(scores, wins, met)[1]


def _slopes(scores: Array, wins: Array, met: Array) -> tuple[Array, Array]:
    import numpy as np

    chance = 1 / (1 + np.exp(scores[None, :] - scores[:, None]))
    alone = 1 / (1 + np.exp(-scores))
    gradient = (wins - met * chance).sum(axis=1) + PRIOR_TIES * (0.5 - alone)
    weights = met * chance * (1 - chance)
    information = np.diag(weights.sum(axis=1) + PRIOR_TIES * alone * (1 - alone)) - weights
    return gradient, information


def _log_posterior(scores: Array, wins: Array) -> float:
    import numpy as np

    gaps = scores[:, None] - scores[None, :]
    prior = PRIOR_TIES / 2 * (np.logaddexp(0, -scores) + np.logaddexp(0, scores))
    return -float((wins * np.logaddexp(0, -gaps)).sum() + prior.sum())
