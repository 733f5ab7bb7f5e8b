"""The ids that keys can be given to in the settings, and which of the wanted ones exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from textual.binding import Binding
from textual.dom import DOMNode

from runs.errors import nearest


def binding_ids() -> frozenset[str]:
    """Return the ids of all bindings of the classes that have been imported by now."""
    return frozenset(
        binding.id
        for node in _descendants(DOMNode)
        for binding in node.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id is not None
    )


def split_keymap(
    wanted: Mapping[str, str], known: frozenset[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the keys of ids that exist, and a sentence for each id that does not."""
    usable = {name: keys for name, keys in wanted.items() if name in known}
    problems = tuple(
        f"no key is called {name!r}{nearest(name, known)}" for name in wanted if name not in known
    )
    return usable, problems


def _descendants(node: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for child in node.__subclasses__():
        yield child
        yield from _descendants(child)
