"""One lab home and one server for all tests that change neither; others start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from runs.paths import LabHome
from tests.serve.builders import Server, build_lab, start_server

Start = Callable[..., Server]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabHome:
    return build_lab(tmp_path_factory.mktemp("serve") / "lab")


@pytest.fixture(scope="session")
def server(lab: LabHome) -> Iterator[Server]:
    started = start_server(lab)
    try:
        yield started.wait_ready()
    finally:
        started.close()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


@pytest.fixture
def start(lab: LabHome) -> Iterator[Start]:
    """Start a server of the test's own; it is gone when the test ends."""
    started: list[Server] = []

    def begin(*words: str, **options: object) -> Server:
        started.append(start_server(lab, *words, **options))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for one in started:
        one.close()
