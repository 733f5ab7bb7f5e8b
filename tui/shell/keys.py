"""How the tables of keys are written: a key a line, and nothing of it left out."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class KeyNames:
    """The keys of one view; `view` begins the id of each, "" where ids name what they act on."""

    view: str

    def key(
        self,
        keys: str,
        action: str,
        description: str,
        name: str,
        tooltip: str,
        *,
        is_shown: bool = False,
        display: str | None = None,
    ) -> Binding:
        """Return a key; one that is not shown in the footer stands in F1 and the palette alone."""
        return Binding(
            keys,
            action,
            description,
            show=is_shown,
            key_display=display,
            id=f"{self.view}.{name}" if self.view else name,
            tooltip=tooltip,
        )
