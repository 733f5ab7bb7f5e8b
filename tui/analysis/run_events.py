"""The events of a run as rows, by kind. Pure."""

from __future__ import annotations

from functools import partial

from runs.events import EventRecord
from tui.analysis.rows import Row, heading, remark
from tui.analysis.run_page import RunPage
from tui.analysis.words import pretty
from tui.live.narrate import narrate
from tui.live.state import StageRecord
from tui.shell import format as fmt
from tui.shell.format import counted
from tui.shell.glyphs import Glyphs
from tui.shell.printable import printable
from tui.shell.tones import Piece, Tone, ToneLine

MAX_EVENTS = 300
# What a run says so often that it hides the rest.
NOISY = frozenset({"step", "heartbeat", "progress"})
NEWS = "news"
ALL = "all"


def event_kinds(page: RunPage) -> list[str]:
    """Return the filters that show something: news, all, then every kind that there is."""
    kinds = {one.record.kind for one in page.events}
    return [NEWS, ALL, *sorted(kinds)]


def events(page: RunPage, kind: str, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the events of one kind, newest last; news is all but steps and signs of life."""
    found = [one for one in page.events if _passes(one.record.kind, kind)]
    shown = found[-MAX_EVENTS:]
    what = {NEWS: "all but steps, progress and heartbeats", ALL: "every kind"}.get(kind, kind)
    rows = [heading(f"{counted(len(found), 'event')}", f"{what}; k and K choose another kind")]
    if len(shown) < len(found):
        rows.append(remark(f"the last {len(shown):,} of them", "warning"))
    if page.skipped_bytes:
        size = fmt.size(page.skipped_bytes)
        rows.append(remark(f"{size} in the middle of long logs is not shown", "warning"))
    if not found:
        rows.append(remark("none"))
    return [*rows, *(_event_row(one, width, glyphs) for one in shown)]


def _passes(kind: str, wanted: str) -> bool:
    return wanted == ALL or kind == wanted or (wanted == NEWS and kind not in NOISY)


def _event_row(one: StageRecord, width: int, glyphs: Glyphs) -> Row:
    record = one.record
    told = narrate(one.stage, one.rank, record)
    tone: Tone = told[-1].tone if told else "plain"
    text = told[-1].text if told else ", ".join(f"{k} {_brief(v)}" for k, v in record.data.items())
    text = printable(" ".join(text.split()))
    place = one.stage if not one.rank else f"{one.stage}#{one.rank}"
    if one.attempt > 1:
        place += f".a{one.attempt}"
    pieces = (
        Piece(f"{fmt.clock(record.t)} ", "quiet"),
        Piece(f"{glyphs.cut(place, 10):<10} ", "quiet"),
        Piece(f"{record.kind:<10} ", "strong"),
        Piece(glyphs.cut(text, max(width - 31, 10)), tone),
    )
    origin = f"events/{one.stage}.a{one.attempt}.r{one.rank}.jsonl"
    key = f"{origin}:{record.seq}"
    return Row(line=ToneLine(pieces), key=key, told=partial(_whole, record))


def _whole(record: EventRecord) -> str:
    data = {"seq": record.seq, "t": record.t, "kind": record.kind, **record.data}
    return printable(pretty(data))


def _brief(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return " ".join(f"{key}={_brief(item)}" for key, item in value.items())
    return str(value)
