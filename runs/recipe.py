"""Recipes: TOML files, ours or the user's, parsed to plain mappings.

What the settings mean is decided by the planner; this module knows only the form:
`stages`, `[settings.STAGE]`, `[presets.SLUG]` and `[presets.SLUG.STAGE]`. A recipe that stands
for several runs says what each changes: `[[runs]]` with "stage.key" = value, and `[grid]` with
"stage.key" = [values], which is combined with every one of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs.errors import UsageError, nearest

_RECIPES_DIR = Path(__file__).parent / "recipes"
_TOP_LEVEL = ("name", "description", "stages", "settings", "presets", "runs", "grid")


def list_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that come with labcli."""
    return tuple(sorted(path.stem for path in _RECIPES_DIR.glob("*.toml")))


def load_recipe(name_or_path: str) -> dict[str, Any]:
    """Return a recipe by name, or from a user's file such as "./my.toml".

    The result holds name, description, stages, settings (by stage), presets (by slug), and runs
    and grid, which are empty for a recipe of one run.

    Raises:
        UsageError: no such recipe, or a file that is not a recipe; it names the place.
    """
    is_path = "/" in name_or_path or name_or_path.endswith(".toml")
    path = Path(name_or_path) if is_path else _RECIPES_DIR / f"{name_or_path}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        if is_path:
            raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from None
        hint = nearest(name_or_path, list_recipes())
        raise UsageError(f"unknown recipe {name_or_path!r}{hint}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text, as a recipe must be") from None
    return parse_recipe(text, source=str(path), default_name=path.stem)


def parse_recipe(text: str, *, source: str, default_name: str) -> dict[str, Any]:
    """Return the recipe in a TOML text; `source` names it in errors."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # tomllib names the line, except that of an end that came too early.
        last = f"at line {len(text.splitlines())}, the end of the document"
        what = str(error).replace("at end of document", last)
        raise UsageError(f"{source} is not valid TOML: {what}") from None
    for key in body:
        if key not in _TOP_LEVEL:
            raise _broken(source, f"unknown key {key!r}{nearest(key, _TOP_LEVEL)}")
    stages = body.get("stages")
    if not isinstance(stages, list) or not stages or not all(isinstance(s, str) for s in stages):
        raise _broken(source, "`stages` must be a list with at least one stage name")
    if len(set(stages)) != len(stages):
        raise _broken(source, "`stages` names a stage twice")
    return {
        "name": _text(source, "name", body.get("name", default_name)),
        "description": _text(source, "description", body.get("description", "")),
        "stages": stages,
        "settings": _stage_tables(source, "settings", body.get("settings", {}), stages),
        "presets": _presets(source, body.get("presets", {}), stages),
        "runs": _runs(source, body.get("runs", []), stages),
        "grid": _grid(source, body.get("grid", {}), stages),
    }


def _runs(source: str, body: Any, stages: list[str]) -> list[dict[str, Any]]:
    if not isinstance(body, list):
        raise _broken(source, "`runs` must be tables, each under [[runs]]")
    rows = [_table(source, "runs", row) for row in body]
    for row in rows:
        _check_keys(source, "[[runs]]", row, stages)
        if any(isinstance(value, dict | list) for value in row.values()):
            raise _broken(source, 'a setting in [[runs]] takes one value: "stage.key" = value')
    return rows


def _grid(source: str, body: Any, stages: list[str]) -> dict[str, list[Any]]:
    grid = _table(source, "grid", body)
    _check_keys(source, "[grid]", grid, stages)
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise _broken(source, f'[grid] takes lists: "{key}" = [value, value]')
    return grid


def _check_keys(source: str, where: str, row: Mapping[str, Any], stages: list[str]) -> None:
    for key in row:
        stage, dot, name = key.partition(".")
        if not dot or not name:
            raise _broken(source, f'{where} takes settings in quotes, "stage.key", not {key!r}')
        if stage not in stages:
            raise _broken(source, f"{where}: {key} is for no stage{nearest(stage, stages)}")


def _presets(source: str, body: Any, stages: list[str]) -> dict[str, dict[str, Any]]:
    presets = {}
    for slug, table in _table(source, "presets", body).items():
        where = f"presets.{slug}"
        plain = {
            key: value
            for key, value in _table(source, where, table).items()
            if not isinstance(value, Mapping)
        }
        _text(source, f"{where}.description", plain.setdefault("description", ""))
        tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
        presets[slug] = {**plain, **_stage_tables(source, where, tables, stages)}
    return presets


def _stage_tables(
    source: str, where: str, body: Any, stages: list[str]
) -> dict[str, dict[str, Any]]:
    tables = {}
    for stage, settings in _table(source, where, body).items():
        if stage not in stages:
            raise _broken(source, f"[{where}.{stage}] is for no stage{nearest(stage, stages)}")
        tables[stage] = _table(source, f"{where}.{stage}", settings)
    return tables


def _table(source: str, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _broken(source, f"`{where}` must be a table")
    return value


def _text(source: str, where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _broken(source, f"`{where}` must be text")
    return value


def _broken(source: str, what: str) -> UsageError:
    return UsageError(f"{source}: {what}")
