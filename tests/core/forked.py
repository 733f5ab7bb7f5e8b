"""Processes that have torch from their start: the ranks of a training, or one of its lives.

To import torch takes longer than what they compute. They are forked from a process that has
imported it and computed nothing, so that no thread of it and no lock is inherited.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

DEADLINE_S = 240
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.core.train_base", "tests.core.optimize_on_ranks"])


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_ranks(
    act: Callable[..., None], *args: Any, ranks: int, errors: Path
) -> list[ForkServerProcess]:
    """Start as many processes that call `act`, each told its rank as torchrun tells it.

    What rank R writes to stderr lies in `errors`, as stderr.R.txt.
    """
    told = {
        **os.environ, "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    errors.mkdir(parents=True, exist_ok=True)
    started = []
    for rank in range(ranks):
        process = _CONTEXT.Process(
            target=_act,
            args=(act, args, {**told, "RANK": str(rank)}, errors / f"stderr.{rank}.txt"),
        )
        process.start()
        started.append(process)
    return started


def wait_for_ranks(processes: Sequence[ForkServerProcess]) -> list[int | None]:
    """Return the exit codes of all ranks; what is left of them when one fails is killed."""
    deadline = time.monotonic() + DEADLINE_S
    running: dict[Any, ForkServerProcess] = {process.sentinel: process for process in processes}
    try:
        while running:
            ended = wait(list(running), timeout=max(0.0, deadline - time.monotonic()))
            assert ended, "ranks took too long"
            codes = []
            for sentinel in ended:
                process = running.pop(sentinel)
                process.join()
                codes.append(process.exitcode)
            if any(codes):
                break
    finally:
        kill_ranks(list(running.values()))
    return [process.exitcode for process in processes]


def kill_ranks(processes: Sequence[ForkServerProcess]) -> None:
    """Make sure that no rank is left."""
    for process in processes:
        process.kill()
        process.join()


def _act(
    act: Callable[..., None], args: tuple[Any, ...], env: dict[str, str], stderr: Path
) -> None:
    import torch

    os.environ.clear()
    os.environ.update(env)
    torch.set_num_threads(1)
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    act(*args)
