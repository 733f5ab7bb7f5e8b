"""What a sweep varies: grids, random draws and lists, expanded to settings of single runs. Pure."""

from __future__ import annotations

import csv
import io
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runs.errors import UsageError

MAX_VARIANTS = 10_000
FIRST_SEED = 42
SEED = "seed"

Changed = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Values of one setting to draw from: a scale between two numbers, or words to choose from."""

    key: str
    scale: Literal["lin", "log", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What was asked to vary; every grid value is combined with every draw, row and seed."""

    grid: Mapping[str, tuple[str, ...]]
    ranges: tuple[Range, ...] = ()
    num_draws: int = 0
    draw_seed: int = 0
    rows: tuple[Changed, ...] = ()
    num_seeds: int = 0


def parse_grid(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return setting -> values of `base.depth=4,6`; a setting may be given once."""
    grid: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, values = _split("--grid", word, "base.depth=4,6")
        if key in grid:
            raise UsageError(f"--grid names {key} twice; list its values once: {key}=4,6")
        listed = tuple(value.strip() for value in values.split(","))
        if not all(listed):
            raise UsageError(f"--grid {word}: a value is empty")
        grid[key] = tuple(dict.fromkeys(listed))
    return grid


def parse_range(word: str) -> Range:
    """Return the range in `KEY=log:LOW..HIGH`, `lin:`, `int:`, LOW..HIGH, or `KEY=a|b|c`."""
    key, text = _split("--range", word, "base.matrix_lr=log:0.001..0.1")
    if "|" in text:
        choices = tuple(choice.strip() for choice in text.split("|"))
        return Range(key=key, scale="choice", words=choices)
    scale, colon, limits = text.rpartition(":")
    low_text, dots, high_text = limits.partition("..")
    try:
        low, high = float(low_text), float(high_text)
    except ValueError:
        dots = ""
    if not dots or (colon and scale not in ("lin", "log", "int")):
        raise UsageError(f"--range {word}: write {key}=log:0.001..0.1, lin:0..1, int:2..8 or a|b|c")
    if not low < high or not math.isfinite(high - low):
        raise UsageError(f"--range {word}: {low_text} is not below {high_text}")
    if scale == "log" and low <= 0:
        raise UsageError(f"--range {word}: a log scale begins above 0")
    are_whole = low_text.strip().lstrip("-").isdigit() and high_text.strip().lstrip("-").isdigit()
    match scale or ("int" if are_whole else "lin"):
        case "int" if are_whole:
            return Range(key=key, scale="int", low=low, high=high)
        case "int":
            raise UsageError(f"--range {word}: int: takes whole numbers")
        case "log":
            return Range(key=key, scale="log", low=low, high=high)
    return Range(key=key, scale="lin", low=low, high=high)


def parse_list(text: str, *, source: str) -> tuple[Changed, ...]:
    """Return the rows of a CSV table: its header names settings, an empty cell leaves one as is."""
    table = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if len(table) < 2:
        raise UsageError(f"{source} needs a header of settings and at least one row of values")
    header = [cell.strip() for cell in table[0]]
    if not all(header) or len(set(header)) < len(header):
        raise UsageError(f"{source}: the header has an empty or a repeated name: {header}")
    rows = []
    for number, row in enumerate(table[1:], 2):
        if len(row) != len(header):
            raise UsageError(
                f"{source} line {number}: {len(row)} values for {len(header)} settings"
            )
        cells = zip(header, (cell.strip() for cell in row), strict=True)
        rows.append({key: value for key, value in cells if value})
    return tuple(rows)


def expand(axes: Axes) -> list[Changed]:
    """Return the settings of every variant, in the order of the axes; equal ones appear once.

    A seed stands under the key "seed", which is no setting of one stage.
    """
    others = max(1, axes.num_draws) * max(1, len(axes.rows)) * max(1, axes.num_seeds)
    count = math.prod(map(len, axes.grid.values())) * others
    if count > MAX_VARIANTS:
        raise UsageError(f"that makes {count} runs; a sweep has at most {MAX_VARIANTS}")
    _refuse_repeated(axes)
    draws = _draws(axes)
    seeds = [{SEED: str(FIRST_SEED + number)} for number in range(axes.num_seeds)]
    grids = itertools.product(*axes.grid.values())
    points = [dict(zip(axes.grid, values, strict=True)) for values in grids]
    variants: dict[tuple[tuple[str, str], ...], Changed] = {}
    parts = itertools.product(axes.rows or [{}], draws or [{}], points, seeds or [{}])
    for group in parts:
        changed: dict[str, str] = {}
        for part in group:
            changed.update(part)
        variants.setdefault(tuple(sorted(changed.items())), changed)
    return list(variants.values())


def _draws(axes: Axes) -> list[Changed]:
    if bool(axes.ranges) != bool(axes.num_draws):
        missing = "--range KEY=log:LOW..HIGH" if axes.num_draws else "--random N"
        raise UsageError(f"random draws need both --random and --range; add {missing}")
    generator = random.Random(axes.draw_seed)
    return [
        {item.key: _draw(item, generator) for item in axes.ranges} for _ in range(axes.num_draws)
    ]


def _draw(item: Range, generator: random.Random) -> str:
    match item.scale:
        case "choice":
            return generator.choice(item.words)
        case "int":
            return str(generator.randint(int(item.low), int(item.high)))
        case "log":
            value = math.exp(generator.uniform(math.log(item.low), math.log(item.high)))
        case "lin":
            value = generator.uniform(item.low, item.high)
    return f"{value:.4g}"


def _refuse_repeated(axes: Axes) -> None:
    given = [*axes.grid, *(item.key for item in axes.ranges)]
    given += list(dict.fromkeys(key for row in axes.rows for key in row))
    if axes.num_seeds:
        given.append(SEED)
    twice = [key for key in dict.fromkeys(given) if given.count(key) > 1]
    if axes.num_seeds:
        twice += [key for key in given if key.endswith(f".{SEED}")]
    if twice:
        raise UsageError(f"{twice[0]} is given twice: by two of --grid, --range, --list, --seeds")


def _split(option: str, word: str, example: str) -> tuple[str, str]:
    key, separator, value = word.partition("=")
    if not separator or not key.strip() or not value.strip():
        raise UsageError(
            f"{option} takes a setting and its values, such as {example}, not {word!r}"
        )
    return key.strip(), value.strip()
