"""Names of what a run has: one meaning for filters, columns, sorting and grouping.

name state tag created elapsed ...    what every run has
base.depth, or depth                  a setting, in full or by its end where that is clear
base.loss, or loss                    a metric's last value; of the furthest stage that has it
min:loss max:loss best:loss           its extreme; "best" knows which way is better
loss@100                              its value at that step, or the last one before it
config:loss                           the setting, where a metric has the same name
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from runs.errors import UsageError, nearest
from runs.views.card import RunCard, is_higher_better

Value = float | str | bool | tuple[str, ...] | None
Kind = Literal["text", "texts", "number", "moment", "duration"]
Scope = Literal["any", "config", "last", "min", "max", "best"]
SCOPES: tuple[Scope, ...] = ("config", "last", "min", "max", "best")
_STEP = re.compile(r"(?P<name>.+)@(?P<step>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A name taken apart; `text` is how it was written."""

    text: str
    scope: Scope
    name: str
    step: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Something that every run has."""

    kind: Kind
    read: Callable[[RunCard], Value]
    about: str


class Absent:
    """The value of what a run does not have, which is not the same as a setting of null."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


def parse_key(text: str) -> Key:
    """Return a key taken apart, or raise UsageError."""
    prefix, colon, rest = text.partition(":")
    scope = next((known for known in SCOPES if colon and known == prefix), None)
    if colon and scope is None:
        raise UsageError(f"{text!r} begins with no known prefix{nearest(prefix, SCOPES)}")
    name = rest if scope else text
    found = _STEP.fullmatch(name)
    if found and scope in ("config", "min", "max", "best"):
        raise UsageError(f"{text!r}: a step goes with a metric's own value, as in loss@100")
    if not name:
        raise UsageError(f"{text!r} names nothing after the colon")
    return Key(
        text=text,
        scope=scope or "any",
        name=found["name"] if found else name,
        step=int(found["step"]) if found else None,
    )


def read(card: RunCard, key: Key) -> Value | Absent:
    """Return what a run has under a key, or ABSENT.

    Raises:
        UsageError: several settings end in this name and differ; they are named.
    """
    if key.step is not None:
        return _at_step(card, key.name, key.step)
    if key.scope == "any" and key.name in ATTRIBUTES:
        return ATTRIBUTES[key.name].read(card)
    if key.scope in ("any", "config"):
        found = _setting(card, key.name)
        if not isinstance(found, Absent) or key.scope == "config":
            return found
    return _figure(card, key)


def kind_of(key: Key) -> Kind | None:
    """Return the kind of an attribute; None for settings and metrics, whose values vary."""
    if key.scope == "any" and key.name in ATTRIBUTES:
        return ATTRIBUTES[key.name].kind
    return None


def known_keys(cards: Iterable[RunCard]) -> dict[str, str]:
    """Return every key that means something to one of the runs, with what it is."""
    known = {name: attribute.about for name, attribute in ATTRIBUTES.items()}
    full: dict[str, str] = {}
    for card in cards:
        full.update(dict.fromkeys(card.settings, "setting"))
        full.update(dict.fromkeys(card.figures, "metric"))
    for name, what in full.items():
        known.setdefault(name.partition(".")[2], what)
    return {**known, **full}


def check_key(key: Key, cards: Iterable[RunCard]) -> None:
    """Raise UsageError with the nearest names when a key means nothing to any of the runs."""
    if kind_of(key) is not None:
        return
    listed = list(cards)
    if listed and all(isinstance(read(card, key), Absent) for card in listed):
        raise UsageError(f"no run has {key.text!r}{nearest(key.name, known_keys(listed))}")


def text_of(value: Value) -> str:
    """Return a value as one would type it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, tuple):
        return " ".join(value)
    return "none" if value is None else str(value)


def _setting(card: RunCard, name: str) -> Value | Absent:
    settings = card.settings
    if name in settings:
        return _plain(settings[name])
    ending = f".{name}"
    found = {key: _plain(value) for key, value in settings.items() if key.endswith(ending)}
    if len(set(map(repr, found.values()))) > 1:
        listed = ", ".join(f"{key}={text_of(value)}" for key, value in list(found.items())[:4])
        raise UsageError(f"{name!r} has several values in {card.view.slug}: {listed}; name one")
    return next(iter(found.values()), ABSENT)


def _figure(card: RunCard, key: Key) -> Value | Absent:
    if key.name == "val_bpb" and key.scope in ("any", "last"):
        return ABSENT if card.view.val_bpb is None else card.view.val_bpb
    full = figure_key(card, key.name)
    if full is None:
        return ABSENT
    figures = card.figures[full]
    scope = key.scope
    if scope == "best":
        scope = "max" if is_higher_better(key.name) else "min"
    value = {"min": figures.min, "max": figures.max}.get(scope, figures.last)
    return ABSENT if value is None else value


def figure_key(card: RunCard, name: str) -> str | None:
    """Return the "stage.metric" that a name means: the furthest stage that has the metric."""
    if name in card.figures:
        return name
    ending = f".{name}"
    return next((key for key in reversed(list(card.figures)) if key.endswith(ending)), None)


def _at_step(card: RunCard, name: str, step: int) -> Value | Absent:
    import numpy as np

    full = figure_key(card, name)
    curve = None if full is None else card.curve(full)
    if curve is None:
        return ABSENT
    steps, values = curve
    index = int(np.searchsorted(steps, step, side="right")) - 1
    return ABSENT if index < 0 else float(values[index])


def _plain(value: object) -> Value:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list | tuple):
        return tuple(map(str, value))
    return str(value)


def _elapsed(card: RunCard) -> float | None:
    starts = [stage.started_s for stage in card.view.stages if stage.started_s is not None]
    begun = card.view.started_s or min(starts, default=None)
    if begun is None:
        return None
    return (card.now_s if card.view.ended_s is None else card.view.ended_s) - begun


def _recorded(card: RunCard, part: str, key: str) -> Value:
    if card.record is None:
        return None
    value = (card.record.git if part == "git" else card.record.host).get(key)
    return None if value is None else str(value)


def _gpus(card: RunCard) -> tuple[str, ...]:
    gpus = card.record.host.get("gpus") if card.record else None
    return tuple(str(gpu.get("name")) for gpu in gpus or () if isinstance(gpu, Mapping))


ATTRIBUTES: Mapping[str, Attribute] = {
    "name": Attribute(kind="text", read=lambda card: card.view.name, about="name"),
    "slug": Attribute(kind="text", read=lambda card: card.view.slug, about="slug"),
    "id": Attribute(kind="text", read=lambda card: card.view.run_id, about="identifier"),
    "recipe": Attribute(kind="text", read=lambda card: card.view.recipe, about="recipe"),
    "preset": Attribute(kind="text", read=lambda card: card.view.preset, about="preset"),
    "state": Attribute(kind="text", read=lambda card: card.view.state, about="state"),
    "stage": Attribute(kind="text", read=lambda card: card.view.stage, about="current stage"),
    "tag": Attribute(kind="texts", read=lambda card: card.view.tags, about="tags"),
    "note": Attribute(kind="texts", read=lambda card: card.view.notes, about="notes"),
    "problem": Attribute(kind="text", read=lambda card: card.view.problem, about="problem"),
    "alerts": Attribute(
        kind="number",
        read=lambda card: float(sum(stage.num_alerts for stage in card.view.stages)),
        about="number of alerts",
    ),
    "created": Attribute(kind="moment", read=lambda card: card.view.created_s, about="moment"),
    "started": Attribute(kind="moment", read=lambda card: card.view.started_s, about="moment"),
    "ended": Attribute(kind="moment", read=lambda card: card.view.ended_s, about="moment"),
    "age": Attribute(
        kind="duration",
        read=lambda card: card.now_s - card.view.created_s,
        about="time since it was created",
    ),
    "elapsed": Attribute(kind="duration", read=_elapsed, about="time from start to end"),
    "host": Attribute(
        kind="text", read=lambda card: _recorded(card, "host", "hostname"), about="machine"
    ),
    "gpu": Attribute(kind="texts", read=_gpus, about="GPU names"),
    "commit": Attribute(
        kind="text", read=lambda card: _recorded(card, "git", "sha"), about="git commit"
    ),
}
