"""The generated conversations: what `mid` and `sft` train on, and the questions held out.

Every row has a generator of its own, seeded by run seed, file and row number, so the files do
not depend on each other's length. The test does not follow the seed: runs share it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sysconfig
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

from core.data import harvest, prose
from core.data.publish import building_directory, publish
from core.data.shards import file_sha256, read_texts
from core.engine import tools
from core.settings.text import DataConfig
from core.tasks import arithmetic, counting, exchange, identity, spelling, standard_library, words
from core.tasks.exchange import Exchange, messages
from core.tasks.standard_library import Fact, library_facts, manual
from core.tasks.words import WordSplit, corpus_words, split_words
from runs.errors import Corrupt, NotFound, StageFailed
from runs.events import Progress

MANIFEST = "manifest.json"
VERSION = 1
TEST_SEED = 20_260_102
PROGRESS_ROWS = 2000
# The words of so much text are more than any number of questions uses.
MATERIAL_CHARS = 50_000_000
# What the corpus's own id tells already.
_SETTINGS_OF_THE_TEXT = ("corpus", "num_shards", "shards_ahead")

# Shares of the mixture. Copying an expression and learning the letters of a few thousand
# tokens take the most examples; counting reuses both; the rest is memory and may stay thin.
SHARES: Mapping[str, float] = {
    arithmetic.NAME: 0.30,
    spelling.NAME: 0.30,
    counting.NAME: 0.25,
    standard_library.NAME: 0.10,
    identity.NAME: 0.05,
}
GRADED = (arithmetic.NAME, counting.NAME, spelling.NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How free a file is: in its phrasing, and in the number of questions per conversation."""

    variety: float
    follow_up_share: float


# Midtraining drills few forms until they hold; fine-tuning meets more of them, and talks on.
STYLES: Mapping[str, Style] = {
    "mid": Style(variety=0.3, follow_up_share=0.05),
    "sft": Style(variety=0.6, follow_up_share=0.25),
}
TEST_VARIETY = 0.3
_CODE: tuple[ModuleType, ...] = (
    arithmetic, counting, exchange, identity, standard_library, spelling, words, harvest, prose,
    tools,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What conversations are about, besides numbers."""

    words: WordSplit
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """One JSONL file; `tasks` counts its exchanges by task."""

    name: str
    sha256: str
    bytes: int
    num_rows: int
    tasks: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """A complete conversations directory."""

    path: Path
    files: tuple[FileInfo, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


def find_conversations(data_dir: Path, config: DataConfig, corpus_id: str) -> Conversations | None:
    """Return the conversations that these settings gave before, if they are intact."""
    path = conversations_dir(data_dir, config, corpus_id)
    try:
        return load_conversations(path)
    except (NotFound, Corrupt):
        return None


def load_conversations(path: Path) -> Conversations:
    """Return what a conversations directory holds, every file checked against its hash.

    Raises:
        NotFound: the directory has no manifest.
        Corrupt: the manifest is malformed, or a file is missing or differs from it.
    """
    manifest = path / MANIFEST
    try:
        body = json.loads(manifest.read_text(encoding="utf-8"))
        if body["v"] != VERSION:
            raise ValueError
        files = tuple(FileInfo(**file) for file in body["files"])
    except FileNotFoundError:
        raise NotFound(f"{path} holds no conversations; run the data stage first") from None
    except (ValueError, KeyError, TypeError):
        raise Corrupt(f"{manifest} is not a manifest of version {VERSION}") from None
    for file in files:
        target = path / Path(file.name).name
        if not target.is_file() or file_sha256(target) != file.sha256:
            raise Corrupt(f"{target} is missing or differs from its hash; run the data stage again")
    return Conversations(path=path, files=files)


def conversations_dir(data_dir: Path, config: DataConfig, corpus_id: str) -> Path:
    """Return where the conversations of these settings lie, made by this code."""
    settings = {
        key: value for key, value in asdict(config).items() if key not in _SETTINGS_OF_THE_TEXT
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(f"{corpus_id} python {platform.python_version()}".encode())
    for module in _CODE:
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(Path(__file__).read_bytes())
    return data_dir / f"conversations-{digest.hexdigest()[:16]}"


def build_conversations(
    data_dir: Path,
    config: DataConfig,
    *,
    corpus_dir: Path,
    stop: Callable[[], bool],
) -> Generator[Progress, None, Conversations | None]:
    """Write the three files and publish them; return None when told to stop.

    The caller holds the lock of the data directory.
    """
    material = gather_material(corpus_dir)
    writers = {
        "mid": (training_rows("mid", config.num_mid, config.seed, material), config.num_mid),
        "sft": (training_rows("sft", config.num_sft, config.seed, material), config.num_sft),
        "test": (held_out_rows(config.num_test, material), len(GRADED) * config.num_test),
    }
    files = []
    with building_directory(data_dir) as building:
        for name, (rows, num_rows) in writers.items():
            path = building / f"{name}.jsonl"
            info = yield from _write_rows(path, rows, num_rows=num_rows, stop=stop)
            if info is None:
                return None
            files.append(info)
        body = {
            "v": VERSION,
            "seed": config.seed,
            "corpus_id": corpus_dir.name,
            "files": [asdict(file) for file in files],
        }
        text = json.dumps(body, indent=1, sort_keys=True)
        (building / MANIFEST).write_text(text + "\n", encoding="utf-8")
        final = conversations_dir(data_dir, config, corpus_dir.name)
        publish(building, final)
    return Conversations(path=final, files=tuple(files))


def gather_material(corpus_dir: Path) -> Material:
    """Return the words of a corpus and the facts of the standard library.

    Text that is short or in another script gives too few words: Python's manual lends its own.
    """
    stdlib = Path(sysconfig.get_path("stdlib"))
    facts = library_facts(stdlib)
    fixed_texts = tuple(_fixed_texts(facts))
    found = corpus_words(_limited(read_texts(corpus_dir, "train")))
    split = split_words(found, fixed_texts=fixed_texts)
    if not split.is_enough:
        split = split_words({*found, *corpus_words(manual(stdlib))}, fixed_texts=fixed_texts)
    if not split.is_enough:
        raise StageFailed(
            f"the corpus gave {len(found)} words to spell, too few, and this Python has no "
            "pydoc_data to take others from; use a larger corpus"
        )
    return Material(words=split, facts=facts)


def _limited(texts: Iterable[str]) -> Iterator[str]:
    num_chars = 0
    for text in texts:
        yield text
        num_chars += len(text)
        if num_chars >= MATERIAL_CHARS:
            return


def training_rows(
    file: str, num_rows: int, seed: int, material: Material
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a training file: {"task", "messages"}, the task of the first question."""
    style = STYLES[file]
    for index in range(num_rows):
        rng = Random(f"{seed}/{file}/{index}")
        num_exchanges = 1
        if rng.random() < style.follow_up_share:
            num_exchanges = rng.choice((2, 2, 3))
        tasks = rng.choices(list(SHARES), list(SHARES.values()), k=num_exchanges)
        exchanges = [_generate(task, rng, material, style.variety) for task in tasks]
        yield {"task": tasks[0], "messages": messages(exchanges)}


def held_out_rows(num_items: int, material: Material) -> Iterator[dict[str, Any]]:
    """Yield {"task", "messages", "answer"} for each graded task, nothing asked twice."""
    for task in GRADED:
        asked: set[str] = set()
        for item in _held_out(task, material):
            if len(asked) == num_items:
                break
            if item.reply[0].text not in asked:
                asked.add(item.reply[0].text)
                question = {"role": "user", "content": item.question}
                yield {"task": task, "messages": [question], "answer": item.answer}


def _held_out(task: str, material: Material) -> Iterator[Exchange]:
    """Yield questions with held-out material; a small corpus has fewer words than items."""
    rng = Random(f"{TEST_SEED}/{task}")
    held_out = list(material.words.held_out)
    rng.shuffle(held_out)
    for index in range(100 * len(held_out)):
        word = held_out[index % len(held_out)]
        if task == arithmetic.NAME:
            yield arithmetic.generate(rng, is_held_out=True, variety=TEST_VARIETY)
        elif task == counting.NAME:
            yield counting.generate(rng, word, variety=TEST_VARIETY)
        else:
            yield spelling.generate(rng, word, variety=TEST_VARIETY)


def _generate(task: str, rng: Random, material: Material, variety: float) -> Exchange:
    if task == arithmetic.NAME:
        return arithmetic.generate(rng, is_held_out=False, variety=variety)
    if task == counting.NAME:
        return counting.generate(rng, rng.choice(material.words.train), variety=variety)
    if task == spelling.NAME:
        return spelling.generate(rng, rng.choice(material.words.train), variety=variety)
    if task == standard_library.NAME:
        return standard_library.generate(rng, rng.choice(material.facts), variety=variety)
    return identity.generate(rng)


def _fixed_texts(facts: tuple[Fact, ...]) -> Iterator[str]:
    for module in (arithmetic, counting, spelling, identity):
        yield from module.fixed_texts()
    yield from standard_library.fixed_texts(facts)


def _write_rows(
    path: Path, rows: Iterable[dict[str, Any]], *, num_rows: int, stop: Callable[[], bool]
) -> Generator[Progress, None, FileInfo | None]:
    """Write rows as JSONL and return the file's facts; None when told to stop."""
    tasks: Counter[str] = Counter()
    with open(path, "w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            tasks[row["task"]] += 1
            if tasks.total() % PROGRESS_ROWS == 1:
                if stop():
                    return None
                yield Progress(
                    done=tasks.total(), total=num_rows, unit="rows", label=f"writing {path.name}"
                )
    num_rows = tasks.total()
    yield Progress(done=num_rows, total=num_rows, unit="rows", label=f"writing {path.name}")
    return FileInfo(
        name=path.name,
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        num_rows=num_rows,
        tasks=dict(sorted(tasks.items())),
    )
