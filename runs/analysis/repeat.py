"""The command that runs the same again with another seed. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runs.analysis.seed_groups import seedless_key
from runs.views.card import RunCard

# Options that belong to one launch; those in the first group take a value.
_WITH_VALUE = ("--name", "--home")
_ALONE = ("--json", "--detach", "--tui")


def repeat_command(card: RunCard, lab: Sequence[RunCard], stage: str) -> str:
    """Return a command line that repeats a run with a seed that no repetition of it had."""
    key = f"{stage}.seed"
    wanted = seedless_key(card, stage)
    seeds = [
        other.settings.get(key)
        for other in (card, *lab)
        if other is card or seedless_key(other, stage) == wanted
    ]
    seed = max((seed for seed in seeds if isinstance(seed, int)), default=0) + 1
    return f"labcli {shlex.join(_kept(card))} --set {key}={seed}"


def _kept(card: RunCard) -> list[str]:
    argv = list(card.record.argv) if card.record else []
    words = argv[argv.index("run") :] if "run" in argv else ["run", card.view.recipe or "speedrun"]
    kept: list[str] = []
    skips = 0
    for word in words:
        if skips:
            skips -= 1
        elif word in _WITH_VALUE:
            skips = 1
        elif word not in _ALONE and not word.startswith(tuple(f"{o}=" for o in _WITH_VALUE)):
            kept.append(word)
    return kept
