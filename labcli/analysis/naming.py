"""How several runs are told apart in one table, and how wide that table may be."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from runs.errors import UsageError
from runs.paths import LabHome
from runs.record import load_record
from runs.views.card import RunCard, load_card

# What a file or a pipe gets: nobody scrolls sideways there.
UNLIMITED_COLUMNS = 200


def load_several(home: LabHome, refs: Sequence[str], *, least: int, command: str) -> list[RunCard]:
    """Return the runs that were named, each once, or raise UsageError for too few of them."""
    cards = [load_card(home, ref) for ref in refs]
    for card in cards:
        # A run that cannot be read is listed, but there is nothing in it to compare.
        load_record(card.view.path)
    slugs = [card.view.slug for card in cards]
    twice = next((slug for slug in slugs if slugs.count(slug) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice; {command} takes different runs")
    if len(cards) < least:
        raise UsageError(f"{command} takes at least {least} runs; name another one after {refs[0]}")
    return cards


def table_width() -> int:
    """Return how many columns a table may take: those of the terminal, where there is one."""
    return shutil.get_terminal_size((UNLIMITED_COLUMNS, 24)).columns
