"""`labcli serve` as a child of the app: started when it is first needed, ended with the app."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import httpx

from runs.errors import LabError
from runs.paths import LabHome
from tui.live.feed import LogTail

LOG_NAME = "tui-server.log"
MAX_LOG_BYTES = 1 << 20
# Six columns may be six models; all are to stream at once.
MAX_MODELS = 6
TIMEOUT_S = 3600
POLL_S = 0.05
END_S = 5.0

Phase = Literal["off", "starting", "loading", "ready"]


class ServerProcess:
    """One server over one lab home, on a unix socket that only this user can open.

    `phase` and `since_s` (of the monotonic clock) say what a person waits for.
    """

    def __init__(self, home: LabHome) -> None:
        self._home = home
        self.log = home.root / LOG_NAME
        self.phase: Phase = "off"
        self.since_s = 0.0
        self.num_starts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._client: httpx.AsyncClient | None = None
        self._dir: Path | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process id of the child that runs now."""
        return self._process.pid if self._process is not None and self.is_alive else None

    @property
    def is_alive(self) -> bool:
        """Whether the child has not ended."""
        return self._process is not None and self._process.returncode is None

    def waiting(self) -> str:
        """Return what is waited for and how long already; "" when nothing is."""
        words = {"starting": "starting the model server", "loading": "loading the model"}
        if self.phase not in words:
            return ""
        return f"{words[self.phase]} ({time.monotonic() - self.since_s:.0f} s)"

    async def client(self, model: str) -> httpx.AsyncClient:
        """Return a client of the running server; start it, with `model` at hand, when none runs.

        Raises:
            LabError: it cannot be started; the message is its own last word.
        """
        async with self._lock:
            if self._client is None or not self.is_alive:
                await self._end()
                await self._start(model)
            assert self._client is not None
            return self._client

    async def how_it_ended(self) -> str | None:
        """Return how the child ended, waiting a moment for it; None while it lives."""
        if self._process is None:
            return None
        try:
            async with asyncio.timeout(1.0):
                code = await self._process.wait()
        except TimeoutError:
            return None
        if code >= 0:
            return f"ended with code {code}: {self._last_words()}"
        return f"was ended by {signal.Signals(-code).name}"

    async def close(self) -> None:
        """End the child and wait until it is gone."""
        async with self._lock:
            await self._end()
            if self._dir is not None:
                shutil.rmtree(self._dir, ignore_errors=True)
                self._dir = None

    async def _start(self, model: str) -> None:
        # Below /tmp: the path of a socket has at most 107 bytes, a lab home may be deep.
        self._dir = self._dir or Path(tempfile.mkdtemp(prefix="labcli-"))
        socket = self._dir / "serve.sock"
        self._enter("starting")
        self.num_starts += 1
        await self._spawn(socket, model)
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://labcli", timeout=httpx.Timeout(10.0, read=None)
        )
        try:
            await self._wait_ready(self._client)
        except BaseException:
            # Cancelled too: whoever asks next starts from nothing.
            await self._end()
            raise
        self._enter("ready")

    async def _spawn(self, socket: Path, model: str) -> None:
        argv = [
            sys.executable, "-P", "-m", "labcli.app", "--home", str(self._home.root), "serve",
            "--uds", str(socket), "--exit-with-stdin", "--model", model, "--grace", "0",
            "--max-models", str(MAX_MODELS), "--timeout", str(TIMEOUT_S),
        ]  # fmt: skip
        env = {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONUNBUFFERED": "1"}
        try:
            is_long = self.log.is_file() and self.log.stat().st_size > MAX_LOG_BYTES
            with open(self.log, "wb" if is_long else "ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *argv,
                    cwd=self._home.root,
                    env=env,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C is a key of the app, not a signal to its children.
                    start_new_session=True,
                )
        except OSError as error:
            self._enter("off")
            raise LabError(f"the model server cannot be started: {error}") from None

    async def _wait_ready(self, client: httpx.AsyncClient) -> None:
        while self.is_alive:
            try:
                answer = await client.get("/health")
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.json().get("ready"):
                return
            if answer is not None and self.phase == "starting":
                self._enter("loading")
            await asyncio.sleep(POLL_S)
        raise LabError(f"the model server did not start: {self._last_words()}")

    async def _end(self) -> None:
        self._enter("off")
        client, self._client = self._client, None
        process, self._process = self._process, None
        if client is not None:
            await client.aclose()
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since_s = phase, time.monotonic()

    def _last_words(self) -> str:
        lines = LogTail(self.log).read()
        last = lines[-1].removeprefix("labcli: error: ") if lines else "it said nothing"
        return f"{last} (log: {self.log})"
