"""Many calls at once, of which some leave early: every other one is answered in full."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import psutil
import pytest

from tests.serve.builders import DEADLINE_S, Server, endless, read_events
from tests.serve.conftest import Start

# What clients have left unread is no longer computed after this time.
IDLE_S = 20.0
WINDOW_S = 0.5
WORDS = ("cat", "dog", "owl", "fox")


@dataclass
class Load:
    """What became of the calls; `texts` holds the different answers to each prompt."""

    num_complete: int = 0
    num_left: int = 0
    num_crashed: int = 0
    problems: list[str] = field(default_factory=list)
    texts: dict[str, set[str]] = field(default_factory=dict)


async def put_under_load(
    server: Server, num_calls: int, at_once: int, *, seed: int, kill_after: int | None = None
) -> Load:
    """Make the calls, a fifth of which leave at random; kill a worker after some of them."""
    load, chance, gate = Load(), random.Random(seed), asyncio.Semaphore(at_once)
    plans = [
        (chance.choice(WORDS), chance.randrange(16, 96), chance.random() < 0.2)
        for _ in range(num_calls)
    ]

    async def one(number: int, client: httpx.AsyncClient) -> None:
        word, max_tokens, is_leaving = plans[number]
        async with gate:
            if number == kill_after:
                stats = (await client.get("/stats")).json()
                busiest = max(stats["workers"], key=lambda worker: worker["running"])
                os.kill(busiest["pid"], signal.SIGKILL)
            leave_after = chance.randrange(1, 8) if is_leaving else None
            await call(load, client, f"say {word}", max_tokens, leave_after)

    async with server.async_client() as client, asyncio.timeout(10 * DEADLINE_S):
        await asyncio.gather(*(one(number, client) for number in range(num_calls)))
        await idle(await settled(client))
    return load


async def call(
    load: Load, client: httpx.AsyncClient, text: str, max_tokens: int, leave_after: int | None
) -> None:
    """Make one streamed call and note what became of it."""
    body = endless(max_tokens=max_tokens)
    body["messages"][0]["content"] = text
    events: list[Any] = []
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            await response.aread()
            is_crash = response.json()["error"]["code"] == "worker_crashed"
            load.num_crashed += is_crash
            if not is_crash:
                load.problems.append(response.text)
            return
        async for event in read_events(response):
            events.append(event)
            if leave_after is not None and len(events) == leave_after:
                load.num_left += 1
                return
    errors = [event for event in events if "error" in event]
    if errors and errors[0]["error"]["code"] == "worker_crashed" and len(errors) == 1:
        load.num_crashed += 1
    elif errors or events[-1] != "[DONE]" or events[-2]["choices"][0]["finish_reason"] is None:
        load.problems.append(str(events[-2:]))
    else:
        load.num_complete += 1
        answer = "".join(event["choices"][0]["delta"].get("content", "") for event in events[:-1])
        load.texts.setdefault(text, set()).add(answer)


async def idle(pids: Sequence[int]) -> None:
    """Return once no worker computes any more; fail when one still does after IDLE_S."""
    async with asyncio.timeout(IDLE_S):
        while True:
            before_s = [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]
            await asyncio.sleep(WINDOW_S)
            after_s = [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]
            if sum(after_s) - sum(before_s) < 0.1 * WINDOW_S:
                return


async def settled(client: httpx.AsyncClient) -> list[int]:
    """Return the workers once nothing runs or waits and all of them have the model."""
    while True:
        stats = (await client.get("/stats")).json()
        states = [[model["state"] for model in each["models"]] for each in stats["workers"]]
        is_up = all(state == ["ready"] for state in states)
        if stats["running"] == stats["queued"] == 0 and is_up:
            return [each["pid"] for each in stats["workers"]]


def is_prefix_chain(texts: set[str]) -> bool:
    """Whether answers of different lengths say the same as far as they go.

    A cut answer may end in a replacement character where a longer one has the whole one.
    """
    ordered = sorted((text.rstrip("\ufffd") for text in texts), key=len)
    return all(long.startswith(short) for short, long in pairwise(ordered))


async def test_forty_calls_eight_at_once_are_answered_alike(start: Start) -> None:
    server = start("--model", "tiny:mid").wait_ready()
    load = await put_under_load(server, 40, 8, seed=1)

    assert load.problems == []
    assert load.num_complete + load.num_left == 40
    assert all(is_prefix_chain(texts) for texts in load.texts.values())


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_two_hundred_calls_survive_leaving_clients_and_a_killed_worker(
    start: Start, record_property: Callable[[str, object], None]
) -> None:
    server = start("--workers", "2", "--model", "tiny:mid").wait_ready()
    rss_bytes = []
    for number in range(4):
        kill_after = 80 if number == 1 else None
        load = await put_under_load(server, 200, 32, seed=number, kill_after=kill_after)
        with server.client() as client:
            stats = client.get("/stats").json()
        rss_bytes.append(stats["server"]["rss_bytes"])
        outcome = {"complete": load.num_complete, "left": load.num_left}
        record_property(f"round {number}", {**outcome, "crashed": load.num_crashed, **stats})

        assert load.problems == []
        assert load.num_complete + load.num_left + load.num_crashed == 200
        assert (load.num_crashed > 0) == (number == 1)
        assert all(is_prefix_chain(texts) for texts in load.texts.values())
    assert stats["worker_restarts"] == 1
    assert rss_bytes[-1] < 1.1 * rss_bytes[0]
