"""The server's end of one worker process: starts it, talks to it, notices its end. Torch-free."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

from core.serve.frames import FrameReader, pack
from core.serve.settings import ServeSettings

STOP_DEADLINE_S = 5.0

OnMessage = Callable[["WorkerLink", dict[str, Any]], None]
OnGone = Callable[["WorkerLink"], None]


class WorkerLink(asyncio.Protocol):
    """A worker process that runs until it is closed or dies."""

    def __init__(self, process: subprocess.Popen[bytes], on_message: OnMessage, on_gone: OnGone):
        self._process = process
        self._on_message = on_message
        self._on_gone = on_gone
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._is_closing = False

    @property
    def pid(self) -> int:
        """The id of the worker process."""
        return self._process.pid

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand on every whole message (asyncio calls this)."""
        for message in self._reader.feed(data):
            self._on_message(self, message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end of the worker, unless it was asked for (asyncio calls this)."""
        if not self._is_closing:
            # Its socket is closed, so whatever is left of it can serve nobody.
            self._process.kill()
            asyncio.get_running_loop().run_in_executor(None, self._process.wait)
            self._on_gone(self)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; to a worker that has just died, nothing."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(message))

    async def close(self) -> None:
        """End the worker and wait until it is gone."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.close()
        await asyncio.to_thread(_end, self._process)


async def start_worker(
    settings: ServeSettings, device: str | None, on_message: OnMessage, on_gone: OnGone
) -> WorkerLink:
    """Return the link to a new worker process."""
    ours, theirs = socket.socketpair()
    words = [sys.executable, "-P", "-m", "core.serve.worker", str(theirs.fileno())]
    words += ["--parent", str(os.getpid()), "--weights", settings.weights]
    words += ["--max-rows", str(settings.max_rows)]
    if device is not None:
        words += ["--device", device]
    with theirs:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            # What a library prints is narration here.
            stdout=2,
            pass_fds=[theirs.fileno()],
            # A Ctrl-C in the terminal is for the server, which lets running answers finish.
            start_new_session=True,
            env=worker_environment(os.environ, len(settings.devices)),
            cwd="/",
        )
    link = WorkerLink(process, on_message, on_gone)
    await asyncio.get_running_loop().create_connection(lambda: link, sock=ours)
    return link


def worker_environment(environ: Mapping[str, str], num_workers: int) -> dict[str, str]:
    """Return the environment of a worker: its share of the processors, no spinning threads.

    One processor is left to the server: of two, a small model decodes faster with one thread than
    with two that wait for each other and for whoever writes the answers out.
    """
    env = dict(environ)
    env.setdefault("OMP_WAIT_POLICY", "passive")
    share = max(1, (_num_processors() - 1) // num_workers)
    env.setdefault("OMP_NUM_THREADS", str(share))
    return env


def _num_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
