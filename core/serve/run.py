"""One server from its start to its end: ready, signals, the last answers, no worker left."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Literal

import uvicorn
from fastapi import FastAPI

from core.serve.service import Service
from runs.errors import LabError

End = Literal["interrupted", "terminated", "parent gone"]
KEEP_ALIVE_S = 30
# What uvicorn waits beyond the pool's own grace before it gives a connection up.
EXTRA_GRACE_S = 5


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves signals to `serve`."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: FastAPI,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    ends_with_stdin: bool = False,
) -> End:
    """Serve until a signal, or with `ends_with_stdin` until stdin closes; return why it ended.

    The first signal lets running answers finish within the grace period; a second one ends
    them at once.

    Raises:
        LabError: no worker could be started, or the first model could not be loaded.
    """
    service: Service = app.state.service
    ends: list[End] = []
    problems: list[LabError] = []

    def end(why: End) -> None:
        service.pool.drain(0.0 if ends else service.settings.grace_s)
        ends.append(why)
        server.should_exit = True

    async def announce() -> None:
        try:
            await service.pool.wait_ready()
        except LabError as error:
            problems.append(error)
            server.should_exit = True
        else:
            on_ready()

    announcement: list[asyncio.Task[None]] = []
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(service.settings.grace_s) + EXTRA_GRACE_S,
    )
    server = _Server(config, lambda: announcement.append(asyncio.create_task(announce())))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, end, "interrupted")
    loop.add_signal_handler(signal.SIGTERM, end, "terminated")
    if ends_with_stdin:
        watch = threading.Thread(target=_watch_stdin, args=(loop, end), daemon=True)
        watch.start()
    await server.serve(sockets=[listener])
    for task in announcement:
        task.cancel()
    if problems:
        raise problems[0]
    return ends[0]


def _watch_stdin(loop: asyncio.AbstractEventLoop, end: Callable[[End], None]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    # The loop may have closed meanwhile, for another reason.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(end, "parent gone")
