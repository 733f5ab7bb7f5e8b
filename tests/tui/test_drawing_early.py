"""What a timer draws may come before the widget is there, or after it has left: neither may end
the app."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.widget import Widget

from core.tokenizer import Tokenizer
from labcli.tok.refs import NamedTokenizer
from tui.answering.answers import Answer
from tui.answering.chunks import Chunk
from tui.answering.columns import Lane
from tui.answering.models import ModelEntry
from tui.answering.sampling import TalkSettings
from tui.answering.talk import Turn
from tui.shell.glyphs import UNICODE
from tui.tokens.segmenting import Column, Vocabulary, look_at
from tui.widgets.arena_column import ArenaColumn, Standing
from tui.widgets.run_detail import RunDetail
from tui.widgets.token_column import TokenColumn
from tui.widgets.turn_view import TurnView

MODEL = ModelEntry(
    name="tiny:sft@12", run_id="0", run_name="tiny", stage="sft", step=12, state="finished",
    val_bpb=None, created_s=0.0, tags=(), is_newest=True,
)  # fmt: skip
SETTINGS = TalkSettings(temperature=0.6)


def answered() -> Answer:
    answer = Answer()
    answer.take(Chunk(text="said", token_id=5, entropy_nats=1.0))
    return answer


def column_of_tokens() -> Column:
    named = NamedTokenizer(name="bytes", source="bytes", tokenizer=Tokenizer([]))
    return look_at("seen", [Vocabulary("bytes", named, UNICODE)], "text").columns[0]


def text_of(widget: Widget) -> str:
    """Return what a widget that draws by lines shows."""
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


async def test_what_is_shown_before_its_widgets_are_there_is_drawn_when_they_are() -> None:
    arena = ArenaColumn(Lane(model=MODEL, settings=SETTINGS, answer=answered()), glyphs=UNICODE)
    tokens = TokenColumn(glyphs=UNICODE, number=0, name="bytes")
    turn = TurnView(
        Turn(text="asked", model=MODEL, settings=SETTINGS, answer=answered()), glyphs=UNICODE
    )
    app: App[None] = App()
    async with app.run_test(size=(60, 40)) as pilot:
        mounted = app.screen.mount(arena, tokens, turn)
        assert not arena.children
        arena.show(Standing(label="A"))
        tokens.show(column_of_tokens())
        await turn.grow("")
        await mounted
        await turn.grow("")
        await pilot.pause()
        assert "said" in text_of(arena.view)
        assert "4 tokens" in text_of(tokens.head) and "see" in text_of(tokens.view)
        assert turn.answer_text.source == "said"


@pytest.mark.parametrize("is_awaited", [False, True])
async def test_what_is_shown_when_its_widgets_leave_is_let_go(is_awaited: bool) -> None:
    arena = ArenaColumn(Lane(model=MODEL, settings=SETTINGS, answer=answered()), glyphs=UNICODE)
    turn = TurnView(
        Turn(text="asked", model=MODEL, settings=SETTINGS, answer=answered()), glyphs=UNICODE
    )
    app: App[None] = App()
    async with app.run_test(size=(60, 40)) as pilot:
        await app.screen.mount(arena, turn)
        removed = app.screen.remove_children()
        for _ in range(5):
            arena.show(Standing(label="A"))
            await turn.grow("")
            if is_awaited:
                await removed
        await pilot.pause()
        assert app.is_running


async def test_the_detail_of_a_run_is_left_alone_while_its_parts_are_not_there() -> None:
    detail = RunDetail(glyphs=UNICODE)
    app: App[None] = App()
    async with app.run_test(size=(60, 40)):
        states = []
        mounted = app.screen.mount(detail)
        states.append(detail.is_whole)
        detail.share_room(has_charts_pane=False)
        await mounted
        states.append(detail.is_whole)
        await detail.query("*").remove()
        states.append(detail.is_whole)
        detail.share_room(has_charts_pane=True)
    assert states == [False, True, False]
