"""The text that tokenizers are measured on: a corpus, a run's corpus, or files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runs.errors import LabError, NotFound
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import resolve_training_run
from runs.views.facts import stage_facts

# More text moves no figure in its third digit, and 20 MB take every tokenizer about a second.
MAX_CHARS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusTexts:
    """Documents and what to call them; `is_cut` when there are more than were read."""

    name: str
    texts: list[str]
    is_cut: bool


def read_corpus(home: LabHome, ref: str | None) -> CorpusTexts:
    """Return the validation text of a corpus: a directory, a run's, else the embedded one.

    A directory or file that is no corpus is read as text and parquet files; others are left out.

    Raises:
        NotFound: there is no such corpus, or the embedded one has not been made yet.
    """
    if ref is None:
        return _of_corpus(_embedded(home))
    path = Path(ref).expanduser()
    if (path / "manifest.json").is_file():
        return _of_corpus(path)
    if path.exists():
        return _limited(path.name, _texts_of_files(path))
    return _of_corpus(_of_run(home, ref))


def _embedded(home: LabHome) -> Path:
    from core.data.corpus import find_corpus
    from core.data.sources import embedded_sources

    corpus = find_corpus(home.data_dir, embedded_sources())
    if corpus is None:
        raise NotFound("there is no corpus in the lab home yet; name one with --corpus")
    return corpus.path


def _of_run(home: LabHome, ref: str) -> Path:
    run_dir = resolve_training_run(home, ref)
    made = stage_facts(run_dir, "data").artifacts.get("corpus")
    if made is not None:
        return RunPaths(run_dir).find(str(made["path"]))
    try:
        given = load_record(run_dir).inputs.get("corpus")
    except LabError:
        given = None
    if given is None:
        raise NotFound(f"run {run_dir.name} has no corpus; name a directory with --corpus")
    return RunPaths(run_dir).find(given["path"])


def _of_corpus(path: Path) -> CorpusTexts:
    from core.data.shards import read_texts

    texts = _limited(f"{path.name} validation", read_texts(path, "val"))
    return texts if texts.texts else _limited(f"{path.name} train", read_texts(path, "train"))


def _texts_of_files(path: Path) -> Iterator[str]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise NotFound(f"{path} holds no files")
    for file in files:
        if file.suffix == ".parquet":
            yield from _texts_of_parquet(file)
        else:
            data = file.read_bytes()
            # No text has a zero byte; programs and pictures have one near their start.
            if b"\0" not in data[:8192]:
                yield data.decode("utf-8", errors="replace")


def _texts_of_parquet(file: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            for group in range(table.num_row_groups):
                yield from table.read_row_group(group, columns=["text"])["text"].to_pylist()
    except (pa.ArrowInvalid, KeyError) as error:
        raise NotFound(f"{file} has no column of texts: {error}") from None


def _limited(name: str, texts: Iterator[str]) -> CorpusTexts:
    kept: list[str] = []
    num_chars = 0
    for text in texts:
        if num_chars >= MAX_CHARS:
            return CorpusTexts(name=name, texts=kept, is_cut=True)
        kept.append(text)
        num_chars += len(text)
    return CorpusTexts(name=name, texts=kept, is_cut=False)
