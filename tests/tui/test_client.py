"""The client and its server process: real children over a tiny model."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from runs.errors import LabError
from runs.paths import LabHome
from tests.tui.answering import ENDLESS, ask
from tui.chunks import Chunk
from tui.client import LabClient, ServerGone

DEADLINE_S = 20.0


@asynccontextmanager
async def client_of(home: LabHome) -> AsyncIterator[LabClient]:
    client = LabClient(home)
    try:
        yield client
    finally:
        await client.close()


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_killed_server_breaks_one_answer_off_and_the_next_question_starts_another(
    lab: LabHome,
) -> None:
    async with client_of(lab) as client:
        num_seen = 0
        with pytest.raises(ServerGone, match="was ended by SIGKILL"):
            async for _ in client.answer(ask(max_new_tokens=4000)):
                num_seen += 1
                if num_seen == 3:
                    assert client.server.pid is not None
                    os.kill(client.server.pid, signal.SIGKILL)
        assert client.server.num_starts == 1
        chunks = [chunk async for chunk in client.answer(ask(max_new_tokens=12))]
        texts = await client.token_texts(ENDLESS, [72, 105])
        with pytest.raises(LabError, match="no run matches 'nothing'"):
            _ = [chunk async for chunk in client.answer(ask(model="nothing"))]
        assert client.server.num_starts == 2
        pid = client.server.pid
        assert pid is not None
    check_answer(chunks)
    assert texts == ["H", "i"]
    deadline = time.monotonic() + DEADLINE_S
    while not is_gone(pid):
        assert time.monotonic() < deadline, "the server outlived its app"
        await asyncio.sleep(0.02)


def check_answer(chunks: list[Chunk]) -> None:
    """A probe with every token, and the figures at the end."""
    tokens = [chunk for chunk in chunks if chunk.token_id is not None]
    assert len(tokens) == 12
    assert all((chunk.entropy_nats or 0) > 0 and len(chunk.top) == 5 for chunk in tokens)
    ending = chunks[-1].ending
    assert ending is not None
    assert (ending.finish, ending.num_tokens, ending.trained) == ("length", 12, 512)
    assert (ending.ttft_s or 0) > 0 and (ending.tok_per_sec or 0) > 0
    assert ending.used > 12


async def test_a_home_without_models_says_why_the_server_does_not_start(tmp_path: Path) -> None:
    async with client_of(LabHome(tmp_path)) as client:
        with pytest.raises(LabError, match=r"did not start: .*no runs in"):
            _ = [chunk async for chunk in client.answer(ask(model="tiny:mid"))]
        assert client.server.phase == "off"
