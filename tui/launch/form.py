"""The form as it stands: what was filled in, which rows are shown, and which one is marked.

No widgets here.
"""

from __future__ import annotations

from tui.launch.draft import Draft
from tui.launch.examine import Examined
from tui.launch.fields import Field, FormLine, Offers, form_lines, nothing_found, run_fields
from tui.launch.rows import FormState, form_row
from tui.shell.glyphs import Glyphs
from tui.shell.tones import ToneLine


class Form:
    """A draft, and the rows through which it is seen."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.fields: tuple[Field, ...] = run_fields(Offers())
        self.lines: tuple[FormLine, ...] = ()
        self.key = self.fields[0].key
        self.examined: Examined | None = None
        self.is_changed_only = False

    @property
    def is_settled(self) -> bool:
        """Whether the plan that is known is that of the draft."""
        return self.examined is not None and self.examined.draft == self.draft

    @property
    def rows(self) -> list[Field]:
        """The rows that are shown, without their headings."""
        return [line for line in self.lines if isinstance(line, Field)]

    @property
    def marked(self) -> Field | None:
        """The marked row."""
        return self.field(self.key)

    def field(self, key: str) -> Field | None:
        """Return the row of a key, shown or not."""
        return next((item for item in self.fields if item.key == key), None)

    @property
    def place(self) -> int:
        """The place of the marked row among the lines; 0 where it is not shown."""
        places = (n for n, line in enumerate(self.lines) if self._is_marked(line))
        return next(places, 0)

    @property
    def choices(self) -> tuple[tuple[str, ...], bool]:
        """What the marked row may hold, and whether it may hold anything else."""
        marked = self.marked
        return ((), True) if marked is None else (marked.choices, marked.is_open)

    def drawn(self, width: int, glyphs: Glyphs) -> tuple[ToneLine, ...]:
        """Return the lines as they are drawn."""
        state = self.state()
        return tuple(
            form_row(line, state, width=width, is_cursor=self._is_marked(line), glyphs=glyphs)
            for line in self.lines
        )

    def state(self) -> FormState:
        """Return what the rows say."""
        examined = self.examined
        if examined is None:
            return FormState(draft=self.draft)
        # Until the new plan is there, a row that was changed since is not called wrong.
        problems = {
            key: told
            for key, told in examined.problems.items()
            if self.draft.texts.get(key) == examined.draft.texts.get(key)
        }
        return FormState(draft=self.draft, effective=examined.effective, problems=problems)

    def take_examined(self, examined: Examined) -> None:
        """Take what the draft comes to; its stages may have other rows."""
        self.examined = examined
        self.fields = examined.fields

    def lay_out(self, wanted: str) -> None:
        """Choose the lines, and mark the first row where the marked one is not among them."""
        changed = frozenset(self.draft.texts) if self.is_changed_only else None
        self.lines = form_lines(self.fields, wanted.partition("=")[0], changed=changed)
        rows = self.rows
        if rows and self.key not in {row.key for row in rows}:
            self.key = rows[0].key

    def move(self, by: int, *, is_group: bool) -> None:
        """Mark another row, or the first of another section or group."""
        rows = self.rows
        if not rows:
            return
        here = next((place for place, row in enumerate(rows) if row.key == self.key), 0)
        if is_group:
            places = [(row.group, row.section) for row in rows]
            starts = [n for n, place in enumerate(places) if n == 0 or places[n - 1] != place]
            ahead = [n for n in starts if n > here]
            behind = [n for n in starts if n < here]
            there = (ahead[:1] if by > 0 else behind[-1:]) or [here]
        else:
            there = [min(max(here + by, 0), len(rows) - 1)]
        self.key = rows[there[0]].key

    def summary(self, separator: str) -> str:
        """Return what is to be run, and how much of it was changed."""
        num_changed = len(self.draft.texts)
        told = f"{num_changed} changed" if num_changed else "as the preset has it"
        only = ", changed rows alone" if self.is_changed_only else ""
        return f"New run  {self.draft.what}  {separator}  {told}{only}"

    def nothing_shown(self, wanted: str) -> str:
        """Return why no row is shown."""
        if self.is_changed_only and not wanted:
            return "nothing is changed yet"
        return nothing_found(self.fields, wanted)

    def _is_marked(self, line: FormLine) -> bool:
        return isinstance(line, Field) and line.key == self.key
