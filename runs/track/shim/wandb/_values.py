"""What a script logs, taken apart: numbers by name, and values that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, SupportsFloat

_STEP_NAMES = ("step", "global_step", "trainer/global_step", "iteration", "iter")
_MAX_DEPTH = 8


def numbers(data: Mapping[Any, Any]) -> dict[str, float]:
    """Return the numbers of a logged mapping; nested names are joined by dots, as wandb does.

    Text, images, tables and what else is no number are left out.
    """
    return dict(_flat(data, "", 0))


def take_step(found: dict[str, float]) -> int | None:
    """Take the step that a script names among its metrics out of them, and return it.

    nanochat and many others log {"step": n, ...} without the argument `step`; counting the calls
    instead would give every curve the wrong axis.
    """
    for name in _STEP_NAMES:
        value = found.get(name)
        if value is not None and value >= 0 and value == int(value):
            return int(found.pop(name))
    return None


def jsonable(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it; what it cannot hold becomes its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth > _MAX_DEPTH:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [jsonable(item, depth + 1) for item in value]
    real = _number(value)
    return str(value) if real is None else real


def _flat(data: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, float]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if type(value) is float or type(value) is int:
            # The usual case first: a script logs in its loop.
            yield name, float(value)
            continue
        if isinstance(value, Mapping):
            if depth < _MAX_DEPTH:
                yield from _flat(value, f"{name}.", depth + 1)
            continue
        real = _number(value)
        if real is not None:
            yield name, real


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str | bytes) or not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except Exception:  # a tensor of several elements, or one whose device is gone
        return None
