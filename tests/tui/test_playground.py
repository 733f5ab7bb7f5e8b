"""The tokenizer playground as a person meets it: real tokenizers, real keys, the screen's text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from core.tokenizer import Tokenizer
from core.vocab.sources import find_sources
from core.vocab.training import train_tokenizer
from labcli.tok.catalogue import vocabularies
from labcli.tok.refs import NamedTokenizer
from runs.errors import UsageError
from runs.paths import LabHome
from tests.tui.frames import frame, until, until_text
from tui.app import LabApp
from tui.screens.pick_tokenizers import TokenizerPicker
from tui.screens.playground import PlaygroundScreen
from tui.screens.playground_work import IDS_FILE
from tui.shell.environment import Environment
from tui.shell.glyphs import ASCII, UNICODE, Glyphs
from tui.tokens.conversation_text import parse_conversation
from tui.tokens.rows import Cells, row_layout
from tui.tokens.segmenting import LENSES, Vocabulary, look_at
from tui.views import Opening
from tui.widgets.text_editor import MAX_EDIT_CHARS
from tui.widgets.token_view import TokenView

TEXT = "the cat sat on the mat; the hat that the cat has is the cat's hat. " * 20


def trained(directory: Path, name: str, text: str, vocab_size: int) -> Tokenizer:
    """Train a small tokenizer on a text."""
    source = directory / f"{name}.txt"
    source.write_text(text)
    made = train_tokenizer(find_sources([str(source)]), vocab_size=vocab_size)
    assert made is not None
    return made.tokenizer


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabHome:
    """A lab home with two saved tokenizers, one of which knows nothing but bytes and a merge."""
    root = tmp_path_factory.mktemp("lab")
    home = LabHome(root / "home")
    for name, text, vocab_size in (("cats", TEXT, 300), ("plain", "th" * 9, 266)):
        trained(root, name, text, vocab_size).save(home.tokenizers_dir / f"{name}.json")
    return home


def app_on(
    lab: LabHome, *tokenizers: str, file: Path | None = None, glyphs: Glyphs = UNICODE
) -> LabApp:
    """Return the app with the playground open."""
    opening = Opening(
        home=lab,
        environment=Environment(glyphs=glyphs, frames_per_s=50.0),
        vocabularies=vocabularies(lab),
        tokenizers=tokenizers or ("cats",),
        file=file,
    )
    return LabApp(opening, view="playground")


def playground(app: LabApp) -> PlaygroundScreen:
    """Return the playground below whatever is open."""
    return next(screen for screen in app.screen_stack if isinstance(screen, PlaygroundScreen))


async def shown(pilot: Pilot[None], app: LabApp, text: str | None = None) -> PlaygroundScreen:
    """Wait for the tokens of a text, and return the playground."""
    await until(pilot, lambda: any(isinstance(s, PlaygroundScreen) for s in app.screen_stack))
    screen = playground(app)
    await until(pilot, lambda: screen.is_settled)
    if text is not None:
        screen.editor.load_text(text)
        await until(pilot, lambda: screen.is_settled and data_of(screen) == text.encode())
    return screen


def data_of(screen: PlaygroundScreen) -> bytes:
    """Return the text that the tokens on the screen are of."""
    return screen.look.columns[0].rows.data if screen.look and screen.look.columns else b""


def offset_of(view: TokenView) -> int:
    """Return the byte of the text at which the token under the cursor begins."""
    return -1 if view.column is None else int(view.column.rows.starts[view.cursor])


async def test_tokens_follow_the_text_as_it_is_typed(lab: LabHome) -> None:
    app = app_on(lab)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app, "")
        await pilot.press(*"the cat")
        await until(pilot, lambda: screen.is_settled and data_of(screen) == b"the cat")
        await until_text(pilot, app, f"the{UNICODE.space}cat")
        tokenizer = screen.look.columns[0].vocabulary.tokenizer if screen.look else None
        assert tokenizer is not None
        await until_text(pilot, app, f"{len(tokenizer.encode('the cat'))} tokens")


async def test_the_cursor_tells_id_bytes_place_and_merges(lab: LabHome) -> None:
    app = app_on(lab)
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await shown(pilot, app, "the cat")
        await pilot.press("tab", "end")
        column = screen.look.columns[0] if screen.look else None
        assert column is not None
        last = column.rows.num_tokens - 1
        await until_text(pilot, app, f"token {last} of {last + 1}")
        text = "\n".join(frame(app))
    for expected in (str(column.rows.ids[last]), "20 63 61 74", "bytes 3 to 7", "merge tree"):
        assert expected in text
    assert '" cat"' in text


async def test_tokenizers_stand_side_by_side_with_their_first_difference(lab: LabHome) -> None:
    app = app_on(lab, "cats", "plain")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app, "zz the cat")
        await until_text(pilot, app, "the first at byte 2")
        await until(pilot, lambda: any("cats" in line and "plain" in line for line in frame(app)))
        await pilot.press("tab", "n")
        views = list(screen.query(TokenView))
        await until(pilot, lambda: [offset_of(view) for view in views] == [2, 2])


async def test_a_megabyte_is_pasted_as_tokens_and_a_new_text_can_be_begun(lab: LabHome) -> None:
    app = app_on(lab)
    pasted = (TEXT * 800)[:1_000_000]
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app)
        screen.editor.post_message(events.Paste(pasted))
        await until(pilot, lambda: screen.is_settled and len(data_of(screen)) == 1_000_000)
        await until_text(pilot, app, "shown as tokens and not edited")
        view = screen.query_one(TokenView)
        await until(pilot, lambda: view.virtual_size.height > 1000)
        assert len(screen.editor.text) < MAX_EDIT_CHARS
        await pilot.press("end")
        await until_text(pilot, app, "bytes 999,99")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.is_settled and data_of(screen) == b"")
        assert screen.editor.has_focus


async def test_the_conversation_lens_shows_what_is_learned(lab: LabHome) -> None:
    app = app_on(lab)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app, "user: hi\nassistant: cat\n")
        await pilot.press("ctrl+l")
        await until_text(pilot, app, "<|assistant_start|>")
        await until_text(pilot, app, "learned")
        rows = screen.look.columns[0].rows if screen.look else None
        assert rows is not None and rows.learned is not None
        learned = b"".join(rows.token(at) for at in np.flatnonzero(rows.learned).tolist())
        assert learned == b"cat<|assistant_end|>"
        screen.editor.load_text("assistant: hi")
        await until_text(pilot, app, "'user' must speak")


async def test_the_languages_lens_compares_every_language_with_english(lab: LabHome) -> None:
    app = app_on(lab, "cats", "plain")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app)
        await pilot.press(*["ctrl+l"] * LENSES.index("languages"))
        await until(pilot, lambda: screen.languages.row_count > 30)
        rows = [
            [cell.plain.strip() for cell in screen.languages.get_row_at(at)]
            for at in range(screen.languages.row_count)
        ]
        english = next(row for row in rows if row[0] == "English")
        assert (english[2], english[4]) == ("1.00", "1.00")
        premiums = [float(row[2]) for row in rows]
        assert premiums == sorted(premiums, reverse=True)
        await until_text(pilot, app, rows[0][0])


async def test_another_tokenizer_is_picked_from_the_list_or_by_its_name(lab: LabHome) -> None:
    app = app_on(lab)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app)
        await pilot.press("ctrl+t")
        await until_text(pilot, app, "[x] cats")
        assert isinstance(app.screen, TokenizerPicker)
        await pilot.press("down", "space")
        await until_text(pilot, app, "[x] plain")
        app.screen.query_one(Input).value = "nothing-of-this-name"
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.query(TokenView)) == 2)
        await until(
            pilot, lambda: bool(screen.look and len(screen.look.columns) == 2 and data_of(screen))
        )
        columns = screen.look.columns if screen.look else ()
        assert [column.vocabulary.name for column in columns] == ["cats", "plain"]


async def test_without_any_tokenizer_the_screen_says_why(lab: LabHome) -> None:
    app = app_on(lab, "cast")
    async with app.run_test(size=(80, 24)) as pilot:
        await until_text(pilot, app, "no tokenizer or run matches 'cast'")
        await until_text(pilot, app, "Ctrl+T")


async def test_a_file_is_opened_and_its_ids_are_copied_to_a_file(
    lab: LabHome, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"the cat \xff")
    app = app_on(lab, file=path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await shown(pilot, app)
        await until(pilot, lambda: data_of(screen) == "the cat \N{REPLACEMENT CHARACTER}".encode())
        await pilot.press("ctrl+s")
        await until_text(pilot, app, "sent to the terminal")
        ids = [int(number) for number in (lab.root / IDS_FILE).read_text().split()]
        column = screen.look.columns[0] if screen.look else None
        assert column is not None
        assert column.vocabulary.tokenizer.decode_bytes(ids) == data_of(screen)


async def test_control_characters_are_shown_as_escapes_and_never_sent(
    lab: LabHome, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.txt"
    path.write_bytes(b"the \x1b]0;owned\x07 cat\r")
    app = app_on(lab, file=path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app)
        await until(pilot, lambda: screen.is_settled and data_of(screen) == path.read_bytes())
        await until_text(pilot, app, "\\x1b]0;owned\\x07")
        await until_text(pilot, app, "not edited")
        assert "\x1b" not in screen.editor.text


async def test_ascii_terminals_get_ascii_only(lab: LabHome) -> None:
    app = app_on(lab, "cats", "plain", glyphs=ASCII)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, app, "the\tcat\n")
        await until_text(pilot, app, "\\tcat\\n")
        assert all(line.isascii() for line in frame(app))


@pytest.mark.parametrize("columns", [1, 7, 80])
def test_rows_hold_every_token_once_and_end_with_the_line(columns: int) -> None:
    tokenizer = Tokenizer([(116, 104)])
    text = "the\n\nthing is that\nthe end"
    look = look_at(text, [vocabulary_of(tokenizer)], "text")
    column = look.columns[0]
    widths, is_last = column.vocabulary.cells.measure(column.rows.ids)
    layout = row_layout(widths, is_last, columns)
    spans = [layout.span(row) for row in range(layout.num_rows)]
    assert [at for first, end in spans for at in range(first, end)] == list(range(len(widths)))
    for first, end in spans:
        assert widths[first:end].sum() <= columns or end == first + 1
        assert not is_last[first : end - 1].any()
        assert all(layout.row_of(at) == spans.index((first, end)) for at in range(first, end))


def test_cells_show_white_space_and_bytes_that_are_no_text() -> None:
    tokenizer = Tokenizer([])
    cells = Cells(tokenizer, UNICODE)
    texts = [cells.text(byte) for byte in (0x20, 0x0A, 0x09, 0xFF, 0x1B, 0x5C)]
    assert texts == [
        UNICODE.space, UNICODE.line_feed, UNICODE.tab, "\\xff", "\\x1b", "\\\\",
    ]  # fmt: skip


def test_conversations_are_read_from_lines_and_from_json() -> None:
    lines = parse_conversation("system: Be brief.\nuser: Hi\nthere\nassistant: Yes\n")
    assert lines == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi\nthere"},
        {"role": "assistant", "content": "Yes"},
    ]
    assert parse_conversation("just text") == [{"role": "user", "content": "just text"}]
    assert parse_conversation('{"messages": [{"role": "user", "content": "x"}]}') == [
        {"role": "user", "content": "x"}
    ]
    with pytest.raises(UsageError, match="no JSON"):
        parse_conversation("[1")


def test_a_special_name_in_a_text_is_told_to_be_plain_text() -> None:
    look = look_at("say <|bos|> twice", [vocabulary_of(Tokenizer([]))], "text")
    assert "<|bos|> in a text is plain text" in look.remark
    assert not look.columns[0].rows.is_special.any()


async def test_names_of_special_tokens_can_be_read_as_the_tokens(lab: LabHome) -> None:
    app = app_on(lab)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, app, "the\u00e9<|bos|>cat")
        await until_text(pilot, app, "Ctrl+G reads it as a special token")
        await pilot.press("ctrl+g")
        await until_text(pilot, app, "stand for special tokens")
        rows = screen.look.columns[0].rows if screen.look else None
        assert rows is not None
        assert [rows.token(at) for at in np.flatnonzero(rows.is_special).tolist()] == [b"<|bos|>"]
        assert rows.data == "the\u00e9<|bos|>cat".encode()
        await pilot.press("tab", "end", "left")
        await until_text(pilot, app, "of " + str(rows.num_tokens))


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Return a tokenizer as the playground holds it."""
    named = NamedTokenizer(name="test", source="test", tokenizer=tokenizer)
    return Vocabulary("test", named, UNICODE)
