"""The rows of the launch form: the options of a run, then every setting of its stages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from core.config import STAGE_CONFIGS
from core.plan import StagePlan
from core.planning.request import STAGES_RECIPE
from core.settings.setting import StageConfig
from runs.errors import nearest
from tui.launch.draft import NO, RECIPE, YES
from tui.launch.sections import placed

RUN_GROUP = "run"
ABSENT = "none"
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row of the form.

    section: of its group; "" in a group that has none.
    default: the text that stands for no change; "" where there is nothing by default.
    choices: what can be taken; others are possible only where `is_open`.
    """

    key: str
    group: str
    name: str
    help: str
    kind: str
    section: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    is_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The line above a group: its name, and what it is for."""

    name: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionHeading:
    """The line above a section of a group."""

    name: str


FormLine = Field | Heading | SectionHeading


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What the option rows offer: names that exist."""

    recipes: tuple[str, ...] = (STAGES_RECIPE,)
    presets: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


def run_fields(offers: Offers) -> tuple[Field, ...]:
    """Return the options of a run."""
    named = (*offers.recipes, *STAGE_CONFIGS)
    switch, free = (NO, YES), ("last", *offers.runs)
    rows: tuple[tuple[str, str, str, str, tuple[str, ...], bool], ...] = (
        (RECIPE, STAGES_RECIPE, "a name", "A recipe, a recipe file, or one stage.", named, True),
        ("preset", "auto", "a name", "The settings for this kind of machine; auto looks at it.",
         ("auto", *offers.presets), False),
        ("from", "", "a reference", "Take missing inputs from this run: RUN[:STAGE][@STEP].",
         free, True),
        ("until", "", "a stage", "End after this stage.", offers.stages, False),
        ("only", "", "a stage", "Run this stage of the recipe alone.", offers.stages, False),
        ("name", "", "text", "What the run is called; empty: a name is made up.", (), True),
        ("tags", "", "words", "Tags, parted by spaces.", (), True),
        ("note", "", "text", "A note, kept beside the run.", (), True),
        ("seed", "", "a whole number", "Draw everything random from this seed, in all stages.",
         (), True),
        ("max_usd", "", "dollars", "Stop after a checkpoint when this is spent.", (), True),
        ("max_hours", "", "hours", "Stop after a checkpoint at this many hours.", (), True),
        ("usd_per_hour", "", "dollars", "Count this price of the machine, not the usual one.",
         (), True),
        ("queue", NO, "yes or no", "Wait for a free place, in the background.", switch, False),
        ("priority", "0", "a whole number", "In the queue: start before runs of a lower one.",
         (), True),
        ("needed", NO, "yes or no", "Start nothing that a finished run has done already.",
         switch, False),
        ("nproc", "", "a whole number", "Train on so many ranks; empty: one per GPU.", (), True),
        ("retries", "0", "a whole number", "Restart a stage that crashes, at most so many times.",
         (), True),
        ("on_stall", "wait", "a word", "What to do with a stage that hangs, after its autopsy.",
         ("wait", "restart"), False),
    )  # fmt: skip
    return tuple(
        Field(
            key=key, group=RUN_GROUP, name=key, help=text, kind=kind,
            default=default, choices=choices, is_open=is_open,
        )
        for key, default, kind, text, choices, is_open in rows
    )  # fmt: skip


def stage_fields(stages: Iterable[StagePlan]) -> tuple[Field, ...]:
    """Return every setting of some stages; the defaults are those of the recipe and preset."""
    rows: list[Field] = []
    for stage in stages:
        # Once for all fields: Python parses every annotation anew each time.
        hints, config = get_type_hints(type(stage.config)), stage.config
        specs = sorted(fields(config), key=lambda spec: placed(config, spec.name)[0])
        rows += [
            _setting_field(stage, spec.name, str(spec.metadata.get("help", "")), hints[spec.name])
            for spec in specs
        ]
    return tuple(rows)


def value_text(value: Any) -> str:
    """Return a setting as `--set` takes it."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(value_text, value))
    return str(value)


def effective_texts(stages: Iterable[StagePlan]) -> dict[str, str]:
    """Return what every setting of a plan is, by "stage.key"."""
    return {
        f"{stage.stage}.{spec.name}": value_text(getattr(stage.config, spec.name))
        for stage in stages
        for spec in fields(stage.config)
    }


def form_lines(
    all_fields: Sequence[Field], wanted: str, *, changed: frozenset[str] | None = None
) -> tuple[FormLine, ...]:
    """Return the rows whose key holds every wanted word, below the headings of their groups.

    Where no key does, the rows whose explanation does. changed: show no others than these.
    """
    words = wanted.lower().split()
    pool = [item for item in all_fields if changed is None or item.key in changed]
    found = [item for item in pool if all(word in _path(item) for word in words)]
    if not found:
        found = [item for item in pool if all(word in item.help.lower() for word in words)]
    lines: list[FormLine] = []
    before: Field | None = None
    for item in found:
        is_new = before is None or before.group != item.group
        if is_new:
            lines.append(Heading(name=item.group, about=_about(item.group)))
        if item.section and (is_new or before is None or before.section != item.section):
            lines.append(SectionHeading(name=item.section))
        lines.append(item)
        before = item
    return tuple(lines)


def nothing_found(all_fields: Sequence[Field], wanted: str) -> str:
    """Return the one line that says that no row is left, and which is the closest."""
    word = wanted.strip()
    return f"no setting holds {word!r}{nearest(word, {item.name for item in all_fields})}"


def _setting_field(stage: StagePlan, name: str, text: str, hint: Any) -> Field:
    parts = [part for part in get_args(hint) if part is not type(None)]
    is_optional = type(None) in get_args(hint)
    choices: tuple[str, ...] = ()
    if get_origin(hint) is tuple:
        kind = "values, parted by commas"
    elif parts and all(isinstance(part, str) for part in parts):
        kind, choices = "a word", tuple(parts)
    else:
        plain = parts[0] if parts else hint
        words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
        kind = ", or ".join([_KINDS.get(plain, "a value"), *words])
        choices = ("true", "false") if plain is bool else ()
    return Field(
        key=f"{stage.stage}.{name}",
        group=stage.stage,
        name=name,
        help=text,
        section=placed(stage.config, name)[1],
        kind=f"{kind}, or none" if is_optional else kind,
        default=value_text(getattr(stage.config, name)),
        choices=choices,
        is_open=not choices,
    )


def _path(item: Field) -> str:
    return item.key if "." in item.key else f"{RUN_GROUP}.{item.key}"


def _about(group: str) -> str:
    """Return what a group is for, from the docstring of its config."""
    if group == RUN_GROUP:
        return "what to run, under which name, on what terms"
    kind: Mapping[str, type[StageConfig]] = STAGE_CONFIGS
    text = (kind[group].__doc__ or "").splitlines()[0] if group in kind else ""
    return text.partition(": ")[2].rstrip(".")
