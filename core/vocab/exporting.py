"""Our tokenizer as tiktoken's file and as Hugging Face's tokenizer.json. Torch-free.

nanochat's layout holds a torch file and has a module of its own.
"""

from __future__ import annotations

import json
from typing import Any

from core.tokenizer import SPECIAL_TOKENS, Tokenizer
from core.vocab.byte_alphabet import to_chars
from core.vocab.patterns import PATTERNS, oniguruma
from core.vocab.recover import making_pairs, splits_of
from core.vocab.tiktoken_file import format_ranks


def tiktoken_file(tokenizer: Tokenizer) -> bytes:
    """Return the tiktoken file: tokens and ranks; it has no place for the rest."""
    return format_ranks((token, rank) for rank, token in enumerate(tokenizer.tokens))


def huggingface_file(tokenizer: Tokenizer) -> bytes:
    """Return a tokenizer.json that gives the ids of this tokenizer, special tokens included.

    Raises:
        UsageError: Hugging Face's regex engine would read the split pattern otherwise.
    """
    merges, is_whole_word_first = _merges(tokenizer)
    body = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(name, tokenizer.special(name)) for name in SPECIAL_TOKENS],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": _steps(tokenizer.pattern)},
        "post_processor": None,
        "decoder": _byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": is_whole_word_first,
            "vocab": {to_chars(token): rank for rank, token in enumerate(tokenizer.tokens)},
            "merges": merges,
        },
    }
    return json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n"


def _merges(tokenizer: Tokenizer) -> tuple[list[str], bool]:
    """Return the merges in order of rank, and whether whole words must be looked up first.

    A token that no pair makes is listed by every cut into two tokens: neighbours may come
    together late. As a word of its own it is found by looking the word up.
    """
    tokens = tokenizer.tokens
    if tokenizer.merges is not None:
        return [_line(tokens[left], tokens[right]) for left, right in tokenizer.merges], False
    lines = []
    is_whole_word_first = False
    for token, pair in zip(tokens, making_pairs(tokens), strict=True):
        if pair is not None:
            lines.append(_line(tokens[pair[0]], tokens[pair[1]]))
        elif len(token) > 1:
            is_whole_word_first = True
            cuts = splits_of(token, tokenizer.mergeable_ranks)
            lines += [_line(tokens[left], tokens[right]) for left, right in cuts]
    return lines, is_whole_word_first


def _line(left: bytes, right: bytes) -> str:
    # Readable by every version of tokenizers; pairs as lists are not.
    return f"{to_chars(left)} {to_chars(right)}"


def _steps(pattern: str) -> list[dict[str, Any]]:
    is_known = pattern in PATTERNS.values()
    split = {
        "type": "Split",
        "pattern": {"Regex": oniguruma(pattern)},
        # What a pattern does not match is dropped; the known ones match every character.
        "behavior": "Isolated" if is_known else "Removed",
        "invert": not is_known,
    }
    return [split, _byte_level()]


def _byte_level() -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }


def _added(name: str, index: int) -> dict[str, Any]:
    return {
        "id": index,
        "content": name,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
