"""Which format a file has, and which files of a directory are runs of another tool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runs.errors import Corrupt, NotFound, UsageError
from runs.importers import tensorboard, trackio, wandb_log
from runs.importers.nanochat import parse_line
from runs.importers.rows import read_csv, read_jsonl, read_nanochat
from runs.importers.source import ForeignRun, Format

_HEAD_BYTES = 65536
_LIKELY = frozenset({".wandb", ".db", ".log", ".txt", ".out"})
_READERS: Mapping[str, Callable[[Path], list[ForeignRun]]] = {
    "wandb": wandb_log.read_wandb,
    "trackio": trackio.read_trackio,
    "nanochat": read_nanochat,
    "csv": read_csv,
    "jsonl": read_jsonl,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The files of one source: several for TensorBoard, otherwise one."""

    format: Format
    paths: tuple[Path, ...]
    name: str


def find_sources(path: Path, form: Format | None) -> list[Found]:
    """Return what can be imported from a file, or from a directory and those below it.

    Raises:
        NotFound: there is nothing there.
        UsageError: a file whose format cannot be told.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist")
    if path.is_file():
        chosen = form or detect(path)
        if chosen is None:
            raise UsageError(
                f"the format of {path} cannot be told; add --format wandb, tensorboard, trackio, "
                "nanochat, csv or jsonl"
            )
        return [Found(format=chosen, paths=(path,), name=path.parent.name or path.stem)]
    found = list(_walk(path, form))
    if not found:
        raise NotFound(f"{path} holds no run of wandb, TensorBoard or trackio, and no log")
    return found


def read_source(found: Found) -> list[ForeignRun]:
    """Return the runs of a source; Corrupt when it cannot be read as what it is."""
    try:
        if found.format == "tensorboard":
            return tensorboard.read_tensorboard(list(found.paths), found.name)
        return _READERS[found.format](found.paths[0])
    except OSError as error:
        raise Corrupt(f"{found.paths[0]} cannot be read: {error.strerror}") from None


def detect(path: Path) -> Format | None:
    """Return the format of a file by its first bytes, then by its name; None for any other."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    if head[:4] == wandb_log.MAGIC:
        return "wandb"
    if tensorboard.is_event_file(path):
        return "tensorboard"
    if head[: len(trackio.MAGIC)] == trackio.MAGIC:
        return "trackio"
    text = head.decode("utf-8", errors="replace")
    if path.suffix in (".jsonl", ".ndjson") or text.lstrip()[:1] == "{":
        return "jsonl"
    if path.suffix in (".csv", ".tsv"):
        return "csv"
    if path.suffix == ".wandb":
        return "wandb"
    if any(parse_line(part) for line in text.split("\n") for part in line.split("\r")):
        return "nanochat"
    return None


def _walk(directory: Path, form: Format | None) -> Iterator[Found]:
    events: dict[Path, list[Path]] = {}
    # One file may have several names: wandb links to the latest run.
    seen: set[Path] = set()
    for path in sorted(directory.rglob("*")):
        real = path.resolve()
        if real in seen or not path.is_file():
            continue
        if tensorboard.is_event_file(path):
            seen.add(real)
            events.setdefault(path.parent, []).append(path)
        elif (kind := _kind_in_directory(path, form)) is not None:
            seen.add(real)
            yield Found(format=kind, paths=(path,), name=path.stem)
    for parent, paths in events.items():
        if form in (None, "tensorboard"):
            name = str(parent.relative_to(directory)) if parent != directory else parent.name
            yield Found(format="tensorboard", paths=tuple(paths), name=name)


def _kind_in_directory(path: Path, form: Format | None) -> Format | None:
    """Return the format of a file that nobody named: only where it is unmistakable."""
    kind = detect(path) if path.suffix in _LIKELY or form else None
    if form is not None:
        return kind if kind == form else None
    if kind == "trackio":
        return kind if trackio.is_project(path) else None
    return kind if kind in ("wandb", "nanochat") else None
