"""Recipes that stand for several runs: a miniseries of depths, or a grid of budgets and depths."""

from __future__ import annotations

from core.config import STAGE_CONFIGS
from core.planning.request import recipe_of
from labcli.sweep.axes import Axes, Changed, expand
from runs.recipe import list_recipes, load_recipe


def series_of(recipe_name: str) -> list[Changed]:
    """Return what each run of a recipe changes, in order; nothing for a recipe of one run."""
    recipe = load_recipe(recipe_name)
    if not recipe["grid"] and not recipe["runs"]:
        return []
    grid = {key: tuple(map(str, values)) for key, values in recipe["grid"].items()}
    rows = tuple({key: str(value) for key, value in row.items()} for row in recipe["runs"])
    return expand(Axes(grid=grid, rows=rows))


def has_series(what: str) -> bool:
    """Return whether what was named is a recipe, or recipe file, that stands for several runs."""
    return what not in STAGE_CONFIGS and bool(series_of(recipe_of(what, list_recipes())))
