"""The text panes as toned lines: what happened, what the model wrote, what was saved. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tui.live.narrate import Line
from tui.live.state import LiveView, SampleText, SavedCheckpoint
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine

_STAGE_WIDTH = 10
_WRITTEN_WIDTH = 8


def happening(line: Line) -> ToneLine:
    """Return one narrated event: the time, the stage and the sentence."""
    return ToneLine(
        (
            Piece(f"{fmt.clock(line.t)} ", "quiet"),
            Piece(line.stage.ljust(_STAGE_WIDTH), "quiet"),
            Piece(line.text, line.tone),
        )
    )


def printed(lines: Sequence[str]) -> tuple[ToneLine, ...]:
    """Return what a worker printed, as it stands."""
    return tuple(ToneLine((Piece(line),)) for line in lines)


def heading(text: str) -> ToneLine:
    """Return a line that says where the following lines come from."""
    return ToneLine((Piece(text, "quiet"),))


def sample_lines(samples: Sequence[SampleText], glyphs: Glyphs) -> tuple[ToneLine, ...]:
    """Return every sample: where it was taken, the prompt and what the model made of it."""
    lines: list[ToneLine] = []
    place: tuple[str, float] | None = None
    for sample in samples:
        if place != (sample.stage, sample.step):
            place = (sample.stage, sample.step)
            lines.append(ToneLine((Piece(f"{sample.stage} step {sample.step:,.0f}", "active"),)))
        prompt = " ".join(sample.prompt.split())
        text = " ".join(sample.text.split())
        if text.startswith(prompt):
            text = text[len(prompt) :].lstrip()
        pieces = (Piece(f"{prompt} ", "strong"), Piece(f"{glyphs.arrow} ", "quiet"), Piece(text))
        lines.append(ToneLine(pieces))
    return tuple(lines)


def checkpoint_lines(checkpoints: Sequence[SavedCheckpoint]) -> tuple[ToneLine, ...]:
    """Return a table of checkpoints with its heading."""
    if not checkpoints:
        return ()
    head = f"{'stage':{_STAGE_WIDTH}}{'step':>8}  {'size':>10}  {'written':{_WRITTEN_WIDTH}}  path"
    return (heading(head), *(_checkpoint(item) for item in checkpoints))


def nothing_yet(pane: str, view: LiveView) -> tuple[ToneLine, ...]:
    """Return what an empty pane says."""
    if not view.num_records:
        return (heading("the run has not said anything yet"),)
    what = {
        "samples": "no samples yet: a model stage writes them every sample_every steps",
        "checkpoints": "no checkpoints yet: a model stage writes them every save_every steps",
    }
    return (heading(what.get(pane, "nothing yet")),)


def _checkpoint(item: SavedCheckpoint) -> ToneLine:
    return ToneLine(
        (
            Piece(f"{item.stage:{_STAGE_WIDTH}}{item.step:>8,.0f}", "strong"),
            Piece(f"  {fmt.size(item.num_bytes):>10}  {fmt.clock(item.t):{_WRITTEN_WIDTH}}"),
            Piece(f"  {item.path}", "quiet"),
        )
    )
