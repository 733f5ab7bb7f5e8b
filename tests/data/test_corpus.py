"""The corpus is the same wherever and however it is built, and is built once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from core.data.corpus import Corpus, build_corpus, documents, find_corpus, split_documents
from core.data.harvest import Block, FileProse
from core.data.shards import read_texts
from core.data.sources import Source
from runs.errors import StageFailed
from tests.data.builders import drain, never

LONG = "The words of this paragraph are many, so that it is a document of a natural length. " * 4


def build(data_dir: Path, source: Source, *, num_processes: int = 1) -> Corpus:
    built = drain(build_corpus(data_dir, [source], num_processes=num_processes, stop=never))
    assert built is not None
    return built


def prose(label: str, *texts: str) -> FileProse:
    block = Block(line=1, heading=None, paragraphs=texts)
    return FileProse(source="fake", label=label, title=label, blocks=(block,))


def paragraphs_of(texts: list[str]) -> set[str]:
    return {paragraph for text in texts for paragraph in text.split("\n\n")}


def test_shards_do_not_depend_on_the_number_of_processes(
    tmp_path: Path, source: Source, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.data.corpus.CHUNK_BYTES", 4000)
    other = build(tmp_path / "data", source, num_processes=2)
    assert other.manifest == corpus.manifest
    for path in corpus.path.iterdir():
        assert (other.path / path.name).read_bytes() == path.read_bytes()


def test_a_paragraph_occurs_once_in_the_corpus() -> None:
    found = list(documents([prose("a", LONG, LONG.upper()), prose("b", LONG, "Fresh. " + LONG)]))
    assert [document.text for document in found] == [f"a\n\n{LONG}", f"b\n\nFresh. {LONG}"]


def test_validation_shares_no_file_and_no_paragraph_with_training(corpus: Corpus) -> None:
    train = list(read_texts(corpus.path, "train"))
    val = list(read_texts(corpus.path, "val"))
    assert train and val
    assert not paragraphs_of(train) & paragraphs_of(val)


def test_validation_is_about_the_wanted_size() -> None:
    found = list(documents(prose(str(index), f"{index} {LONG}") for index in range(400)))
    train, val = split_documents(found, val_chars=5000)
    assert 5000 <= sum(len(document.text) for document in val) < 6000
    assert len(train) + len(val) == 400


def test_manifest_names_the_sources_and_counts_them(corpus: Corpus) -> None:
    manifest = corpus.manifest
    assert manifest.sources == {"fake": "1.0"}
    assert manifest.counts["fake"].num_docs == manifest.num_docs
    assert manifest.counts["fake"].num_chars == manifest.num_chars
    assert corpus.path.name == manifest.corpus_id


def test_finished_corpus_is_found_by_the_versions_of_its_sources(
    tmp_path: Path, source: Source
) -> None:
    built = build(tmp_path, source)
    newer = Source(name=source.name, version="2.0", root=source.root)
    assert find_corpus(tmp_path, [source]) == built
    assert find_corpus(tmp_path, [newer]) is None


def test_damaged_corpus_is_not_found_and_is_replaced(tmp_path: Path, source: Source) -> None:
    built = build(tmp_path, source)
    shard = built.path / "shard_00000.parquet"
    original = shard.read_bytes()
    shard.write_bytes(b"damaged")
    assert find_corpus(tmp_path, [source]) is None
    assert build(tmp_path, source) == built
    assert shard.read_bytes() == original


def test_intact_corpus_keeps_what_others_cached_in_it(tmp_path: Path, source: Source) -> None:
    built = build(tmp_path, source)
    (built.path / "tokens-abc").mkdir()
    build(tmp_path, source)
    assert (built.path / "tokens-abc").is_dir()


def test_stop_leaves_nothing_behind(tmp_path: Path, source: Source) -> None:
    assert drain(build_corpus(tmp_path, [source], num_processes=1, stop=lambda: True)) is None
    assert list(tmp_path.iterdir()) == []


def test_source_without_prose_is_a_plain_failure(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("X = 1\n")
    empty = Source(name="empty", version="1", root=tmp_path)
    with pytest.raises(StageFailed, match="too few"):
        build(tmp_path / "data", empty)


READERS = """
import multiprocessing, sys, time
from core.data.processes import start_child
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pool = context.Pool(1, initializer=start_child)
    print(pool.apply(__import__("os").getpid), flush=True)
    time.sleep(60)
"""


def test_readers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "readers.py"
    script.write_text(READERS)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env={"PYTHONPATH": str(root)}
    ) as parent:
        assert parent.stdout is not None
        reader = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        reader.wait(timeout=10)


def test_a_process_that_reads_documentation_loads_neither_torch_nor_pyarrow() -> None:
    imports = "import sys, core.data.harvest, core.data.processes"
    heavy = "print({'torch', 'pyarrow', 'numpy'} & sys.modules.keys())"
    told = subprocess.run(
        [sys.executable, "-c", f"{imports}; {heavy}"], capture_output=True, text=True, check=True
    )
    assert told.stdout == "set()\n"
