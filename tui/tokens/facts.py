"""Everything the playground says of one token, as toned lines. May take tens of milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

from core.inspection.apart import why_apart
from core.inspection.merges import MAX_WORD_BYTES, merge_steps, merge_tree, pieces_after
from core.inspection.visible import visible
from tui.shell.glyphs import ASCII_TREE, UNICODE_TREE, Glyphs
from tui.shell.tones import Piece, Tone, ToneLine
from tui.tokens.segmenting import Column
from tui.tokens.vocabularies import CorpusCounts
from tui.tokens.words import apart_text, brief, tree_lines

_LABEL_WIDTH = 8
_MAX_HEX_BYTES = 24
# A list of merges grows with the square of the word.
_MAX_STEPS_BYTES = 64


def token_lines(
    column: Column, index: int, counts: CorpusCounts | None, glyphs: Glyphs
) -> tuple[ToneLine, ...]:
    """Return what is known of token `index` of a column: names, place, count, tree, merges."""
    return (
        *_identity(column, index),
        *_place(column, index),
        *_occurrence(column, index, counts),
        *_tree(column, index, glyphs),
        *_steps(column, index),
    )


def _identity(column: Column, index: int) -> Iterator[ToneLine]:
    rows = column.rows
    data, token_id = rows.token(index), int(rows.ids[index])
    head = f"{brief(data)}"
    place = f"  token {index:,} of {rows.num_tokens:,}"
    yield ToneLine((Piece(head, "active"), Piece(place, "quiet")))
    if rows.is_special[index]:
        yield _fact("id", f"{token_id}, a special token: no text makes it")
    else:
        yield _fact("id", f"{token_id}, which is its rank", "strong")
    more = " ..." if len(data) > _MAX_HEX_BYTES else ""
    yield _fact("bytes", f"{len(data)}: {data[:_MAX_HEX_BYTES].hex(' ')}{more}")


def _place(column: Column, index: int) -> Iterator[ToneLine]:
    rows, explained = column.rows, column.explained
    cut = rows.cuts_character[index]
    utf8 = "  cuts a character: no UTF-8 alone" if cut else "  valid UTF-8"
    span = f"bytes {rows.starts[index]:,} to {rows.ends[index]:,}"
    tone: Tone = "warning" if cut else "quiet"
    yield ToneLine((_label("place"), Piece(span), Piece(utf8, tone)))
    if rows.learned is not None:
        is_learned = bool(rows.learned[index])
        told = "learned: it has a loss" if is_learned else "not learned: context alone"
        yield _fact("mask", told, "good" if is_learned else "quiet")
    if explained is not None:
        reason = why_apart(column.vocabulary.tokenizer, explained, index)
        yield _fact("ends by", apart_text(reason))


def _occurrence(column: Column, index: int, counts: CorpusCounts | None) -> Iterator[ToneLine]:
    if counts is None or column.rows.is_special[index]:
        return
    count, total = int(counts.counts[column.rows.ids[index]]), int(counts.counts.sum())
    share = f", 1 in {total / count:,.0f} tokens" if count else ""
    yield _fact("corpus", f"{count:,} times in {counts.corpus}{share}")


def _tree(column: Column, index: int, glyphs: Glyphs) -> Iterator[ToneLine]:
    root = merge_tree(column.vocabulary.tokenizer, int(column.rows.ids[index]))
    if root.left is None:
        return
    yield ToneLine((Piece("merge tree", "quiet"),))
    for line in tree_lines(root, ASCII_TREE if glyphs.is_ascii else UNICODE_TREE):
        yield ToneLine((Piece(f"  {line}"),))


def _steps(column: Column, index: int) -> Iterator[ToneLine]:
    explained = column.explained
    if explained is None:
        return
    word = explained.data[slice(*explained.word_span(int(explained.words[index])))]
    if not 1 < len(word) <= min(_MAX_STEPS_BYTES, MAX_WORD_BYTES):
        return
    steps = merge_steps(column.vocabulary.tokenizer, word)
    if not steps:
        return
    yield ToneLine((Piece(f"merges of {brief(word)}, in order", "quiet"),))
    for number, step in enumerate(steps, start=1):
        pieces = "|".join(map(visible, pieces_after(word, steps[:number])))
        yield ToneLine((Piece(f"  {number:>2} rank {step.rank:<7}", "quiet"), Piece(pieces)))


def _fact(label: str, text: str, tone: Tone = "plain") -> ToneLine:
    return ToneLine((_label(label), Piece(text, tone)))


def _label(label: str) -> Piece:
    return Piece(label.ljust(_LABEL_WIDTH), "quiet")
