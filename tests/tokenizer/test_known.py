"""Vocabularies that are at hand: where they are found, and what is not taken for one."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from core.tokenizer import Tokenizer
from core.vocab import known as known_module
from core.vocab.exporting import huggingface_file, tiktoken_file
from core.vocab.known import KNOWN, KnownVocabulary, find_known, search_known
from core.vocab.patterns import (
    GPT2_PATTERN,
)
from runs.errors import NotFound
from tests.tokenizer.builders import trained
from tests.tokenizer.vocab_files import write

TOKENIZER = trained()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KnownVocabulary:
    """A vocabulary of ours in the place of OpenAI's, and a home without packages or caches."""
    content = tiktoken_file(TOKENIZER)
    big = KnownVocabulary(
        name="p50k_base", pattern=GPT2_PATTERN, sha256=hashlib.sha256(content).hexdigest()
    )
    small = hashlib.sha256(b"".join(content.splitlines(keepends=True)[:300])).hexdigest()
    part = KnownVocabulary(
        name="r50k_base",
        pattern=GPT2_PATTERN,
        sha256=small,
        hub_names=("gpt2",),
        part_of="p50k_base",
        num_tokens=300,
    )
    table = {"gpt2": part, "r50k_base": part, "p50k_base": big}
    monkeypatch.setattr(known_module, "KNOWN", table)
    monkeypatch.setattr(known_module, "_PACKAGES", {})
    return big


def env_of(tmp_path: Path) -> dict[str, str]:
    return {"TIKTOKEN_CACHE_DIR": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf")}


def test_a_known_vocabulary_is_found_in_the_cache_of_tiktoken(
    published: KnownVocabulary, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    path = write(tmp_path / "cache", published.cache_name, tiktoken_file(TOKENIZER))
    found = find_known("p50k_base", env_of(tmp_path))
    assert (found.path, found.tokenizer.tokens) == (path, TOKENIZER.tokens)
    assert found.tokenizer.pattern == GPT2_PATTERN


def test_gpt2_is_found_inside_a_larger_vocabulary(
    published: KnownVocabulary, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    write(tmp_path / "cache", "p50k_base.tiktoken.gz", gzip.compress(tiktoken_file(TOKENIZER)))
    assert find_known("gpt2", env_of(tmp_path)).tokenizer.tokens == TOKENIZER.tokens[:300]


def test_gpt2_is_found_in_the_cache_of_the_hub(published: KnownVocabulary, tmp_path: Path) -> None:
    snapshot = tmp_path / "hf" / "hub" / "models--gpt2" / "snapshots" / "607a30d"
    snapshot.mkdir(parents=True)
    small = Tokenizer((TOKENIZER.merges or ())[:44], pattern=GPT2_PATTERN)
    write(snapshot, "tokenizer.json", huggingface_file(small))
    assert find_known("gpt2", env_of(tmp_path)).tokenizer.merges == small.merges


@pytest.mark.parametrize("damage", [b"", b"YQ== 0\n", b"\x1f\x8b junk"])
def test_a_damaged_copy_of_a_known_vocabulary_is_passed_over(
    published: KnownVocabulary, tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / "cache").mkdir()
    write(tmp_path / "cache", published.cache_name, damage)
    good = write(tmp_path / "cache", "p50k_base.tiktoken", tiktoken_file(TOKENIZER))
    assert find_known("p50k_base", env_of(tmp_path)).path == good


def test_a_missing_known_vocabulary_says_where_it_was_looked_for(
    published: KnownVocabulary, tmp_path: Path
) -> None:
    search = search_known(["p50k_base", "gpt2"], env_of(tmp_path))
    assert search.found == ()
    assert list(search.missing) == ["p50k_base", "gpt2"]
    assert f"looked in {tmp_path / 'cache'}, {tmp_path / 'hf' / 'hub'}" in search.missing["gpt2"]


def test_an_empty_cache_directory_turns_that_place_off(
    published: KnownVocabulary, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match=f"looked in {tmp_path / 'hf' / 'hub'}"):
        find_known("gpt2", {**env_of(tmp_path), "TIKTOKEN_CACHE_DIR": ""})


def test_the_published_hashes_are_those_that_tiktoken_expects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tiktoken_ext import openai_public  # type: ignore[import-untyped]

    asked: dict[str, str] = {}

    def record(url: str, expected_hash: str) -> dict[bytes, int]:
        name = hashlib.sha1(url.encode()).hexdigest()
        asked[name] = expected_hash
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", record)
    for name in ("r50k_base", "p50k_base", "cl100k_base", "o200k_base"):
        openai_public.ENCODING_CONSTRUCTORS[name]()
    assert {known.cache_name: known.sha256 for known in KNOWN.values()} == asked
