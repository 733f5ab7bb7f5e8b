"""HTML and SVG as values: whatever is not markup is escaped where it is put in. Pure.

Models write anything, so no text reaches a page but through `tag` or `text`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"meta", "br", "hr", "line", "rect", "circle", "path", "polyline", "polygon"})
Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is markup already and goes in as it is."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """Return an element; children that are not Markup are escaped.

    Attributes lose a trailing underscore (class_) and have hyphens for the others (stroke_width);
    None and False leave one out, True writes it without a value, numbers get two decimals.
    """
    written = "".join(
        _attribute(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """Return parts in a row; those that are not Markup are escaped."""
    return Markup(
        separator.join(part if isinstance(part, Markup) else text(part) for part in parts)
    )


def text(raw: str) -> Markup:
    """Return a text as markup that shows it."""
    return Markup(escape(shown(raw)))


def shown(raw: str) -> str:
    """Return a text in which what does not print is written out, such as \\x1b or \\u202e.

    Line breaks and tabs stay. Marks that turn the writing direction would move what surrounds
    them, control characters and halves of surrogate pairs do not belong into a file.
    """
    if raw.isprintable():
        return raw
    return "".join(
        char
        if char.isprintable() or char in "\n\t\u00a0\u200d"
        else char.encode("unicode_escape").decode("ascii")
        for char in raw
    )


def number(value: float) -> str:
    """Return a length or place of a drawing, with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _attribute(key: str, value: Attribute) -> str:
    if value is True:
        return f" {key}"
    written = number(value) if isinstance(value, int | float) else shown(str(value))
    return f' {key}="{escape(written)}"'
