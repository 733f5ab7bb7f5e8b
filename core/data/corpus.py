"""The embedded corpus: harvests the documentation on this machine into hashed shards.

Deterministic: the same packages give the same shards bit for bit, with any number of
processes. A finished corpus is found again by the versions it was made from.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from core.data import harvest, prose, shard_writer, shards, sources
from core.data.harvest import FileProse, read_files
from core.data.processes import start_child, usable_cores
from core.data.publish import building_directory, publish
from core.data.shard_writer import write_shards
from core.data.shards import Manifest, SourceCount, load_manifest
from core.data.sources import Source, SourceFile, source_files
from core.files import replace_file
from runs.errors import Corrupt, NotFound, StageFailed
from runs.events import Progress

# The corpus does not follow the seed of a run: runs must share their validation text.
CORPUS_SEED = 20_260_101
VAL_CHARS = 500_000
VAL_SHARE = 0.05
MIN_DOC_CHARS = 200
GOOD_DOC_CHARS = 1200
MAX_DOC_CHARS = 4000
CHUNK_BYTES = 1_500_000
MAX_READERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A complete corpus on disk."""

    path: Path
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One training text, and the file whose prose it is."""

    source: str
    label: str
    text: str


def find_corpus(data_dir: Path, found: Sequence[Source]) -> Corpus | None:
    """Return the corpus that was made from these sources by this code, if it is intact."""
    return remembered(_pointer(data_dir, found), verify=True)


def remembered(pointer: Path, *, verify: bool = False) -> Corpus | None:
    """Return the corpus that a file beside it names, if it is there; `verify` hashes its shards."""
    try:
        path = pointer.parent / str(json.loads(pointer.read_text(encoding="utf-8"))["corpus_id"])
        return Corpus(path=path, manifest=load_manifest(path, verify=verify))
    except (OSError, ValueError, KeyError, TypeError, NotFound, Corrupt):
        return None


def remember(pointer: Path, corpus: Path) -> None:
    """Write the file that names a corpus beside it."""
    replace_file(pointer, json.dumps({"corpus_id": corpus.name}).encode())


def build_corpus(
    data_dir: Path,
    found: Sequence[Source],
    *,
    num_processes: int,
    stop: Callable[[], bool],
) -> Generator[Progress, None, Corpus | None]:
    """Harvest the sources and publish the shards; return None when told to stop.

    The caller holds the lock of the data directory.
    """
    files = [file for source in found for file in source_files(source)]
    read = yield from read_in_processes(files, num_processes=num_processes, stop=stop)
    if read is None:
        return None
    train, val = split_documents(list(documents(read)))
    by_source: dict[str, list[str]] = {source.name: [] for source in found}
    for document in (*train, *val):
        by_source[document.source].append(document.text)
    counts = {
        name: SourceCount(num_docs=len(texts), num_chars=sum(map(len, texts)))
        for name, texts in by_source.items()
    }
    with building_directory(data_dir) as building:
        manifest = write_shards(
            building,
            train=[document.text for document in train],
            val=[document.text for document in val],
            sources={source.name: source.version for source in found},
            counts=counts,
        )
        final = data_dir / manifest.corpus_id
        # Runs may be reading an intact copy, and their token caches lie in it.
        if not _is_intact(final, manifest):
            publish(building, final)
    remember(_pointer(data_dir, found), final)
    return Corpus(path=final, manifest=manifest)


def read_in_processes(
    files: Sequence[SourceFile], *, num_processes: int, stop: Callable[[], bool]
) -> Generator[Progress, None, list[FileProse] | None]:
    """Return the prose of all files in their order; None when told to stop."""
    chunks = list(_chunks(files))
    results: dict[int, list[FileProse]] = {}
    for index, result in _mapped(chunks, num_processes):
        results[index] = result
        num_done = sum(len(chunks[done]) for done in results)
        yield Progress(done=num_done, total=len(files), unit="files", label="reading documentation")
        if stop():
            return None
    return [file for index in range(len(chunks)) for file in results[index]]


def documents(files: Iterable[FileProse]) -> Iterator[Document]:
    """Yield documents of neighbouring paragraphs; a paragraph occurs once in the corpus."""
    seen: set[bytes] = set()
    for file in files:
        pieces = []
        for block in file.blocks:
            fresh = [text for text in block.paragraphs if _is_new(text, seen)]
            if fresh and block.heading:
                fresh[0] = f"{block.heading}: {fresh[0]}"
            pieces.extend(fresh)
        for text in _grouped(pieces):
            yield Document(source=file.source, label=file.label, text=f"{file.title}\n\n{text}")


def split_documents(
    found: Sequence[Document], *, val_chars: int = VAL_CHARS
) -> tuple[list[Document], list[Document]]:
    """Return shuffled (train, validation) documents; a file is on one side only."""
    by_file: dict[str, list[Document]] = {}
    for document in found:
        by_file.setdefault(f"{document.source}/{document.label}", []).append(document)
    if len(by_file) < 2:
        raise StageFailed(
            f"the documentation of this Python gave {len(found)} documents, too few to train on; "
            "install labcli with its dependencies"
        )
    wanted = min(val_chars, VAL_SHARE * sum(len(document.text) for document in found))
    val: list[Document] = []
    train: list[Document] = []
    num_chars = 0
    for name in sorted(by_file, key=lambda name: hashlib.sha256(name.encode()).digest()):
        side = val if num_chars < wanted else train
        side.extend(by_file[name])
        num_chars += sum(len(document.text) for document in by_file[name])
    rng = random.Random(CORPUS_SEED)
    rng.shuffle(train)
    rng.shuffle(val)
    return train, val


def _is_intact(path: Path, manifest: Manifest) -> bool:
    try:
        return load_manifest(path, verify=True) == manifest
    except (NotFound, Corrupt):
        return False


def _is_new(paragraph: str, seen: set[bytes]) -> bool:
    digest = hashlib.blake2b(paragraph.casefold().encode(), digest_size=16).digest()
    if digest in seen:
        return False
    seen.add(digest)
    return True


def _grouped(pieces: Sequence[str]) -> Iterator[str]:
    """Yield runs of paragraphs of a natural length; a short rest joins the run before it."""
    runs: list[str] = []
    for piece in pieces:
        joined = f"{runs[-1]}\n\n{piece}" if runs else piece
        is_room = bool(runs) and len(joined) <= MAX_DOC_CHARS
        if is_room and len(runs[-1]) < GOOD_DOC_CHARS:
            runs[-1] = joined
        else:
            runs.append(piece)
    if len(runs) > 1 and len(runs[-1]) < MIN_DOC_CHARS:
        rest = runs.pop()
        runs[-1] = f"{runs[-1]}\n\n{rest}"
    yield from (run for run in runs if len(run) >= MIN_DOC_CHARS)


def _pointer(data_dir: Path, found: Sequence[Source]) -> Path:
    """Return the file that remembers which corpus these sources and this code gave."""
    digest = hashlib.sha256()
    for module in (harvest, prose, shard_writer, shards, sources):
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(Path(__file__).read_bytes())
    for source in found:
        digest.update(f"{source.name}={source.version}@{source.root}\n".encode())
    return data_dir / f"harvest-{digest.hexdigest()[:16]}.json"


def _chunks(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, ...]]:
    held: list[SourceFile] = []
    for file in files:
        held.append(file)
        if sum(other.num_bytes for other in held) >= CHUNK_BYTES:
            yield tuple(held)
            held = []
    if held:
        yield tuple(held)


def _mapped(
    chunks: Sequence[tuple[SourceFile, ...]], num_processes: int
) -> Iterator[tuple[int, list[FileProse]]]:
    """Yield (index, result) as they come; one process works without a pool."""
    if num_processes <= 1:
        for index, chunk in enumerate(chunks):
            yield index, read_files(chunk)
        return
    # spawn: a fork would copy the locks of whatever threads this process runs.
    pool = ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start_child,
    )
    try:
        indices = {pool.submit(read_files, chunk): i for i, chunk in enumerate(chunks)}
        for future in as_completed(indices):
            yield indices[future], future.result()
    except BrokenProcessPool:
        raise StageFailed(
            "a process that read documentation was killed, perhaps for lack of memory; run again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def num_readers() -> int:
    """Return how many processes the harvest uses: one per usable core, up to a limit."""
    return min(usable_cores(), MAX_READERS)
