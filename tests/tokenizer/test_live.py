"""Training from files, and retraining while someone watches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import bpe
from core.tokenizer import SPLIT_PATTERN, Tokenizer
from core.vocab.byte_merges import digest, from_ids
from core.vocab.live import MAX_VOCAB_SIZE, Retrainer
from core.vocab.patterns import GPT2_PATTERN
from core.vocab.sources import Source, TextFile, TextInMemory, find_sources
from core.vocab.training import (
    MIN_VOCAB_SIZE,
    Reading,
    Trained,
    count_words,
    train_tokenizer,
)
from runs.errors import Corrupt, NotFound, UsageError
from tests.tokenizer.builders import SENTENCES, train

TEXT = "".join(SENTENCES * 3)


def in_memory(text: str = TEXT) -> list[Source]:
    return [TextInMemory(name="text", data=text.encode())]


def write_parquet(path: Path, texts: list[str | None], column: str = "text") -> Path:
    pq.write_table(pa.table({column: pa.array(texts, pa.string())}), path)
    return path


def write_lines(path: Path, texts: list[str], key: str = "text") -> Path:
    path.write_text("".join(json.dumps({key: text}) + "\n" for text in texts), encoding="utf-8")
    return path


def trained_on(*names: Path, vocab_size: int = 320) -> Trained:
    result = train_tokenizer(find_sources([str(name) for name in names]), vocab_size=vocab_size)
    assert result is not None
    return result


# --- Files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "jsonl", "txt", "md", "log", "memory"])
def test_every_form_of_the_same_text_gives_the_same_merges(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"text.{form}"
    if form == "parquet":
        write_parquet(path, [TEXT])
    elif form == "jsonl":
        write_lines(path, [TEXT])
    else:
        path.write_bytes(TEXT.encode())
    sources = in_memory() if form == "memory" else find_sources([str(path)])
    result = train_tokenizer(sources, vocab_size=320)
    assert result is not None
    assert result.tokenizer.merges == tuple(train([TEXT], 320 - MIN_VOCAB_SIZE))
    assert (result.num_docs, result.num_chars) == (1, len(TEXT))
    assert result.tokenizer.vocab_size == 320
    assert result.bytes_per_token == pytest.approx(
        len(TEXT.encode()) / len(result.tokenizer.encode(TEXT))
    )


def test_documents_are_the_rows_of_tables_and_the_lines_of_json(tmp_path: Path) -> None:
    texts: list[str | None] = [*SENTENCES, None, ""]
    rows = trained_on(write_parquet(tmp_path / "a.parquet", texts))
    lines = trained_on(write_lines(tmp_path / "b.jsonl", list(SENTENCES)))
    assert lines.num_docs == len(SENTENCES)
    assert rows.tokenizer.merges == lines.tokenizer.merges


def test_tables_count_whatever_arrow_calls_text_and_bytes_that_are_not(tmp_path: Path) -> None:
    view = pa.array([TEXT]).cast(pa.string_view())
    bad = pa.array([TEXT.encode() + b"\xc3"])
    said_to_be_text = pa.StringArray.from_buffers(1, *bad.buffers()[1:])
    for number, (stored, num_replaced) in enumerate([(view, 0), (said_to_be_text, 1), (bad, 1)]):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"text": stored}), path)
        result = trained_on(path)
        assert (result.num_docs, result.num_replaced) == (1, num_replaced)


def test_a_directory_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.md", "deep/c.jsonl", ".hidden.txt", "skipped.py"):
        (tmp_path / name).write_text('{"text": "x"}\n')
    found = find_sources([str(tmp_path)])
    names = [source.path.name for source in found if isinstance(source, TextFile)]
    assert names == ["a.md", "b.txt", "c.jsonl"]


def test_a_corpus_gives_its_training_text_by_path_or_id(tmp_path: Path) -> None:
    from core.data.shard_writer import write_shards

    corpus = tmp_path / "data" / "c0ffee"
    corpus.mkdir(parents=True)
    write_shards(corpus, train=list(SENTENCES), val=["unseen"], sources={}, counts={})
    by_path = find_sources([str(corpus)])
    assert by_path == find_sources(["c0ffee"], corpora=tmp_path / "data")
    assert trained_on(corpus).num_docs == len(SENTENCES)


def test_another_column_or_key_can_hold_the_text(tmp_path: Path) -> None:
    for path in (
        write_parquet(tmp_path / "a.parquet", [TEXT], column="body"),
        write_lines(tmp_path / "a.jsonl", [TEXT], key="body"),
    ):
        result = train_tokenizer(
            find_sources([str(path)]), vocab_size=300, reading=Reading(column="body")
        )
        assert result is not None
        assert result.num_chars == len(TEXT)
        with pytest.raises(UsageError, match="--column"):
            trained_on(path)


def test_limits_on_characters_are_kept(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ["abc " * 100] * 50)
    result = train_tokenizer(
        find_sources([str(path)]), vocab_size=300, reading=Reading(max_chars=1000, max_doc_chars=10)
    )
    assert result is not None
    assert result.num_chars == 500
    few = train_tokenizer(find_sources([str(path)]), vocab_size=300, reading=Reading(max_chars=100))
    assert few is not None
    assert few.num_chars == 100


def test_invalid_bytes_are_counted_or_refused_with_their_place(tmp_path: Path) -> None:
    plain, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    plain.write_bytes(b"good \xff\xfe text")
    lines.write_bytes(b'{"text": "good"}\n{"text": "\xff"}\n')
    assert trained_on(plain).num_replaced == 2
    assert trained_on(lines).num_replaced == 1
    for path, place in ((plain, "at byte 5"), (lines, "line 2 is not UTF-8 at byte 10")):
        with pytest.raises(UsageError, match=place):
            train_tokenizer(
                find_sources([str(path)]), vocab_size=300, reading=Reading(errors="refuse")
            )


@pytest.mark.parametrize("content", [b"", b"\n", b'{"text": ""}\n'])
def test_a_text_of_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "empty.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match="no text to train on"):
        trained_on(tmp_path / "empty.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "error", "reason"),
    [
        ("a.jsonl", b"not json\n", UsageError, "line 1 is not JSON"),
        ("a.jsonl", b'{"text": "x"}\n[1]\n', UsageError, "line 2 has no text"),
        ("a.jsonl", b'{"text": 7}\n', UsageError, "line 1 has no text"),
        ("a.jsonl", b"[" * 100_000, UsageError, "line 1 is not JSON"),
        ("a.parquet", b"PAR1 nonsense PAR1", Corrupt, "cannot be read as parquet"),
        ("a.parquet", b"", Corrupt, "cannot be read as parquet"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(
    tmp_path: Path, name: str, content: bytes, error: type[Exception], reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=rf"{name}.*{reason}"):
        trained_on(tmp_path / name)


def test_what_is_not_there_or_holds_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no text at"):
        find_sources([str(tmp_path / "absent")])
    with pytest.raises(UsageError, match="holds no text"):
        find_sources([str(tmp_path)])


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(UsageError, match="the least is 265"):
        train_tokenizer(in_memory(), vocab_size=264)


def test_a_pattern_that_does_not_compile_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match=r"does not compile.*parenthesis"):
        train_tokenizer(in_memory(), vocab_size=300, reading=Reading(pattern="("))


def test_a_pattern_can_be_named() -> None:
    result = train_tokenizer(in_memory(), vocab_size=300, reading=Reading(pattern="gpt2"))
    assert result is not None
    assert result.tokenizer.pattern == GPT2_PATTERN


def asked(times: int) -> Callable[[], bool]:
    """Return a `stop` that says yes when it is asked for the last of so many times."""
    left = [times]

    def stop() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return stop


@pytest.mark.parametrize("times", [1, 2])
def test_training_ends_when_it_is_told_to(times: int) -> None:
    assert train_tokenizer(in_memory(), vocab_size=320, stop=asked(times)) is None


def test_progress_names_both_steps_and_reaches_their_ends() -> None:
    seen: dict[str, tuple[float, float]] = {}
    train_tokenizer(
        in_memory(),
        vocab_size=320,
        progress=lambda step, done, total: seen.update({step: (done, total)}),
    )
    num_bytes, num_merges = len(TEXT.encode()), 320 - MIN_VOCAB_SIZE
    assert seen == {
        "counting words": (num_bytes, num_bytes),
        "merging pairs": (num_merges, num_merges),
    }


def test_the_hash_of_merges_depends_on_their_bytes_and_order() -> None:
    one, other = [(97, 98), (256, 99)], [(98, 99), (97, 256)]
    assert digest(from_ids(one)) == digest(from_ids(tuple(one))) != digest(from_ids(other))


# --- Live retraining --------------------------------------------------------------------------


def live(vocab_size: int = 400, text: str = TEXT) -> Retrainer:
    retrainer = Retrainer(in_memory(text))
    assert retrainer.train(vocab_size)
    return retrainer


def test_every_smaller_vocabulary_is_a_slice_of_the_largest() -> None:
    retrainer = live()
    for vocab_size in (265, 266, 300, 399, 400):
        expected = train_tokenizer(in_memory(), vocab_size=vocab_size)
        assert expected is not None
        assert retrainer.tokenizer(vocab_size).merges == expected.tokenizer.merges


def test_training_goes_on_to_a_larger_vocabulary() -> None:
    retrainer = live(280)
    with pytest.raises(UsageError, match="300 ids are not trained yet; there are 280"):
        retrainer.tokenizer(300)
    assert retrainer.train(300)
    assert retrainer.tokenizer(300).merges == live(300).tokenizer(300).merges
    assert retrainer.train(270)
    assert retrainer.num_merges == 300 - MIN_VOCAB_SIZE


def test_a_text_that_runs_out_of_pairs_gives_its_largest_vocabulary() -> None:
    retrainer = live(MAX_VOCAB_SIZE, "aaaa bbbb")
    assert retrainer.is_exhausted
    assert retrainer.tokenizer(MAX_VOCAB_SIZE).vocab_size < 280
    assert retrainer.train(MAX_VOCAB_SIZE)


def test_another_pattern_counts_the_words_anew() -> None:
    retrainer = live()
    assert retrainer.set_pattern("gpt2")
    assert (retrainer.pattern, retrainer.num_merges) == (GPT2_PATTERN, 0)
    assert retrainer.train(330)
    expected = train_tokenizer(in_memory(), vocab_size=330, reading=Reading(pattern="gpt2"))
    assert expected is not None
    assert retrainer.tokenizer(330).merges == expected.tokenizer.merges
    assert retrainer.tokenizer(330).pattern == GPT2_PATTERN


@pytest.mark.parametrize("pattern", ["(", "[0-9]{99}"])
def test_a_pattern_of_no_use_leaves_what_was_there(pattern: str) -> None:
    retrainer = live()
    before = retrainer.tokenizer(400).merges
    with pytest.raises(UsageError):
        retrainer.set_pattern(pattern)
    assert retrainer.pattern == SPLIT_PATTERN
    assert retrainer.tokenizer(400).merges == before


def test_retraining_can_be_stopped_and_taken_up_again() -> None:
    retrainer = Retrainer(in_memory())
    assert not retrainer.train(400, stop=lambda: True)
    assert retrainer.num_merges == 0
    assert not retrainer.train(400, stop=asked(30))
    assert 0 < retrainer.num_merges < 400 - MIN_VOCAB_SIZE
    assert retrainer.train(400)
    assert retrainer.tokenizer(400).merges == live().tokenizer(400).merges
    assert not retrainer.set_pattern("gpt2", stop=lambda: True)
    assert retrainer.tokenizer(400).merges == live().tokenizer(400).merges


def test_the_replay_tells_each_merge_with_its_count_at_that_moment() -> None:
    retrainer = live()
    merges = retrainer.tokenizer(400).merges or ()
    words = count_words(in_memory())
    assert words is not None
    for rank in (0, 1, 40, len(merges) - 1):
        step = retrainer.replay(rank)
        pieces = [
            (bpe.encode_word(word, merges[:rank]), count)
            for word, count in words.counter.words().items()
        ]
        assert step.pair == merges[rank]
        assert step.count == bpe.count_pairs(pieces)[merges[rank]]
        assert step.token == retrainer.tokenizer(400).tokens[256 + rank]
        assert step.share == pytest.approx(step.count / len(TEXT.encode()))


@pytest.mark.parametrize("rank", [-1, 400 - MIN_VOCAB_SIZE])
def test_a_merge_that_was_not_made_cannot_be_replayed(rank: int) -> None:
    with pytest.raises(UsageError, match="there is no merge"):
        live().replay(rank)


def test_compression_is_that_of_each_size_without_encoding_for_each() -> None:
    retrainer = live()
    text = "the same words, again: tokenizers tokenize 1234 words" + "aaaa" * 9
    sizes = [265, 280, 333, 400, 999]
    found = retrainer.compression(sizes, text)
    expected = [
        len(text.encode()) / len(retrainer.tokenizer(min(size, 400)).encode(text)) for size in sizes
    ]
    assert found == pytest.approx(expected)
    assert retrainer.compression(sizes, "") == []


def test_live_vocabularies_have_an_end() -> None:
    with pytest.raises(UsageError, match="end at 65536"):
        Retrainer(in_memory()).train(MAX_VOCAB_SIZE + 1)
    with pytest.raises(UsageError, match="the least is 265"):
        Retrainer(in_memory()).train(12)


def test_a_tokenizer_of_files_is_ours() -> None:
    result = train_tokenizer(in_memory(), vocab_size=300)
    assert result is not None
    assert isinstance(result.tokenizer, Tokenizer)
    assert result.tokenizer.trained_on == {"num_docs": 1, "num_chars": len(TEXT)}
