"""Own text becomes a corpus: every document once, in a seeded order, validation text pinned."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.corpus import Corpus
from core.data.own.prepare import Preparation, find_prepared, prepare_corpus, prepared_files
from core.data.own.shuffle import Shuffle
from core.data.shards import load_manifest, read_texts
from runs.errors import Corrupt, NotFound, UsageError
from tests.data.builders import drain, never

HOW = Preparation(name="mine", val_share=0.02, shard_chars=20_000)


def texts(first: int, count: int) -> list[str]:
    return [f"document {number} é with some words" for number in range(first, first + count)]


def jsonl(documents: Iterable[str], key: str = "text") -> bytes:
    return b"".join(json.dumps({"url": "u", key: text}).encode() + b"\n" for text in documents)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A directory with one file of every kind, some of them deep in it."""
    root = tmp_path / "texts"
    (root / "global-shard_01" / "local-shard_2").mkdir(parents=True)
    pq.write_table(pa.table({"id": range(1500), "text": texts(0, 1500)}), root / "a.parquet")
    (root / "b.jsonl").write_bytes(jsonl(texts(1500, 500)))
    (root / "c.jsonl.gz").write_bytes(gzip.compress(jsonl(texts(2000, 500))))
    zst = root / "global-shard_01" / "local-shard_2" / "shard_0_processed.jsonl.zst"
    with pa.output_stream(str(zst), compression="zstd") as stream:
        stream.write(jsonl(texts(2500, 500)))
    (root / "notes.txt").write_text("not read")
    return root


def prepare(data_dir: Path, names: list[Path], how: Preparation = HOW) -> Corpus:
    made = drain(prepare_corpus(data_dir, prepared_files(names), how, stop=never))
    assert made is not None
    return made


def every_text(corpus: Corpus) -> list[str]:
    return [*read_texts(corpus.path, "train"), *read_texts(corpus.path, "val")]


def test_every_document_of_every_kind_of_file_is_there_once(tmp_path: Path, sources: Path) -> None:
    corpus = prepare(tmp_path / "data", [sources])
    assert Counter(every_text(corpus)) == Counter(texts(0, 3000))
    assert load_manifest(corpus.path, verify=True).num_docs == 3000
    assert list(corpus.manifest.sources) == ["mine"]
    assert len(corpus.manifest.shards) > 2


def test_order_follows_the_seed_and_not_the_memory(tmp_path: Path, sources: Path) -> None:
    one = prepare(tmp_path / "one", [sources])
    small = prepare(tmp_path / "two", [sources], replace(HOW, memory_bytes=100_000))
    other = prepare(tmp_path / "three", [sources], replace(HOW, seed=7))
    assert small.manifest == one.manifest
    assert every_text(other) != every_text(one)
    assert every_text(one)[:50] != texts(0, 50)


def test_a_file_that_is_named_twice_is_read_once(sources: Path) -> None:
    assert prepared_files([sources, sources / "a.parquet"]) == prepared_files([sources])


def test_many_buckets_are_used_when_memory_is_small(tmp_path: Path) -> None:
    shuffle = Shuffle(tmp_path, seed=1, expected_bytes=1e6, memory_bytes=100_000)
    assert shuffle.num_buckets == 40
    for number, text in enumerate(texts(0, 3000)):
        shuffle.add(text * 20, number)
    assert len(list(tmp_path.iterdir())) > 1
    assert sorted(mark for _, mark in shuffle.sorted()) == list(range(3000))
    assert list(tmp_path.iterdir()) == []


def test_added_files_move_no_document_between_training_and_validation(
    tmp_path: Path, sources: Path
) -> None:
    before = set(read_texts(prepare(tmp_path / "data", [sources]).path, "val"))
    (sources / "more.jsonl").write_bytes(jsonl(texts(3000, 1000)))
    after = prepare(tmp_path / "data", [sources])
    assert before < set(read_texts(after.path, "val"))
    assert not before & set(read_texts(after.path, "train"))


def test_copies_of_a_document_are_on_one_side(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(texts(0, 400) * 3))
    corpus = prepare(tmp_path / "data", [path], replace(HOW, val_share=0.3))
    train, val = set(read_texts(corpus.path, "train")), set(read_texts(corpus.path, "val"))
    assert train and val and not train & val


def test_tiny_corpus_has_validation_text_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(texts(0, 3)))
    corpus = prepare(tmp_path / "data", [path], replace(HOW, val_share=1e-9))
    assert len(list(read_texts(corpus.path, "val"))) == 1
    assert len(list(read_texts(corpus.path, "train"))) == 2


@pytest.mark.parametrize("documents", [[], ["alone"], ["same", "same"]])
def test_too_little_text_is_a_usage_error(tmp_path: Path, documents: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(documents))
    with pytest.raises(UsageError, match="too few"):
        prepare(tmp_path / "data", [path])
    assert not list((tmp_path / "data").glob(".building*"))


def test_prepared_before_is_found_until_a_file_changes(tmp_path: Path, sources: Path) -> None:
    corpus = prepare(tmp_path / "data", [sources])
    assert find_prepared(tmp_path / "data", prepared_files([sources]), HOW) == corpus
    (sources / "b.jsonl").write_bytes(jsonl(texts(1500, 499)))
    assert find_prepared(tmp_path / "data", prepared_files([sources]), HOW) is None


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"tex', Corrupt, "line 2 is not JSON"),
        ("a.jsonl", b'{"body": "x"}\n', UsageError, "prepare --column: body"),
        ("a.jsonl", b'{"text": 3}\n', UsageError, "is no text"),
        ("a.jsonl", b"[1]\n", UsageError, "--column"),
        ("a.jsonl.gz", gzip.compress(jsonl(["x"] * 9), mtime=0)[:-9], Corrupt, "cannot be read"),
        ("a.jsonl.zst", b"nothing of the sort", Corrupt, "cannot be read"),
        ("a.parquet", b"PAR1", Corrupt, "cannot be read"),
        ("a.txt", b"x", UsageError, "neither parquet nor JSONL"),
    ],
)
def test_bad_file_is_one_line_that_names_it(
    tmp_path: Path, name: str, content: bytes, kind: type[Exception], said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=f"{name}.*{said}"):
        prepare(tmp_path / "data", [tmp_path / name])


def test_missing_files_and_empty_directories_are_not_found(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(NotFound):
            prepared_files([path])


def test_column_that_is_no_text_or_not_there_is_a_usage_error(
    tmp_path: Path, sources: Path
) -> None:
    for column, said in (("id", "not text"), ("body", "prepare --column: id, text")):
        with pytest.raises(UsageError, match=said):
            prepare(tmp_path / "data", [sources / "a.parquet"], replace(HOW, column=column))


def test_halves_of_surrogate_pairs_become_question_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "half \\ud83d pair"}\n' + jsonl(texts(0, 3)))
    assert "half ? pair" in every_text(prepare(tmp_path / "data", [path]))


def test_bytes_that_are_no_utf8_are_replaced_wherever_they_come_from(tmp_path: Path) -> None:
    bad = pa.array([b"half \xc3 letter"])
    said_to_be_text = pa.StringArray.from_buffers(1, *bad.buffers()[1:])
    pq.write_table(pa.table({"text": said_to_be_text}), tmp_path / "a.parquet")
    line = b'\xef\xbb\xbf{"text": "odd \xff byte"}\n'
    (tmp_path / "b.jsonl").write_bytes(line + jsonl(texts(0, 3)))
    files = [tmp_path / "a.parquet", tmp_path / "b.jsonl"]
    found = every_text(prepare(tmp_path / "data", files))
    assert {"half \ufffd letter", "odd \ufffd byte"} < set(found)


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_every_way_to_store_text_in_parquet_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    stored = pa.array([*texts(0, 9), None, ""]).cast(kind)
    pq.write_table(pa.table({"text": stored}), tmp_path / "a.parquet")
    found = every_text(prepare(tmp_path / "data", [tmp_path / "a.parquet"]))
    assert sorted(found) == texts(0, 9)


def test_stopped_preparation_leaves_nothing(tmp_path: Path, sources: Path) -> None:
    steps = prepare_corpus(tmp_path / "data", prepared_files([sources]), HOW, stop=lambda: True)
    assert drain(steps) is None
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("name", ["embedded", "climbmix", " "])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        Preparation(name=name)
