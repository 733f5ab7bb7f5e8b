"""The table of all runs; it shows as many columns as the terminal has room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import DataTable

from runs.query import RunView
from tui.live import present
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import TONE_CLASSES, TONE_CSS, Tone, state_tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: how wide it is, and from which table width on it is shown."""

    key: str
    title: str
    width: int
    is_number: bool = False
    min_table_width: int = 0


COLUMNS = (
    Column(key="mark", title="", width=2),
    Column(key="state", title="state", width=13),
    Column(key="name", title="run", width=20),
    Column(key="recipe", title="recipe", width=18, min_table_width=104),
    Column(key="stage", title="stage", width=11),
    Column(key="bar", title="progress", width=18, min_table_width=130),
    Column(key="done", title="done", width=5, is_number=True),
    Column(key="eta", title="ETA", width=8, is_number=True),
    Column(key="bpb", title="bpb", width=7, is_number=True),
    Column(key="speed", title="tok/s", width=7, is_number=True),
    Column(key="mfu", title="MFU", width=5, is_number=True),
    Column(key="age", title="age", width=6, is_number=True, min_table_width=90),
    Column(key="tags", title="  tags", width=30, min_table_width=160),
)
_BAR_WIDTH = 16
_SPARE_NAME_WIDTH = 16

Cell = tuple[str, Tone]


class RunsTable(DataTable[Text]):
    """Every run of the lab home, newest first."""

    BINDING_GROUP_TITLE = "Runs"
    HELP = """\
The runs of this lab home, newest first. Up and down move, Enter shows a run below.
The state is true: it comes from the run's own files and its processes, each second.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "select_cursor",
            "Open",
            show=False,
            id="runs.open",
            tooltip="Show the run under the cursor in the panes below.",
        ),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    DEFAULT_CSS = "RunsTable { " + TONE_CSS + "}"

    @dataclass
    class Opened(Message):
        """The person wants to see a run."""

        run_id: str

    runs: reactive[tuple[RunView, ...]] = reactive((), always_update=True)
    """The runs to list."""
    focused_run: reactive[str | None] = reactive(None)
    """The run that the panes below show."""
    now: float = 0.0
    """The time against which ages are counted; set before `runs`."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(
            cursor_type="row", cell_padding=0, id="runs", cursor_foreground_priority="renderable"
        )
        self._glyphs = glyphs
        self._shown: dict[str, dict[str, Cell]] = {}
        self._widths: dict[str, int] = {}

    def watch_runs(self) -> None:
        """Show the new state of every run, touching only what changed."""
        self._fill()

    def watch_focused_run(self) -> None:
        """Move the mark, and the cursor, to the focused run."""
        self._fill()
        if self.focused_run in self._shown:
            self.move_cursor(row=list(self._shown).index(self.focused_run))

    def on_resize(self, event: events.Resize) -> None:
        """Choose the columns that fit."""
        self._fill()

    @on(DataTable.RowSelected)
    def open_row(self, event: DataTable.RowSelected) -> None:
        """Tell which run was chosen."""
        event.stop()
        if event.row_key.value is not None:
            self.post_message(self.Opened(event.row_key.value))

    def _fill(self) -> None:
        widths = self._fitting_widths()
        rows = {run.run_id or run.path.name: self._cells(run) for run in self.runs}
        if widths != self._widths or list(rows) != list(self._shown):
            self._rebuild(widths, rows)
        else:
            self._update(rows)
        self._shown = rows

    def _rebuild(self, widths: dict[str, int], rows: dict[str, dict[str, Cell]]) -> None:
        selected = self._cursor_run()
        self.clear(columns=True)
        self._widths = widths
        for column in COLUMNS:
            if column.key in widths:
                justify: Literal["left", "right"] = "right" if column.is_number else "left"
                title = Text(column.title, justify=justify)
                self.add_column(title, width=widths[column.key], key=column.key)
        for run_id, cells in rows.items():
            self.add_row(*(self._text(key, cells[key]) for key in widths), key=run_id)
        if selected in rows:
            self.move_cursor(row=list(rows).index(selected))

    def _update(self, rows: dict[str, dict[str, Cell]]) -> None:
        for run_id, cells in rows.items():
            for key in self._widths:
                if cells[key] != self._shown[run_id][key]:
                    self.update_cell(run_id, key, self._text(key, cells[key]))

    def _cursor_run(self) -> str | None:
        known = list(self._shown)
        if self.is_valid_row_index(self.cursor_row) and self.cursor_row < len(known):
            return known[self.cursor_row]
        return self.focused_run

    def _fitting_widths(self) -> dict[str, int]:
        room = self.size.width
        widths = {item.key: item.width for item in COLUMNS if item.min_table_width <= room}
        spare = room - sum(widths.values()) - 1
        widths["name"] += min(max(spare, 0), _SPARE_NAME_WIDTH)
        if "tags" in widths:
            widths["tags"] = max(widths["tags"], room - sum(widths.values()) + widths["tags"] - 2)
        return widths

    def _cells(self, run: RunView) -> dict[str, Cell]:
        glyphs, share = self._glyphs, present.run_share(run)
        tone = state_tone(run.state)
        is_focused = self.focused_run == (run.run_id or run.path.name)
        recipe = f"{run.recipe}/{run.preset}" if run.preset else run.recipe
        return {
            "mark": (glyphs.cursor if is_focused else "", "active"),
            "state": (f"{glyphs.state(run.state)} {run.state}", tone),
            "name": (run.name or run.slug or run.path.name, "strong" if is_focused else "plain"),
            "recipe": (recipe, "quiet"),
            "stage": (run.stage or "", "plain"),
            "bar": ("" if share is None else glyphs.bar(share, _BAR_WIDTH), tone),
            "done": ("" if share is None else fmt.percent(share), "plain"),
            "eta": (present.run_eta(run), "plain"),
            "bpb": (fmt.decimal(run.val_bpb), "plain"),
            "speed": (fmt.compact(present.last_metric(run, "tok_per_sec")), "plain"),
            "mfu": (fmt.percent(present.last_metric(run, "mfu")), "plain"),
            "age": (fmt.age(self.now - run.created_s), "quiet"),
            "tags": ("  " + " ".join(run.tags), "quiet"),
        }

    def _text(self, key: str, cell: Cell) -> Text:
        value, tone = cell
        column = next(column for column in COLUMNS if column.key == key)
        room = self._widths[key] - (0 if column.is_number else 1)
        toned = self.get_component_rich_style(f"tone--{tone}")
        # Without a background of its own, the cell shows that of the cursor.
        style = Style(color=toned.color, bold=toned.bold)
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        return Text(self._glyphs.cut(value, room), style, justify=justify, no_wrap=True)
