"""What figures say, in one plain sentence each, with the evidence in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from runs.statistics import Difference, Estimate

SIGNIFICANCE = 0.05


class Told(Protocol):
    """A finding that has been put into a sentence."""

    @property
    def verdict(self) -> str:
        """The sentence, without its capital and its full stop."""


class Tested(Told, Protocol):
    """A comparison that has been put into a sentence."""

    @property
    def p(self) -> float:
        """Corrected for all comparisons."""


class Findings(Told, Protocol):
    """The sentences of a whole experiment; its own is the clearest of them."""

    @property
    def settings(self) -> Sequence[Told]:
        """What each setting shows."""

    @property
    def comparisons(self) -> Sequence[Tested]:
        """How settings differ."""


# How a sentence calls a metric, and its unit.
_NAMES = {
    "entropy_bits": ("entropy", " bits"),
    "mtld": ("variety (MTLD)", " words"),
    "has_loop": ("share of loops", ""),
    "topic_drift": ("topic drift", ""),
}


def comparison_verdict(
    names: tuple[str, str],
    *,
    where: str | None,
    metric: str,
    found: Difference,
    p: float,
    reachable_p: float,
    num_tests: int,
) -> str:
    """Return what a comparison says.

    where: the setting in which the names are sides; None where they are settings.
    reachable_p: the smallest corrected p that so few values can give.
    """
    noun, unit = _NAMES[metric]
    gap = found.difference
    evidence = f"p{_p(p)}, {_count(found)}"
    a, b = names
    place = "" if where is None else f" at {where}"
    of_what = f"{noun} between {a} and {b}{place}"
    if reachable_p > SIGNIFICANCE:
        needed = f"; at least {_pairs_needed(num_tests)} are needed" if found.is_paired else ""
        values = "pairs" if found.is_paired else "conversations"
        return (
            f"too few {values} to show a difference in {of_what}: "
            f"{_signed(gap)}{unit}, {_count(found)}{needed}"
        )
    what = f"evidence of a difference in {of_what}: {_signed(gap)}{unit}"
    if found.p < SIGNIFICANCE <= p:
        corrected = f"after correction for {num_tests} comparisons"
        return f"too little {what}, p{_p(p)} {corrected}, {_count(found)}"
    if p >= SIGNIFICANCE or gap == 0:
        return f"no {what}, {evidence}"
    size = f"{_figure(abs(gap))}{unit}{_interval(found, is_mirrored=gap < 0, size=gap)}"
    way = "higher" if gap > 0 else "lower"
    if where is None:
        return f"{noun} is {way} at {a} than at {b} by {size}, {evidence}"
    return f"{a}'s {noun} is {way} than {b}'s by {size}{place}, {evidence}"


def setting_verdict(
    name: str,
    *,
    change: Estimate | None,
    num_turns: int | None,
    num_loops: int,
    num_conversations: int,
) -> str:
    """Return what happens over the turns under one setting.

    change: of entropy from first turn to last, in bits. num_turns: None where it varies.
    """
    if num_conversations == 0:
        return f"no conversation yet at {name}"
    talks = f"{num_conversations} conversation{'s' if num_conversations > 1 else ''}"
    loops = f"loops in {num_loops} of {talks}" if num_loops else f"no loops in {talks}"
    return f"{_trend(name, change, num_turns)}; {loops}"


def _trend(name: str, change: Estimate | None, num_turns: int | None) -> str:
    if change is None:
        return f"too few turns to see entropy change at {name}"
    span = f"turn 1 to {num_turns}" if num_turns else "the first turn to the last"
    gap, low, high = change.mean, change.ci_low, change.ci_high
    if low is not None and high is not None and low <= 0 <= high:
        bounds = _interval(change, is_mirrored=False, size=gap)
        return (
            f"no evidence that entropy changes from {span} at {name}: {_signed(gap)} bits{bounds}"
        )
    bounds = _interval(change, is_mirrored=gap < 0, size=gap)
    way = "falls" if gap < 0 else "rises"
    return f"entropy {way} {_figure(abs(gap))} bits{bounds} from {span} at {name}"


def _interval(found: Difference | Estimate, *, is_mirrored: bool, size: float) -> str:
    if found.ci_low is None or found.ci_high is None:
        return ""
    low, high = found.ci_low, found.ci_high
    if is_mirrored:
        low, high = -high, -low
    places = _places(size)
    return f" [{_rounded(low, places)}, {_rounded(high, places)}]"


def _pairs_needed(num_tests: int) -> int:
    # 2^(1 - n) is the smallest p of n pairs, and the first of a family is multiplied by its size.
    return math.ceil(1 + math.log2(num_tests / SIGNIFICANCE))


def _count(found: Difference) -> str:
    word = "pair" if found.is_paired else "conversation"
    return f"{found.num} {word}{'' if found.num == 1 else 's'}"


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"={p:.2g}"


def _signed(value: float) -> str:
    text = _figure(abs(value))
    return text if not float(text) else f"{'-' if value < 0 else '+'}{text}"


def _figure(value: float) -> str:
    return _rounded(value, _places(value))


def _places(value: float) -> int:
    """Return the decimals that leave two significant digits, and at most 4."""
    if value == 0:
        return 0
    # Of the rounded value: 0.9999 has the places of 1.0.
    exponent = int(f"{value:.1e}".partition("e")[2])
    return min(4, max(0, 1 - exponent))


def _rounded(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text
