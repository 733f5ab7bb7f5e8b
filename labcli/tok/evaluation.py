"""What `labcli tok eval` shows: figures of several tokenizers side by side. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.inspection.compression import Compression
from core.inspection.evaluation import Evaluation, TextSet
from core.inspection.visible import quoted
from core.tokenizer import Tokenizer
from labcli.text.cells import grid
from labcli.text.figures import ABSENT, figure, percent

NUM_EXAMPLES = 8


def evaluation_object(
    name: str, source: str, tokenizer: Tokenizer, evaluation: Evaluation
) -> dict[str, Any]:
    """Return the figures of one tokenizer."""
    return {
        "tokenizer": name,
        "source": source,
        "vocabulary": asdict(evaluation.vocabulary),
        "compression": {text: asdict(one) for text, one in evaluation.compression.items()},
        "languages": [
            {
                "code": row.language.code,
                "name": row.language.name,
                "script": row.language.script,
                "num_tokens": row.num_tokens,
                "premium": row.premium,
                "bytes_per_token": row.bytes_per_token,
                "chars_per_token": row.chars_per_token,
            }
            for row in evaluation.languages
        ],
        "unused": [
            {"id": token_id, "bytes": tokenizer.token_bytes(token_id).hex()}
            for token_id in evaluation.unused_ids[:NUM_EXAMPLES]
        ],
        "checks": asdict(evaluation.soundness),
    }


def vocabulary_table(names: Sequence[str], found: Sequence[Evaluation], width: int | None) -> str:
    """Return a row per tokenizer: its size and the lengths of its tokens in bytes."""
    rows = []
    for name, one in zip(names, found, strict=True):
        facts = one.vocabulary
        num_tokens = facts.vocab_size - facts.num_specials
        rows.append(
            (
                name,
                f"{facts.vocab_size:,}",
                str(facts.num_specials),
                figure(facts.length_mean, 2),
                figure(facts.length_median, 0),
                str(facts.length_max),
                percent(facts.num_with_leading_space / num_tokens),
                f"{facts.num_not_utf8:,}",
            )
        )
    header = ("tokenizer", "ids", "special", "mean", "median", "longest", '" x"', "not UTF-8")
    return grid(header, rows, right=" rrrrrrr", max_width=width)


def compression_table(
    names: Sequence[str], found: Sequence[Evaluation], sets: Sequence[TextSet], width: int | None
) -> str:
    """Return a row per text: its bytes per token under every tokenizer."""
    rows = [
        (
            one.name,
            f"{one.size.num_bytes:,}",
            *(figure(entry.compression[one.name].bytes_per_token, 2) for entry in found),
        )
        for one in sets
    ]
    header = ("bytes per token", "bytes", *names)
    return grid(header, rows, right=" r" + "r" * len(names), max_width=width)


def use_table(
    names: Sequence[str], found: Sequence[Evaluation], text: str, width: int | None
) -> str:
    """Return a row per figure on one text set, a column per tokenizer."""
    kinds: Mapping[str, Callable[[Compression], str]] = {
        "tokens": lambda one: f"{one.num_tokens:,}",
        "characters per token": lambda one: figure(one.chars_per_token, 2),
        "tokens per word": lambda one: figure(one.tokens_per_word, 2),
        "tokens of one byte": lambda one: percent(one.single_byte_share),
        "vocabulary not used": lambda one: percent(one.unused_share),
    }
    rows = [(kind, *(show(one.compression[text]) for one in found)) for kind, show in kinds.items()]
    return grid((f"on {text}", *names), rows, right=" " + "r" * len(names), max_width=width)


def language_table(names: Sequence[str], found: Sequence[Evaluation], width: int | None) -> str:
    """Return a row per language: its tokens over those of the first, for the same content."""
    rows = []
    for place, row in enumerate(found[0].languages):
        premiums = [f"{one.languages[place].premium:.2f}" for one in found]
        rows.append((row.language.name, row.language.script, *premiums))
    yardstick = found[0].languages[0].language.name
    header = (f"tokens / {yardstick}", "script", *names)
    return grid(header, rows, right="  " + "r" * len(names), max_width=width)


def check_lines(
    names: Sequence[str], tokenizers: Sequence[Tokenizer], found: Sequence[Evaluation]
) -> list[str]:
    """Return two lines per tokenizer: whether it is sound, and tokens that nothing uses."""
    lines = []
    for name, tokenizer, one in zip(names, tokenizers, found, strict=True):
        sound = one.soundness
        trip = "decodes to the text" if sound.round_trips else "DOES NOT DECODE to the text"
        same = "ids equal tiktoken's" if sound.equals_tiktoken else "ids DIFFER from tiktoken's"
        unused = [quoted(tokenizer.token_bytes(index)) for index in one.unused_ids]
        examples = " ".join(unused[256:][:4] or unused[:4]) or ABSENT
        lines.append(f"{name}: {trip}, {same} ({sound.num_chars:,} characters); unused: {examples}")
    return lines
