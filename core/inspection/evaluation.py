"""All figures about one tokenizer: its vocabulary, compression, languages, use and soundness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.inspection.compression import (
    Compression,
    TextSize,
    VocabularyFacts,
    compression,
    text_size,
    vocabulary_facts,
)
from core.inspection.explained import whole_characters
from core.inspection.languages import Language, LanguageFertility, fertility_by_language
from core.inspection.usage import never_used, token_counts
from core.tokenizer import Tokenizer

# tiktoken takes about a second for every ten million characters.
MAX_CHECKED_CHARS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSet:
    """Texts that are measured together."""

    name: str
    texts: Sequence[str]
    size: TextSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Soundness:
    """Whether the tokenizer did right on the first texts of all sets.

    `round_trips`: the bytes of the tokens are those of the text. `equals_tiktoken`: the bulk
    encoder gives tiktoken's ids.
    """

    num_chars: int
    round_trips: bool
    equals_tiktoken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured; `unused_ids` are those that the first text set never uses."""

    vocabulary: VocabularyFacts
    compression: Mapping[str, Compression]
    languages: tuple[LanguageFertility, ...]
    unused_ids: tuple[int, ...]
    soundness: Soundness


def text_set(name: str, texts: Sequence[str]) -> TextSet:
    """Return texts with their sizes, to be measured by many tokenizers."""
    return TextSet(name=name, texts=texts, size=text_size(texts))


def evaluate(
    tokenizer: Tokenizer, sets: Sequence[TextSet], languages: Sequence[Language]
) -> Evaluation:
    """Return every figure about a tokenizer on these texts."""
    unused = never_used(tokenizer, token_counts(tokenizer, sets[0].texts)) if sets else ()
    return Evaluation(
        vocabulary=vocabulary_facts(tokenizer),
        compression={one.name: compression(tokenizer, one.texts, one.size) for one in sets},
        languages=fertility_by_language(tokenizer, languages),
        unused_ids=tuple(int(index) for index in unused),
        soundness=check_soundness(tokenizer, sets, languages),
    )


def check_soundness(
    tokenizer: Tokenizer, sets: Sequence[TextSet], languages: Sequence[Language]
) -> Soundness:
    """Return whether encoding loses nothing and equals tiktoken's, on a part of the texts."""
    texts = [text for language in languages for text in language.paragraphs]
    # Small sets first: the corpus, which comes first, would leave them no room.
    texts += [text for one in reversed(sets) for text in one.texts]
    num_chars, is_same, is_equal = 0, True, True
    for text in texts:
        if num_chars >= MAX_CHECKED_CHARS:
            break
        text = text[: MAX_CHECKED_CHARS - num_chars]
        num_chars += len(text)
        ids = tokenizer.bulk.encode(text).tolist()
        is_same = is_same and tokenizer.decode_bytes(ids) == whole_characters(text).encode()
        is_equal = is_equal and ids == tokenizer.encode(text)
    return Soundness(num_chars=num_chars, round_trips=is_same, equals_tiktoken=is_equal)
