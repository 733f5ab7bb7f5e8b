"""Shards hold what was written, and a damaged one is never read as if it were whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data import shard_writer
from core.data.shard_writer import write_shards
from core.data.shards import (
    MANIFEST,
    SourceCount,
    load_manifest,
    measure_shard,
    read_shard,
    read_texts,
)
from runs.errors import Corrupt, NotFound

TRAIN = [f"train document {index} \u00e9" for index in range(2500)]
VAL = ["validation"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    counts = {"fake": SourceCount(num_docs=2501, num_chars=1)}
    write_shards(
        tmp_path, train=TRAIN, val=VAL, sources={"fake": "1"}, counts=counts, shard_chars=10_000
    )
    return tmp_path


def test_texts_come_back_in_order(directory: Path) -> None:
    assert list(read_texts(directory, "train")) == TRAIN
    assert list(read_texts(directory, "val")) == VAL


def test_shards_close_on_whole_row_groups_of_1024(directory: Path) -> None:
    shards = load_manifest(directory).shards
    assert [shard.num_docs for shard in shards] == [1024, 1024, 452, 1]
    file = pq.ParquetFile(directory / shards[0].name)
    assert file.num_row_groups == 1
    assert file.schema_arrow.names == ["text"]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_long_documents_are_written_in_groups_of_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_writer, "HELD_CHARS", 1000)
    books = [f"{index} {'word ' * 80}" for index in range(10)]
    counts = {"fake": SourceCount(num_docs=11, num_chars=1)}
    write_shards(tmp_path, train=books, val=VAL, sources={"fake": "1"}, counts=counts)
    file = pq.ParquetFile(tmp_path / "shard_00000.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(4)] == [3, 3, 3, 1]
    assert list(read_texts(tmp_path, "train")) == books


def test_last_shard_is_the_validation_text_pinned_by_hash(directory: Path) -> None:
    manifest = load_manifest(directory, verify=True)
    assert [shard.split for shard in manifest.shards] == ["train"] * 3 + ["val"]
    assert manifest.val_sha256 == manifest.shards[-1].sha256


def test_flipped_byte_is_corrupt(directory: Path) -> None:
    path = directory / "shard_00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Corrupt, match="shard_00001"):
        load_manifest(directory, verify=True)


def test_missing_and_truncated_shards_are_corrupt_even_without_hashing(directory: Path) -> None:
    path = directory / "shard_00000.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Corrupt, match="bytes"):
        load_manifest(directory)
    path.unlink()
    with pytest.raises(Corrupt, match="missing"):
        load_manifest(directory)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"v": 2}', '{"v": 1, "shards": []}', '"x"']
)
def test_malformed_manifest_is_corrupt(directory: Path, text: str) -> None:
    (directory / MANIFEST).write_text(text)
    with pytest.raises(Corrupt):
        load_manifest(directory)


def test_shard_names_cannot_leave_the_directory(directory: Path) -> None:
    path = directory / MANIFEST
    path.write_text(path.read_text().replace("shard_00000", "../shard_00000"))
    with pytest.raises(Corrupt):
        load_manifest(directory)


def test_directory_without_manifest_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_manifest(tmp_path)


def test_a_page_that_cannot_be_unpacked_is_corrupt(directory: Path) -> None:
    path = directory / "shard_00001.parquet"
    data = bytearray(path.read_bytes())
    data[4:500] = bytes(496)
    path.write_bytes(data)
    with pytest.raises(Corrupt, match=r"shard_00001.*cannot be read"):
        list(read_texts(directory, "train"))


def test_a_shard_that_is_gone_is_corrupt(directory: Path) -> None:
    with pytest.raises(Corrupt, match=r"elsewhere\.parquet cannot be read"):
        list(read_shard(directory / "elsewhere.parquet"))


def test_a_column_that_holds_no_text_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"text": [1, 2, 3]}), path)
    with pytest.raises(Corrupt, match=r"numbers\.parquet.*int64, not text"):
        measure_shard(path, "train")


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_text_in_any_of_its_layouts_is_counted_and_read(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "shard.parquet"
    pq.write_table(pa.table({"text": pa.array(["one", None, "\u00e9", ""]).cast(kind)}), path)
    found = measure_shard(path, "train")
    assert (found.num_docs, found.num_chars) == (4, 4)
    (texts,) = read_shard(path)
    assert texts.to_pylist() == ["one", None, "\u00e9", ""]
    assert str(texts.type) in ("string", "large_string")


def test_text_that_is_not_utf8_is_corrupt_before_a_run_counts_on_it(tmp_path: Path) -> None:
    path = tmp_path / "latin.parquet"
    bad = pa.array([b"caf\xe9 au lait"])
    said_to_be_text = pa.StringArray.from_buffers(1, *bad.buffers()[1:])
    pq.write_table(pa.table({"text": said_to_be_text}), path)
    with pytest.raises(Corrupt, match=r"latin\.parquet holds text that is not UTF-8"):
        measure_shard(path, "train")
