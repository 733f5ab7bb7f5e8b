"""Vocabularies of other tools: read, written, and equal in their ids."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import tokenizers
import torch
from hypothesis import given, settings

from core import _bpe
from core.tokenizer import SPECIAL_TOKENS, SPLIT_PATTERN, Tokenizer
from core.vocab.byte_alphabet import from_chars, to_chars
from core.vocab.exporting import huggingface_file, tiktoken_file
from core.vocab.importing import load_vocabulary
from core.vocab.nanochat_export import nanochat_files
from core.vocab.patterns import (
    _OTHER_SPELLINGS,
    CL100K_PATTERN,
    GPT2_PATTERN,
    O200K_PATTERN,
    PATTERNS,
    pattern_of,
)
from core.vocab.recover import making_pairs, merges_of
from runs.errors import Corrupt, NotFound, UsageError
from tests.tokenizer.builders import SENTENCES, TRICKY, trained, tricky_text
from tests.tokenizer.vocab_files import write

TOKENIZER = trained()
# Bytes backwards, as no trainer here has them; b"abcd" is a word that no pair makes.
TOKENS = [bytes([value]) for value in reversed(range(256))] + [b"ab", b"abcd", b" a", b"abc"]
# The two engines know different editions of Unicode; these characters are old.
OLD_TEXTS = ["".join(TRICKY), *SENTENCES, "abcd abc ab abcd", "x" * 300, "  \n\n \t 2024 1234567"]


def write_nanochat(directory: Path, tokenizer: Tokenizer) -> Path:
    for name, content in nanochat_files(tokenizer).items():
        (directory / name).write_bytes(content)
    return directory


def with_pattern(pattern: str) -> Tokenizer:
    merges = _bpe.train(
        iter(SENTENCES * 3), 120, pattern, max_chars=10**9, max_doc_chars=10**9
    )  # fmt: skip
    return Tokenizer(merges, pattern=pattern)


# --- Round trips ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tiktoken", "hf", "nanochat"])
def test_what_was_exported_comes_back_with_its_merges(tmp_path: Path, form: str) -> None:
    if form == "tiktoken":
        path = write(tmp_path, "vocab.tiktoken", tiktoken_file(TOKENIZER))
    elif form == "hf":
        path = write(tmp_path, "tokenizer.json", huggingface_file(TOKENIZER))
    else:
        path = write_nanochat(tmp_path, TOKENIZER)
    back = load_vocabulary(path)
    assert (back.format, back.dropped_specials) == (form, ())
    assert back.tokenizer.merges == TOKENIZER.merges
    assert back.tokenizer.pattern == TOKENIZER.pattern
    assert back.tokenizer.vocab_size == TOKENIZER.vocab_size


@pytest.mark.parametrize("form", ["tiktoken", "hf", "nanochat"])
def test_tokens_in_an_order_of_their_own_come_back_in_it(tmp_path: Path, form: str) -> None:
    tokenizer = Tokenizer.from_tokens(TOKENS, pattern=CL100K_PATTERN)
    if form == "tiktoken":
        path = write(tmp_path, "vocab.tiktoken", tiktoken_file(tokenizer))
    elif form == "hf":
        path = write(tmp_path, "tokenizer.json", huggingface_file(tokenizer))
    else:
        path = write_nanochat(tmp_path, tokenizer)
    back = load_vocabulary(path).tokenizer
    assert back.merges is None
    assert (back.tokens, back.pattern) == (tokenizer.tokens, tokenizer.pattern)


@pytest.mark.parametrize("name", PATTERNS)
def test_each_named_pattern_survives_every_format_that_holds_patterns(
    tmp_path: Path, name: str
) -> None:
    tokenizer = with_pattern(PATTERNS[name])
    hub_file = write(tmp_path, "tokenizer.json", huggingface_file(tokenizer))
    assert load_vocabulary(hub_file).tokenizer.pattern == PATTERNS[name]
    assert load_vocabulary(hub_file).tokenizer.merges == tokenizer.merges
    (tmp_path / "nanochat").mkdir()
    directory = write_nanochat(tmp_path / "nanochat", tokenizer)
    assert load_vocabulary(directory).tokenizer.pattern == PATTERNS[name]


def test_a_saved_tokenizer_of_ours_is_read_as_it_is(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path / "tokenizer.json")
    back = load_vocabulary(tmp_path / "tokenizer.json")
    assert (back.format, back.tokenizer.hash) == ("lab", TOKENIZER.hash)


# --- The same ids as the tools whose formats these are --------------------------------------

HUGGING_FACE = {
    name: (tokenizer, tokenizers.Tokenizer.from_str(huggingface_file(tokenizer).decode()))
    for name, tokenizer in {
        **{name: with_pattern(pattern) for name, pattern in PATTERNS.items()},
        "tokens": Tokenizer.from_tokens(TOKENS, pattern=SPLIT_PATTERN),
        "gaps": Tokenizer.from_tokens(TOKENS, pattern=r"\p{L}+|\p{N}"),
    }.items()
}


@pytest.mark.parametrize("name", HUGGING_FACE)
@pytest.mark.parametrize("text", OLD_TEXTS)
def test_hugging_face_gives_our_ids_from_our_file(name: str, text: str) -> None:
    ours, theirs = HUGGING_FACE[name]
    if "<|" not in text:
        assert theirs.encode(text).ids == ours.encode(text)
    else:
        plain = text.replace("<|", "< |")
        assert theirs.encode(plain).ids == ours.encode(plain)


@settings(max_examples=60, deadline=None)
@given(text=tricky_text)
def test_hugging_face_decodes_our_ids_to_the_same_text(text: str) -> None:
    ours, theirs = HUGGING_FACE["lab"]
    ids = ours.encode(text)
    assert theirs.decode(ids, skip_special_tokens=False) == text


def test_hugging_face_gives_our_special_tokens_the_same_ids() -> None:
    ours, theirs = HUGGING_FACE["lab"]
    assert [theirs.token_to_id(name) for name in SPECIAL_TOKENS] == [
        ours.special(name) for name in SPECIAL_TOKENS
    ]
    assert theirs.encode("<|bos|>hi").ids == [ours.bos, *ours.encode("hi")]
    assert theirs.get_vocab_size() == ours.vocab_size


@settings(max_examples=60, deadline=None)
@given(text=tricky_text)
def test_nanochat_gives_our_ids_from_our_files(text: str) -> None:
    encoding = pickle.loads(nanochat_files(TOKENIZER)["tokenizer.pkl"])
    assert encoding.encode_ordinary(text) == TOKENIZER.encode(text)
    assert encoding.encode_single_token("<|output_end|>") == TOKENIZER.vocab_size - 1
    assert encoding.n_vocab == TOKENIZER.vocab_size


def test_nanochat_finds_the_lengths_of_our_tokens() -> None:
    content = nanochat_files(TOKENIZER)["token_bytes.pt"]
    lengths = torch.load(io.BytesIO(content), weights_only=True)
    assert lengths.dtype == torch.int32
    assert lengths.tolist() == TOKENIZER.token_bytes_lengths().tolist()


@settings(max_examples=100, deadline=None)
@given(text=tricky_text)
@pytest.mark.parametrize("theirs", _OTHER_SPELLINGS)
def test_other_spellings_of_a_pattern_cut_at_the_same_places(theirs: str, text: str) -> None:
    assert _bpe.split(text, theirs) == _bpe.split(text, _OTHER_SPELLINGS[theirs])


def test_the_patterns_are_those_of_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    # The loader of ranks would download them; only the patterns are wanted.
    from tiktoken_ext import openai_public  # type: ignore[import-untyped]

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *args, **named: {})
    for name, ours in (("cl100k_base", CL100K_PATTERN), ("o200k_base", O200K_PATTERN)):
        theirs = str(openai_public.ENCODING_CONSTRUCTORS[name]()["pat_str"])
        for text in OLD_TEXTS:
            assert _bpe.split(text, theirs) == _bpe.split(text, ours)
    for text in OLD_TEXTS:
        assert _bpe.split(text, openai_public.r50k_pat_str) == _bpe.split(text, GPT2_PATTERN)


# --- Finding merges again -------------------------------------------------------------------


def test_merges_are_found_again_from_tokens_alone() -> None:
    doubled = Tokenizer([(97, 97), *((256 + k, 256 + k) for k in range(12))])
    for tokenizer in (TOKENIZER, doubled):
        assert merges_of(tokenizer.tokens) == list(tokenizer.merges or ())


def test_a_token_that_no_pair_makes_has_none() -> None:
    made = {TOKENS[k]: pair for k, pair in enumerate(making_pairs(TOKENS)) if pair is not None}
    assert made == {
        b"ab": (TOKENS.index(b"a"), TOKENS.index(b"b")),
        b" a": (TOKENS.index(b" "), TOKENS.index(b"a")),
        b"abc": (TOKENS.index(b"ab"), TOKENS.index(b"c")),
    }


def test_bytes_and_printable_characters_stand_for_each_other() -> None:
    every = bytes(range(256))
    assert from_chars(to_chars(every)) == every
    assert to_chars(b" a\n") == "\u0120a\u010a"
    assert from_chars("a b") is None


# --- tiktoken files -------------------------------------------------------------------------


def test_a_tiktoken_file_is_read_by_tiktoken(tmp_path: Path) -> None:
    from tiktoken.load import load_tiktoken_bpe

    path = write(tmp_path, "x.tiktoken", tiktoken_file(TOKENIZER))
    assert load_tiktoken_bpe(str(path)) == dict(TOKENIZER.mergeable_ranks)


def test_ranks_with_a_gap_are_renumbered_and_told(tmp_path: Path) -> None:
    lines = tiktoken_file(TOKENIZER).splitlines(keepends=True)
    path = write(tmp_path, "gap.tiktoken", b"".join(lines[:300] + lines[301:]))
    found = load_vocabulary(path)
    assert any("ids are renumbered" in note and "301 is 300" in note for note in found.notes)
    assert found.tokenizer.tokens == [*TOKENIZER.tokens[:300], *TOKENIZER.tokens[301:]]


@pytest.mark.parametrize(
    ("tokens", "pattern"),
    [(TOKENS, CL100K_PATTERN), ([bytes([v]) for v in range(256)], SPLIT_PATTERN)],
)
def test_the_pattern_that_a_tiktoken_file_lacks_is_guessed_and_told(
    tmp_path: Path, tokens: list[bytes], pattern: str
) -> None:
    tokenizer = Tokenizer.from_tokens(tokens, pattern=".")
    path = write(tmp_path, "x.tiktoken", tiktoken_file(tokenizer))
    found = load_vocabulary(path)
    assert found.tokenizer.pattern == pattern
    assert "a guess; the file holds none" in found.notes[0]
    assert load_vocabulary(path, pattern="gpt2").tokenizer.pattern == GPT2_PATTERN


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no tokens"),
        (b"YQ==\n", "line 1"),
        (b"YQ== 1 2\n", "line 1"),
        (b"YQ== 0\n!!!! 1\n", "line 2"),
        (b"YQ== -1\n", "line 1"),
        (b"YQ== 99999999999999999999\n", "line 1"),
        (b"YQ== 4294967296\n", "too large"),
        (b"YQ== 0\nYQ== 1\n", "was there before"),
        (b"YQ== 0\nYg== 0\n", "same rank"),
        (b"YQ== 0\n", "byte 0 has no token"),
        (bytes(range(256)), "line 1"),
    ],
)
def test_a_damaged_tiktoken_file_is_corrupt(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(Corrupt, match=reason):
        load_vocabulary(write(tmp_path, "bad.tiktoken", content))


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no tokenizer at"):
        load_vocabulary(tmp_path / "absent.tiktoken")
    with pytest.raises(NotFound, match="holds no tokenizer"):
        load_vocabulary(tmp_path)


@pytest.mark.parametrize("pattern", ["", "(", r"\p{Nonsense}"])
def test_a_pattern_that_does_not_compile_is_a_usage_error(pattern: str) -> None:
    with pytest.raises(UsageError, match="split pattern"):
        pattern_of(pattern)
