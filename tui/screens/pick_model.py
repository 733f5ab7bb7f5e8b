"""Choosing a model: every checkpoint of the lab home, found as a person types."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from tui.answering.models import NO_MODELS, ModelEntry, list_models, search
from tui.screens.pick import PickScreen, bpb_text
from tui.shell import format as fmt


class PickModelScreen(PickScreen[ModelEntry, ModelEntry]):
    """The models; the result is the one that was chosen."""

    BINDING_GROUP_TITLE = "Models"
    HELP = "Type a part of a name, stage, tag or id; Enter takes the marked model."
    KIND = "model"
    PLACEHOLDER = "search: run, stage, step, tag"
    NOTHING = NO_MODELS

    def read_items(self) -> Sequence[ModelEntry]:
        """Return the models of all runs."""
        return list_models(self.home)

    def search(self, items: Sequence[ModelEntry], words: str) -> Sequence[ModelEntry]:
        """Return the models that hold every word, the newest first."""
        return search(items, words)

    def row(self, item: ModelEntry) -> Text:
        """Return the name, the kind, the quality, the state and the age of a model."""
        state = f"{self.glyphs.state(item.state)} {item.state}"
        age = fmt.age(self.clock() - item.created_s)
        kind = "text" if item.is_base else "chat"
        row = Text(no_wrap=True, overflow="ellipsis")
        row.append(f"{item.name:<36} ", "bold" if item.is_newest else "")
        row.append(f"{kind:<5}{bpb_text(item.val_bpb):<10}{state:<13}{age}", "dim")
        return row

    def chosen(self, item: ModelEntry) -> ModelEntry:
        """Return the model itself."""
        return item
