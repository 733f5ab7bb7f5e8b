"""Values of settings, from TOML or the text of `--set`, as their field has them. Torch-free."""

from __future__ import annotations

import math
from typing import Any, Literal, get_origin

from runs.errors import UsageError

# How a message calls the type of a setting.
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def convert(name: str, value: Any, hint: Any) -> Any:
    """Return `value` as the type of a field; text is parsed, as it comes from `--set`."""
    if get_origin(hint) is tuple:
        return _convert_each(name, value, hint.__args__[0])
    choices = getattr(hint, "__args__", ())
    if type(None) in choices:
        if value is None or value in ("none", "null"):
            return None
        hint = next(kind for kind in choices if kind is not type(None))
        choices = getattr(hint, "__args__", ())
    words = [w for choice in choices if get_origin(choice) is Literal for w in choice.__args__]
    if words:
        if value in words:
            return value
        hint = next(choice for choice in choices if get_origin(choice) is not Literal)
        choices = ()
    if choices and all(isinstance(choice, str) for choice in choices):
        if value not in choices:
            raise UsageError(f"{name} is one of {', '.join(choices)}, not {value!r}")
        return value
    try:
        return _parse(value, hint)
    except (TypeError, ValueError, OverflowError):
        kind = " or ".join([_KINDS.get(hint, f"a value of type {hint.__name__}"), *words])
        raise UsageError(f"{name} takes {kind}, not {value!r}") from None


def _convert_each(name: str, value: Any, hint: Any) -> tuple[Any, ...]:
    """Return a field that holds several values; text separates them by commas."""
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",")]
    if not isinstance(value, list | tuple):
        value = [value]
    return tuple(convert(name, item, hint) for item in value)


def _parse(value: Any, hint: Any) -> Any:
    if hint is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if isinstance(value, bool):
            return value
        return words[str(value).lower()] if str(value).lower() in words else _fail()
    if isinstance(value, bool):
        return _fail()
    if hint is int:
        if isinstance(value, str):
            return int(value.replace("_", ""))
        return int(value) if value == int(value) else _fail()
    if hint is float:
        number = float(value)
        return number if math.isfinite(number) else _fail()
    return value if isinstance(value, hint) else _fail()


def _fail() -> Any:
    raise ValueError
