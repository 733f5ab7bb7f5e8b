"""Where the embedded corpus is read from: a fixed list, whatever else is installed.

Every package here is one that labcli itself needs, or one that those cannot run without.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Distribution name -> import directory, where the two differ.
PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "duckdb": "duckdb",
    "textual": "textual",
    "rich": "rich",
    "typer": "typer",
    "tiktoken": "tiktoken",
    "safetensors": "safetensors",
    "psutil": "psutil",
    "sympy": "sympy",
    "mpmath": "mpmath",
    "networkx": "networkx",
    "jinja2": "jinja2",
    "fsspec": "fsspec",
    "filelock": "filelock",
    "regex": "regex",
    "requests": "requests",
    "urllib3": "urllib3",
    "markdown-it-py": "markdown_it",
    "pygments": "pygments",
    "platformdirs": "platformdirs",
}
# Directories without documentation in prose: tests, vendored copies, code tables.
_SKIPPED_DIRS = frozenset(
    """test tests testing _testing _test idlelib lib2to3 encodings site-packages dist-packages
    __pycache__ _vendor vendored include __phello__ turtledemo lib-dynload bin lexers
    """.split()
)
_TEXT_SUFFIXES = (".rst", ".md", ".txt")
_MAX_FILE_BYTES = 1_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One package to read: a directory, the files beside it, and the version they have."""

    name: str
    version: str
    root: Path
    extra_files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a source; `label` is its path below the source, the same everywhere."""

    source: str
    path: Path
    label: str
    num_bytes: int


def embedded_sources() -> tuple[Source, ...]:
    """Return the standard library and the packages of the fixed list that are present."""
    found = [
        Source(
            name="python",
            version=platform.python_version(),
            root=Path(sysconfig.get_path("stdlib")),
        )
    ]
    for name, directory in PACKAGES.items():
        source = _installed(name, directory)
        if source is not None:
            found.append(source)
    return tuple(found)


def _installed(name: str, directory: str) -> Source | None:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    root = Path(str(distribution.locate_file(directory)))
    if not root.is_dir():
        return None
    readme = next((file for file in distribution.files or () if file.name == "METADATA"), None)
    extra = () if readme is None else (Path(str(distribution.locate_file(readme))),)
    return Source(name=name, version=distribution.version, root=root, extra_files=extra)


def source_files(source: Source) -> Iterator[SourceFile]:
    """Yield the readable files of a source, ordered by their path below it."""
    found = sorted(_walk(source.root), key=lambda path: path.relative_to(source.root).as_posix())
    for path in (*found, *source.extra_files):
        is_inside = path.is_relative_to(source.root)
        label = path.relative_to(source.root).as_posix() if is_inside else path.name
        size = path.stat().st_size
        if size <= _MAX_FILE_BYTES:
            yield SourceFile(source=source.name, path=path, label=label, num_bytes=size)


def _walk(directory: Path) -> Iterator[Path]:
    for entry in directory.iterdir():
        if entry.is_dir():
            if entry.name not in _SKIPPED_DIRS and not entry.name.startswith("config-"):
                yield from _walk(entry)
        elif _is_readable(entry):
            yield entry


def _is_readable(file: Path) -> bool:
    is_text = file.suffix == ".py" or file.suffix in _TEXT_SUFFIXES
    return is_text and not file.name.startswith("test_") and "LICEN" not in file.name.upper()
