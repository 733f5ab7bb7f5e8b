"""What happens when something goes away: a client, a worker, time, room, the server itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from typing import Any

import httpx
import psutil
import pytest

from runs.errors import ExitCode
from tests.runs.builders import wait_for
from tests.serve.builders import DEADLINE_S, Server, chat, endless, events_of, read_events
from tests.serve.conftest import Start

# A row is free within this time after its client has left; its answer would take several times it.
FREE_S = 4.0


async def until_first_token(response: httpx.Response) -> Any:
    """Read a stream up to its first chunk; returns what reads the rest.

    Hold it for as long as the stream is to last: a reader that is dropped closes its response.
    """
    events = read_events(response)
    assert (await anext(events))["choices"]
    return events


def open_stream(client: httpx.AsyncClient, **fields: Any) -> Any:
    return client.stream("POST", "/v1/chat/completions", json=endless(**fields))


async def stats_when(client: httpx.AsyncClient, **wanted: int) -> dict[str, Any]:
    """Return /stats once it says what is wanted; fail the test at the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            stats: dict[str, Any] = (await client.get("/stats")).json()
            # A call is counted once its response has ended, a moment after its row is free.
            if all({**stats, **stats["requests"]}[key] == value for key, value in wanted.items()):
                return stats


async def test_a_client_that_leaves_frees_its_row(server: Server) -> None:
    async with server.async_client() as client:
        before = (await client.get("/stats")).json()
        async with open_stream(client) as response:
            rest = await until_first_token(response)
            assert (await client.get("/stats")).json()["running"] == 1
            await rest.aclose()
        num_cancelled = before["requests"]["cancelled"] + 1
        after = await stats_when(client, running=0, cancelled=num_cancelled)

    assert after["tokens"] - before["tokens"] < 4096


async def test_the_only_row_of_an_engine_is_free_as_soon_as_its_client_leaves(
    start: Start,
) -> None:
    server = start("--max-rows", "1", "--model", "tiny:mid").wait_ready()
    async with server.async_client() as client:
        async with open_stream(client) as response:
            await until_first_token(response)
        left_s = time.monotonic()
        # The engine itself has one row: a call that it still worked on would hold this one up.
        async with open_stream(client) as response:
            await until_first_token(response)
            waited_s = time.monotonic() - left_s

    assert waited_s < FREE_S


async def test_a_client_that_leaves_before_a_whole_answer_frees_its_row(server: Server) -> None:
    async with server.async_client() as client:
        before = (await client.get("/stats")).json()
        body = endless(stream=False, n=2)
        call = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await stats_when(client, running=2)
        call.cancel()
        after = await stats_when(client, running=0, cancelled=before["requests"]["cancelled"] + 1)

    assert after["tokens"] - before["tokens"] < 2 * 4096


async def test_a_killed_worker_fails_its_requests_and_no_other(start: Start) -> None:
    server = start("--workers", "2", "--model", "tiny:mid").wait_ready()
    async with server.async_client() as client:
        wait_for(lambda: both_are_loaded(server), "both workers to load the model")
        async with open_stream(client) as first, open_stream(client, max_tokens=400) as second:
            streams = [await until_first_token(response) for response in (first, second)]
            stats = (await client.get("/stats")).json()
            # The first call went to the first worker, the second to the other one.
            assert [worker["running"] for worker in stats["workers"]] == [1, 1]
            os.kill(stats["workers"][0]["pid"], signal.SIGKILL)
            lost, kept = [[event async for event in stream] for stream in streams]

        assert lost[-1] == kept[-1] == "[DONE]"
        assert lost[-2]["error"]["code"] == "worker_crashed"
        assert sum("error" in event for event in lost[:-1]) == 1
        assert kept[-2]["choices"][0]["finish_reason"] == "length"
        wait_for(lambda: both_are_loaded(server), "the worker to be started again")
        answers = await asyncio.gather(
            *(client.post("/v1/chat/completions", json=chat(model="tiny:mid")) for _ in range(4))
        )
        await stats_when(client, running=0, failed=1, worker_restarts=1)

    assert [answer.status_code for answer in answers] == [200] * 4


def both_are_loaded(server: Server) -> bool:
    with server.client() as client:
        workers = client.get("/stats").json()["workers"]
    return all([model["state"] for model in worker["models"]] == ["ready"] for worker in workers)


async def test_a_worker_that_dies_before_a_whole_answer_is_a_500(start: Start) -> None:
    server = start("--model", "tiny:mid").wait_ready()
    async with server.async_client() as client:
        body = endless(stream=False)
        call = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        stats = await stats_when(client, running=1)
        os.kill(stats["workers"][0]["pid"], signal.SIGKILL)
        response = await call
        again = await client.post("/v1/chat/completions", json=chat(model="tiny:mid"))

    assert response.status_code == 500
    assert response.json()["error"]["code"] == "worker_crashed"
    # It waited in the queue until the new worker had the model.
    assert again.status_code == 200


async def test_room_and_time_are_limited(start: Start) -> None:
    words = ("--max-rows", "1", "--max-queue", "1", "--timeout", "1.5", "--max-models", "1")
    server = start(*words, "--model", "tiny:mid").wait_ready()
    async with server.async_client() as client:
        async with open_stream(client, max_tokens=4096, n=1) as running:
            events = await until_first_token(running)
            body = endless(stream=False)
            waiting = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await stats_when(client, running=1, queued=1)
            refused = await client.post("/v1/chat/completions", json=chat())
            too_many = await client.post("/v1/chat/completions", json=chat(n=3))
            late = await waiting
            rest = [event async for event in events]
        stats = await stats_when(client, running=0, queued=0)
        # With room for one model, another takes its place and is then there for more calls.
        swapped = [
            (await client.post("/v1/chat/completions", json=chat(model=name, max_tokens=2)))
            for name in ("tiny:sft", "tiny:mid", "tiny:sft")
        ]

    for response in (refused, too_many):
        assert response.status_code == 429
        assert 1 <= int(response.headers["retry-after"]) <= 30
    assert late.status_code == 504
    assert late.json()["error"]["code"] == "timeout"
    assert rest[-2]["error"]["code"] == "timeout"
    assert rest[-1] == "[DONE]"
    assert stats["requests"]["rejected"] == 2
    assert [response.status_code for response in swapped] == [200, 200, 200]


async def test_sigterm_lets_answers_finish_and_leaves_no_process(start: Start) -> None:
    server = start("--model", "tiny:mid", "--grace", "60").wait_ready()
    workers = [psutil.Process(pid) for pid in server.worker_pids()]
    async with server.async_client() as client, open_stream(client, max_tokens=600) as response:
        events = await until_first_token(response)
        server.process.send_signal(signal.SIGTERM)
        rest = [event async for event in events]

    assert rest[-1] == "[DONE]"
    assert rest[-2]["choices"][0]["finish_reason"] == "length"
    assert server.process.wait(DEADLINE_S) == ExitCode.OK
    assert len(workers) == 1
    assert not any(worker.is_running() for worker in workers)
    assert len(server.lines) == 1


async def test_a_second_signal_ends_answers_at_once(start: Start) -> None:
    server = start("--model", "tiny:mid", "--grace", "60").wait_ready()
    async with server.async_client() as client, open_stream(client) as response:
        events = await until_first_token(response)
        # Two of a kind may arrive as one.
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        rest = [event async for event in events]

    assert rest[-2]["error"]["code"] == "unavailable"
    assert server.process.wait(DEADLINE_S) in (ExitCode.OK, ExitCode.INTERRUPTED)


def test_workers_do_not_outlive_a_killed_server(start: Start) -> None:
    server = start().wait_ready()
    workers = [psutil.Process(pid) for pid in server.worker_pids()]
    server.stop(signal.SIGKILL)

    assert len(workers) == 1
    wait_for(lambda: not any(map(is_alive, workers)), "the worker to end")


def is_alive(process: psutil.Process) -> bool:
    # Reparented to an init that may not reap, a dead process can stay as a zombie.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_child_server_ends_when_its_stdin_closes(start: Start) -> None:
    server = start("--exit-with-stdin", stdin=subprocess.PIPE).wait_ready()
    assert server.process.stdin is not None
    server.process.stdin.close()

    assert server.process.wait(DEADLINE_S) == ExitCode.OK


def test_a_worker_that_cannot_start_is_an_error_of_the_command(start: Start) -> None:
    server = start("--device", "cuda:7")

    assert server.process.wait(DEADLINE_S) != ExitCode.OK
    assert server.lines[-1].startswith("labcli: error: device 'cuda:7'")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_curl_sees_events_that_end_in_done(server: Server, path: str) -> None:
    with server.client() as client, client.stream("POST", path, json=chat(stream=True)) as response:
        raw = "".join(response.iter_text())

    assert raw.endswith("data: [DONE]\n\n")
    assert events_of(iter(raw.splitlines()))[-1] == "[DONE]"
