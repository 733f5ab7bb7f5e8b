"""The commands, options and values that a shell may complete, as one plain mapping.

Loads every command's module: made once and kept, see labcli.complete.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from typer.core import TyperGroup
from typer.main import get_command

from core.config import STAGE_CONFIGS
from labcli.lazy import LazyGroup, load
from labcli.tree import app
from runs.recipe import list_recipes, load_recipe

# What the metavar of a parameter says of its values.
_KINDS = {
    "RUN": "run", "RUN|HOST:RUN": "run", "A": "run", "B": "run", "DIR|RUN": "run",
    "DELETED": "trashed", "REF": "ref", "TOKENIZER": "ref", "PATH": "file",
    "FILTER": "filter", "KEY": "key", "FILE": "file", "DIR": "file", "SOURCE": "file",
}  # fmt: skip
_CHOICES = re.compile(r"[<\[(]?([a-z0-9][\w-]*(?:\|[a-z0-9][\w-]*)+)[>\])]?")


def build_index() -> dict[str, Any]:
    """Return the root: {"about", "options", "arguments", "commands"}, and so for each command."""
    return _node(get_command(app), "", _known_values())


def _node(command: Any, about: str, known: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    node: dict[str, Any] = {"about": about, "options": {}, "arguments": [], "commands": {}}
    for param in command.params:
        entry = _param(param, known)
        if param.param_type_name == "argument":
            node["arguments"].append(entry)
        else:
            node["options"].update(dict.fromkeys((*param.opts, *param.secondary_opts), entry))
    node["options"]["--help"] = {"is_flag": True, "about": "Show this message and exit."}
    if isinstance(command, LazyGroup):
        for name, place in command.table.items():
            node["commands"][name] = _node(load(place), place.summary, known)
    elif isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            node["commands"][name] = _node(child, child.get_short_help_str(), known)
    return node


def _param(param: Any, known: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    entry: dict[str, Any] = {"about": getattr(param, "help", None) or ""}
    if getattr(param, "is_flag", False):
        entry["is_flag"] = True
    if param.nargs == -1:
        entry["is_many"] = True
    metavar = (param.metavar or "").removesuffix("...").strip()
    if metavar in _KINDS:
        entry["kind"] = _KINDS[metavar]
    name = "PRESET" if param.name == "preset" else metavar
    choices = known.get(name) or _literal(param, metavar)
    if choices:
        entry["choices"] = choices
    return entry


def _literal(param: Any, metavar: str) -> Mapping[str, str]:
    """Return the values of a closed set."""
    match = _CHOICES.fullmatch(metavar)
    values = match[1].split("|") if match else _closed_set(param.type_descriptor.annotation)
    return dict.fromkeys(values, "")


def _closed_set(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return [value for inner in get_args(annotation) for value in _closed_set(inner)]


def _known_values() -> dict[str, Mapping[str, str]]:
    recipes = {name: load_recipe(name) for name in list_recipes()}
    presets = {name: "" for body in recipes.values() for name in body.get("presets", {})}
    stages = dict.fromkeys(STAGE_CONFIGS, "stage")
    return {
        "RECIPE|STAGE": {**dict.fromkeys(recipes, "recipe"), **stages},
        "STAGE": stages,
        "PRESET": {"auto": "what this machine has", **presets},
        "STAGE.KEY=VALUE": {
            f"{stage}.{spec.name}=": str(spec.metadata.get("help", ""))
            for stage, config in STAGE_CONFIGS.items()
            for spec in fields(config)
        },
    }
