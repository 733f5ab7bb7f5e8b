"""A small package tree to harvest instead of the real ones, and what is made from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.data.conversations import Material, gather_material
from core.data.corpus import Corpus, build_corpus
from core.data.sources import Source
from core.stages.context import StageContext
from tests.data.builders import drain, never, write_package


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A source of some 40 KB of prose."""
    root = tmp_path_factory.mktemp("site") / "fake"
    write_package(root)
    return Source(name="fake", version="1.0", root=root)


@pytest.fixture(scope="session")
def corpus(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus of the source; tests that damage one make their own."""
    data_dir = tmp_path_factory.mktemp("data")
    built = drain(build_corpus(data_dir, [source], num_processes=1, stop=never))
    assert built is not None
    return built


@pytest.fixture(scope="session")
def material(corpus: Corpus) -> Material:
    """Words and facts for conversations."""
    return gather_material(corpus.path)


@pytest.fixture
def context(tmp_path: Path) -> Callable[[], StageContext]:
    """Makes the context of a data stage with a data directory of its own."""

    def make() -> StageContext:
        return StageContext(
            stage="data",
            run_dir=tmp_path / "run",
            artifacts_dir=tmp_path / "run" / "artifacts" / "data",
            checkpoints_dir=tmp_path / "run" / "checkpoints" / "data",
            data_dir=tmp_path / "data",
            inputs={},
        )

    return make
