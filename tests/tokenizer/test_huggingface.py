"""Hugging Face's tokenizer.json: what is read, what is refused, what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from core.tokenizer import Tokenizer
from core.vocab.exporting import huggingface_file
from core.vocab.importing import load_vocabulary
from core.vocab.patterns import (
    GPT2_PATTERN,
)
from runs.errors import Corrupt, UsageError
from tests.tokenizer.builders import SENTENCES, trained
from tests.tokenizer.vocab_files import write

TOKENIZER = trained()


Edit = Callable[[dict[str, Any]], object]


def edited(tmp_path: Path, edit: Edit, tokenizer: Tokenizer = TOKENIZER) -> Path:
    body = json.loads(huggingface_file(tokenizer))
    edit(body)
    return write(tmp_path, "tokenizer.json", json.dumps(body).encode())


def test_a_file_that_hugging_face_trained_gives_its_ids(tmp_path: Path) -> None:
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator(SENTENCES * 5, trainer)
    theirs.save(str(tmp_path / "tokenizer.json"))
    found = load_vocabulary(tmp_path / "tokenizer.json")
    assert found.dropped_specials == ("<|endoftext|>",)
    assert found.tokenizer.pattern == GPT2_PATTERN
    # Their special token comes first and takes id 0, so all the others move down by one.
    assert any("ids are renumbered" in note for note in found.notes)
    for text in (*SENTENCES, "unseen words, too"):
        assert [index + 1 for index in found.tokenizer.encode(text)] == theirs.encode(text).ids


def as_lists(body: dict[str, Any]) -> None:
    body["model"]["merges"] = [line.split(" ") for line in body["model"]["merges"]]


def without_type(body: dict[str, Any]) -> None:
    del body["model"]["type"], body["model"]["ignore_merges"], body["model"]["byte_fallback"]


def with_every_cut(body: dict[str, Any]) -> None:
    # A pair that never stands beside each other changes nothing.
    body["model"]["merges"].append("\u0120 t")


@pytest.mark.parametrize("edit", [as_lists, without_type])
def test_both_ways_of_writing_merges_are_read(tmp_path: Path, edit: Edit) -> None:
    assert load_vocabulary(edited(tmp_path, edit)).tokenizer.merges == TOKENIZER.merges


def test_special_tokens_that_we_lack_are_left_out_and_named(tmp_path: Path) -> None:
    def edit(body: dict[str, Any]) -> None:
        body["added_tokens"] = [
            {"id": TOKENIZER.vocab_size - 9, "content": "<|endoftext|>", "special": True},
            {"id": TOKENIZER.vocab_size - 8, "content": "<|bos|>", "special": True},
        ]
        body["post_processor"] = {"type": "TemplateProcessing"}

    found = load_vocabulary(edited(tmp_path, edit))
    assert found.dropped_specials == ("<|endoftext|>",)
    assert "special tokens have new ids: <|bos|>" in found.notes
    assert any("post_processor" in note for note in found.notes)
    assert found.tokenizer.merges == TOKENIZER.merges


def swap_merges(body: dict[str, Any]) -> None:
    merges = body["model"]["merges"]
    merges[0], merges[1] = merges[1], merges[0]


def test_ids_that_do_not_follow_the_merges_are_renumbered_and_told(tmp_path: Path) -> None:
    path = edited(tmp_path, swap_merges)
    found = load_vocabulary(path)
    assert any("do not follow the order of its merges" in note for note in found.notes)
    theirs = tokenizers.Tokenizer.from_file(str(path))
    for text in SENTENCES:
        expected = [theirs.decode([index]) for index in theirs.encode(text).ids]
        assert [found.tokenizer.decode([i]) for i in found.tokenizer.encode(text)] == expected


def changed(*path: str, to: object) -> Edit:
    def edit(body: dict[str, Any]) -> None:
        place: Any = body
        for key in path[:-1]:
            place = place[int(key)] if isinstance(place, list) else place[key]
        place[path[-1]] = to

    return edit


PRE = ("pre_tokenizer", "pretokenizers")
PLAIN_ADDED = [{"id": 1, "content": "    ", "special": False}]


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (changed("model", "type", to="WordPiece"), r"model\.type"),
        (changed("model", "type", to="Unigram"), r"model\.type"),
        (changed("model", "byte_fallback", to=True), r"model\.byte_fallback"),
        (changed("model", "dropout", to=0.1), r"model\.dropout"),
        (changed("model", "continuing_subword_prefix", to="##"), "continuing_subword_prefix"),
        (changed("model", "end_of_word_suffix", to="</w>"), "end_of_word_suffix"),
        (changed("normalizer", to={"type": "NFC"}), "normalizer"),
        (changed("added_tokens", to=PLAIN_ADDED), "added_tokens.*never split"),
        (changed("pre_tokenizer", to=None), "pre_tokenizer.*None"),
        (changed("pre_tokenizer", to={"type": "Whitespace"}), "pre_tokenizer.*Whitespace"),
        (changed(*PRE, "1", "add_prefix_space", to=True), "add_prefix_space"),
        (changed(*PRE, "1", "use_regex", to=True), "use_regex"),
        (changed(*PRE, "0", "behavior", to="MergedWithNext"), "behavior"),
        (changed(*PRE, "0", "pattern", to={"String": " "}), "not a regular expression"),
        (changed(*PRE, "0", "pattern", to={"Regex": r"\p{L}+"}), "leaves characters out"),
        (changed(*PRE, "0", "pattern", to={"Regex": r"\d{2}+|."}), "reads its '}"),
        (changed(*PRE, "0", "pattern", to={"Regex": "("}), "does not compile"),
        (lambda body: body["model"]["vocab"].update({"\u4f60": 9999}), "not byte-level"),
        (lambda body: body["model"]["vocab"].update({"qqqq": 9999}), r"model\.merges.*b'qqqq'"),
        (lambda body: body["model"]["merges"].pop(), r"model\.merges"),
    ],
)
def test_what_would_change_ids_is_refused_by_the_name_of_its_field(
    tmp_path: Path, edit: Edit, field: str
) -> None:
    with pytest.raises(UsageError, match=field) as problem:
        load_vocabulary(edited(tmp_path, edit))
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: b'{"model": ',
        lambda body: b'{"a":' + b"[" * 200_000,
        lambda body: b"{}",
        lambda body: json.dumps({**body, "model": []}).encode(),
        lambda body: json.dumps({**body, "added_tokens": {"a": 1}}).encode(),
        lambda body: json.dumps({**body, "added_tokens": ["x"]}).encode(),
        lambda body: json.dumps({**body, "model": {**body["model"], "vocab": []}}).encode(),
        lambda body: json.dumps({**body, "model": {**body["model"], "merges": {}}}).encode(),
        lambda body: json.dumps({**body, "model": {**body["model"], "merges": ["a"]}}).encode(),
        lambda body: json.dumps({**body, "model": {**body["model"], "merges": [7]}}).encode(),
        lambda body: json.dumps({**body, "model": {**body["model"], "merges": ["q z"]}}).encode(),
        lambda body: json.dumps({**body, "model": {**body["model"], "vocab": {}}}).encode(),
    ],
)
def test_a_damaged_tokenizer_json_is_corrupt(
    tmp_path: Path, damage: Callable[[dict[str, Any]], bytes]
) -> None:
    body = json.loads(huggingface_file(TOKENIZER))
    with pytest.raises(Corrupt, match=r"tokenizer\.json"):
        load_vocabulary(write(tmp_path, "tokenizer.json", damage(body)))


def test_a_pattern_that_hugging_face_reads_otherwise_is_not_exported() -> None:
    for pattern in (r"\d{2}+|.", "^a|.", ".$", "(?s:.)", r"\w|\W", "[[:alpha:]]+|."):
        with pytest.raises(UsageError, match="Hugging Face's regex engine"):
            huggingface_file(Tokenizer((), pattern=pattern))
    for pattern in (r"[$^]|\$|a{1,2}", r"[^\]$]+|\]", r"\p{Lu}++|\\w", r"(?i:a)(?!b)|[$]"):
        assert tokenizers.Tokenizer.from_str(
            huggingface_file(Tokenizer((), pattern=pattern)).decode()
        )
