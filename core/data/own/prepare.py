"""A corpus of a person's own files: shuffled, cut into shards, with a pinned validation shard.

Which documents are validation text depends on their content alone: adding files moves none to
the other side, and a document that occurs twice is never on both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core.data.corpus import Corpus, remember, remembered
from core.data.own.documents import DocumentFile, find_files, read_documents
from core.data.own.shuffle import Shuffle, stable_hash
from core.data.publish import building_directory, publish
from core.data.remote.known import REMOTE_CORPORA
from core.data.shard_writer import ShardWriter
from core.data.shards import Manifest, load_manifest
from runs.errors import Corrupt, NotFound, UsageError
from runs.events import Progress

VERSION = 1
REPORT_DOCS = 2000
_ALL_HASHES = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How files become a corpus.

    shard_chars: characters after which a shard is closed, on a whole row group.
    val_share: share of the documents that are kept for validation; at least one is.
    """

    name: str
    column: str = "text"
    seed: int = 42
    val_share: float = 0.005
    shard_chars: int = 250_000_000
    memory_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if not 0 < self.val_share < 1:
            raise UsageError(f"the validation share is between 0 and 1, not {self.val_share}")
        if self.name in (*REMOTE_CORPORA, "embedded") or not self.name.strip():
            raise UsageError(f"a corpus of your own cannot be called {self.name!r}")


def find_prepared(
    data_dir: Path, files: Sequence[DocumentFile], how: Preparation, *, verify: bool = False
) -> Corpus | None:
    """Return the corpus that these files gave before, if they are unchanged and it is there whole.

    verify: hash its shards.
    """
    return remembered(_pointer(data_dir, files, how), verify=verify)


def prepare_corpus(
    data_dir: Path,
    files: Sequence[DocumentFile],
    how: Preparation,
    *,
    stop: Callable[[], bool],
) -> Generator[Progress, None, Corpus | None]:
    """Shuffle the documents of files into a corpus; return None when told to stop.

    The caller holds the lock of the data directory.

    Raises:
        UsageError: the files hold too few documents, or not the column.
        Corrupt: a file cannot be read.
    """
    expected = sum(file.estimated_text_bytes for file in files)
    with building_directory(data_dir) as aside, building_directory(data_dir) as building:
        shuffle = Shuffle(
            aside, seed=how.seed, expected_bytes=expected, memory_bytes=how.memory_bytes
        )
        lowest = yield from _read(shuffle, files, how, stop)
        if lowest is None:
            return None
        # Without this a small corpus might have no validation text at all.
        limit = max(lowest, int(how.val_share * _ALL_HASHES))
        manifest = yield from _write(shuffle, building, how, limit, stop)
        if manifest is None:
            return None
        corpus = _published(data_dir, building, manifest)
    remember(_pointer(data_dir, files, how), corpus.path)
    return corpus


def prepared_files(names: Sequence[Path]) -> list[DocumentFile]:
    """Return the files to make a corpus of, each once; see find_files."""
    found = find_files([path.expanduser().resolve() for path in names])
    return list(dict.fromkeys(found))


def _read(
    shuffle: Shuffle, files: Sequence[DocumentFile], how: Preparation, stop: Callable[[], bool]
) -> Generator[Progress, None, int | None]:
    """Deal all documents; return the lowest hash of their contents, or None when stopped."""
    lowest = _ALL_HASHES
    num_bytes = 0
    total = sum(file.num_bytes for file in files)
    for number, file in enumerate(files, start=1):
        label = f"reading file {number} of {len(files)}"
        for text in read_documents(file, how.column):
            mark = stable_hash(text.encode())
            lowest = min(lowest, mark)
            shuffle.add(text, mark)
            if shuffle.num_docs % REPORT_DOCS == 1:
                if stop():
                    return None
                yield Progress(done=num_bytes, total=total, unit="bytes", label=label)
        num_bytes += file.num_bytes
        yield Progress(done=num_bytes, total=total, unit="bytes", label=label)
    if stop():
        return None
    return lowest


def _write(
    shuffle: Shuffle, building: Path, how: Preparation, limit: int, stop: Callable[[], bool]
) -> Generator[Progress, None, Manifest | None]:
    writer = ShardWriter(building, shard_chars=how.shard_chars)
    num_val = 0
    for number, (text, mark) in enumerate(shuffle.sorted(), start=1):
        is_val = mark <= limit
        num_val += is_val
        writer.add(text, "val" if is_val else "train")
        if number % REPORT_DOCS == 1:
            if stop():
                return None
            yield Progress(
                done=number, total=shuffle.num_docs, unit="documents", label="writing shards"
            )
    if num_val == shuffle.num_docs:
        raise UsageError(
            f"{shuffle.num_docs:,} documents, too few or too much alike to train on and to "
            "validate; name more files"
        )
    return writer.finish(sources={how.name: f"own text, shuffled with seed {how.seed}"})


def _published(data_dir: Path, building: Path, manifest: Manifest) -> Corpus:
    final = data_dir / manifest.corpus_id
    try:
        kept = load_manifest(final, verify=True)
        # Runs may be reading it, and their token caches lie in it.
        return Corpus(path=final, manifest=kept)
    except (NotFound, Corrupt):
        publish(building, final)
        return Corpus(path=final, manifest=manifest)


def _pointer(data_dir: Path, files: Sequence[DocumentFile], how: Preparation) -> Path:
    """Return the file that remembers which corpus these files and settings gave."""
    settings = {key: value for key, value in asdict(how).items() if key != "memory_bytes"}
    digest = hashlib.sha256(json.dumps([VERSION, settings], sort_keys=True).encode())
    for file in files:
        state = file.path.stat()
        digest.update(f"{file.path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return data_dir / f"prepared-{digest.hexdigest()[:16]}.json"
