"""What `labcli tok explain` writes: a text, one token, an id of the vocabulary, a conversation."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from core.inspection.apart import why_apart
from core.inspection.conversation import conversation_tokens
from core.inspection.explained import Explained, explain_text
from core.inspection.merges import merge_tree
from core.inspection.nearest import NearToken, nearest_tokens
from labcli import diagnostics
from labcli.output import emit, emit_json, stdout_columns
from labcli.text.cells import cut
from labcli.tok import objects
from labcli.tok.given import is_coloured
from labcli.tok.refs import NamedTokenizer
from labcli.tok.views import (
    conversation_table,
    facts_text,
    near_table,
    ribbon,
    steps_table,
    summary_line,
    token_table,
)
from runs.errors import UsageError
from tui.shell.environment import read_environment
from tui.shell.format import counted
from tui.shell.glyphs import ASCII_TREE, UNICODE_TREE, TreeGlyphs
from tui.tokens.words import apart_text, brief, tree_lines

# A text of more tokens is told as arrays in JSON: trees for all of them would be no help.
MAX_DETAILED_TOKENS = 256
# Trees and steps are shown unasked for no more than this: they take many lines.
MAX_TREES = 6
MAX_WORDS_WITH_STEPS = 6
RIBBON_LINES = 6
# A table of steps grows with the square of the word.
MAX_STEPS_BYTES = 1000
MAX_HEX_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of a text or token is wanted."""

    has_steps: bool
    num_near: int
    limit: int
    has_boxes: bool
    is_json: bool


def show_text(named: NamedTokenizer, text: str, index: int | None, asked: Asked) -> None:
    """Write the tokens of a text, or token `index` of it alone."""
    explained = explain_text(named.tokenizer, text)
    if index is not None and index >= explained.num_tokens:
        raise UsageError(f"there is no token {index}; the text has {explained.num_tokens}")
    if asked.is_json:
        _write_text_json(named, explained, index, asked)
    elif index is not None:
        emit(_one_token(named, explained, index, asked))
    else:
        emit(_whole_text(named, explained, asked))
        if explained.num_tokens > asked.limit:
            diagnostics.say(
                f"{asked.limit} of {explained.num_tokens:,} tokens shown; "
                "--limit N, --token N or --json show more"
            )


def _write_text_json(
    named: NamedTokenizer, explained: Explained, index: int | None, asked: Asked
) -> None:
    body = objects.text_object(named.name, named.source, named.tokenizer, explained)
    is_detailed = index is not None or explained.num_tokens <= MAX_DETAILED_TOKENS
    if is_detailed:
        wanted = range(explained.num_tokens) if index is None else (index,)
        body["text"] = explained.text if index is None else None
        body["tokens"] = [
            objects.token_object(named.tokenizer, explained, number) for number in wanted
        ]
    else:
        body |= objects.arrays_object(explained)
    if asked.has_steps:
        body["words"] = [
            objects.steps_object(named.tokenizer, word) for word in _words(explained, index)
        ]
    if asked.num_near:
        data = explained.data if index is None else explained.token(index)
        body["near"] = objects.near_objects(_near(named, data, asked))
    if is_detailed:
        emit_json(body)
    else:
        # On one line: a million numbers would be as many lines, and take ten times as long.
        emit(json.dumps(body, ensure_ascii=False, separators=(",", ":")))


def _whole_text(named: NamedTokenizer, explained: Explained, asked: Asked) -> str:
    parts = [summary_line(explained, named.name, named.tokenizer.vocab_size)]
    shown = range(min(explained.num_tokens, asked.limit))
    if shown:
        # Every token takes a cell at least, so no more of them than cells are ever shown.
        num_cells = RIBBON_LINES * (stdout_columns() or 80)
        tokens = [explained.token(at) for at in range(min(explained.num_tokens, num_cells))]
        parts.append(
            ribbon(
                tokens,
                columns=stdout_columns() or 80,
                num_lines=RIBBON_LINES,
                is_coloured=is_coloured(),
            )
        )
        parts.append(token_table(named.tokenizer, explained, shown, stdout_columns()))
    if explained.num_tokens <= MAX_TREES:
        trees = [_tree(named, int(token_id), asked) for token_id in dict.fromkeys(explained.ids)]
        parts.extend(tree for tree in trees if tree)
    if asked.has_steps:
        for word in _words(explained, None):
            parts.append(steps_table(named.tokenizer, word, stdout_columns()))
    if asked.num_near:
        parts.append(near_table(_near(named, explained.data, asked), stdout_columns()))
    return "\n\n".join(parts)


def _one_token(named: NamedTokenizer, explained: Explained, index: int, asked: Asked) -> str:
    tokenizer = named.tokenizer
    word = explained.data[slice(*explained.word_span(int(explained.words[index])))]
    facts = [
        ("token", f"{index} of {explained.num_tokens:,}"),
        ("text", brief(explained.token(index))),
        ("id, rank", str(explained.ids[index])),
        ("bytes", _hex(explained.token(index))),
        ("place", f"bytes {explained.starts[index]} to {explained.ends[index]}"),
        ("UTF-8", "cuts a character" if explained.cuts_character[index] else "valid by itself"),
        ("word", f"{explained.words[index]}: {brief(word)}"),
    ]
    if index:
        before = why_apart(tokenizer, explained, index - 1)
        facts.append(("before it", apart_text(before)))
    facts.append(("after it", apart_text(why_apart(tokenizer, explained, index))))
    parts = [facts_text(facts, stdout_columns())]
    parts.append(_tree(named, int(explained.ids[index]), asked, always=True))
    if asked.has_steps:
        parts.append(steps_table(tokenizer, word, stdout_columns()))
    if asked.num_near:
        near = _near(named, explained.token(index), asked)
        parts.append(near_table(near, stdout_columns()))
    return "\n\n".join(parts)


def show_id(named: NamedTokenizer, token_id: int, asked: Asked) -> None:
    """Write one id of the vocabulary."""
    data = named.tokenizer.token_bytes(token_id)
    near = _near(named, data, asked) if asked.num_near else ()
    if asked.is_json:
        body: dict[str, Any] = {
            "tokenizer": named.name,
            "source": named.source,
            **objects.bytes_object(token_id, data),
            "tree": objects.tree_object(merge_tree(named.tokenizer, token_id)),
        }
        if asked.has_steps:
            body["words"] = [objects.steps_object(named.tokenizer, data)]
        if asked.num_near:
            body["near"] = objects.near_objects(near)
        emit_json(body)
        return
    parts = [_tree(named, token_id, asked, always=True)]
    if asked.has_steps:
        parts.append(steps_table(named.tokenizer, data, stdout_columns()))
    if asked.num_near:
        parts.append(near_table(near, stdout_columns()))
    emit("\n\n".join(parts))


def show_conversation(named: NamedTokenizer, messages: list[dict[str, Any]], asked: Asked) -> None:
    """Write a conversation as training sees it."""
    rows = conversation_tokens(named.tokenizer, messages)
    if asked.is_json:
        emit_json(objects.conversation_object(named.name, rows))
        return
    num_learnt = sum(row.mask for row in rows)
    emit(
        f"{counted(len(rows), 'token')}  {num_learnt:,} learnt  {named.name}\n\n"
        + conversation_table(rows[: asked.limit], stdout_columns())
    )
    if len(rows) > asked.limit:
        diagnostics.say(f"{asked.limit} of {len(rows):,} tokens shown; --limit N shows more")


def _tree(named: NamedTokenizer, token_id: int, asked: Asked, *, always: bool = False) -> str:
    """Return the tree of an id; "" for one that has no parts, unless it is the thing to show."""

    root = merge_tree(named.tokenizer, token_id)
    if root.left is None and root.is_reachable and not always:
        return ""
    lines = tree_lines(root, _glyphs(asked.has_boxes))
    width = stdout_columns()
    return "\n".join(cut(line, width) if width else line for line in lines)


def _words(explained: Explained, index: int | None) -> list[bytes]:
    """Return the words whose merges are to be shown, each once."""
    if index is not None:
        wanted = [int(explained.words[index])]
    else:
        wanted = list(range(explained.num_words))
    words = list(
        dict.fromkeys(explained.data[slice(*explained.word_span(word))] for word in wanted)
    )
    longest = max(map(len, words), default=0)
    if longest > MAX_STEPS_BYTES:
        raise UsageError(
            f"--steps shows words of at most {MAX_STEPS_BYTES:,} bytes; there is one of {longest:,}"
        )
    if len(words) > MAX_WORDS_WITH_STEPS:
        diagnostics.say(
            f"merges of the first {MAX_WORDS_WITH_STEPS} of {len(words):,} words; "
            "--token N shows those of one token's word"
        )
    return words[:MAX_WORDS_WITH_STEPS]


def _hex(data: bytes) -> str:
    rest = len(data) - MAX_HEX_BYTES
    return data[:MAX_HEX_BYTES].hex(" ") + (f" and {rest:,} more" if rest > 0 else "")


def _near(named: NamedTokenizer, data: bytes, asked: Asked) -> tuple[NearToken, ...]:
    return nearest_tokens(named.tokenizer, data, asked.num_near)


def _glyphs(has_boxes: bool) -> TreeGlyphs:
    is_ascii = read_environment(os.environ, sys.stdout.encoding or "").glyphs.is_ascii
    return UNICODE_TREE if has_boxes and not is_ascii else ASCII_TREE
