"""The options that say what a sweep varies, and the variants that they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from labcli.options import optional
from labcli.sweep.axes import Axes, Changed, expand, parse_grid, parse_list, parse_range
from runs.errors import UsageError

Grid = Annotated[
    list[str] | None,
    optional("--grid", "KEY=A,B", "Vary a setting over these values; may be repeated."),
]
Random = Annotated[int, optional("--random", "N", "Draw N points from the ranges.", min=0)]
Ranges = Annotated[
    list[str] | None,
    optional("--range", "KEY=log:A..B", "Draw a setting: log:, lin:, int: A..B, or a|b|c."),
]
DrawSeed = Annotated[int, typer.Option("--draw-seed", metavar="N", help="Seed of the draws.")]
ListFile = Annotated[
    Path | None, optional("--list", "FILE.csv", "Read the values: settings on top, runs below.")
]
Seeds = Annotated[int, optional("--seeds", "N", "Repeat every variant with N seeds.", min=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisOptions:
    """What a person asked to vary."""

    grid: Grid = None
    random: Random = 0
    ranges: Ranges = None
    draw_seed: DrawSeed = 0
    list_file: ListFile = None
    seeds: Seeds = 0

    def expand(self) -> list[Changed]:
        """Return the settings of every variant, or raise UsageError when nothing varies."""
        rows = () if self.list_file is None else _rows(self.list_file)
        axes = Axes(
            grid=parse_grid(self.grid or ()),
            ranges=tuple(map(parse_range, self.ranges or ())),
            num_draws=self.random,
            draw_seed=self.draw_seed,
            rows=rows,
            num_seeds=self.seeds,
        )
        variants = expand(axes)
        if variants == [{}]:
            raise UsageError("nothing varies; add --grid, --random with --range, --list or --seeds")
        return variants


def _rows(path: Path) -> tuple[Changed, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    return parse_list(text, source=str(path))
