"""A lab home with a tiny model, and real servers over it in processes of their own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import psutil

from runs.paths import LabHome
from tests.builders import artifact, build_run
from tests.engine.builders import SLOW, TOKENIZER, random_model, save_checkpoint, tiny_config

DEADLINE_S = 120.0
READY = "serving "


def build_lab(root: Path) -> LabHome:
    """Return a lab home with a finished run that has a mid and an sft model."""
    home = LabHome(root)
    built = build_run(home, stages=("tok", "mid", "sft"), name="tiny")
    TOKENIZER.save(built.paths.artifacts_dir("tok") / "tokenizer.json")
    # Greedy answers of the first never end; those of the second vary, without special tokens.
    for seed, stage in ((7, "mid"), (3, "sft")):
        model = random_model(tiny_config(**(SLOW if stage == "mid" else {})), seed)
        save_checkpoint(built.paths.checkpoints_dir(stage), model, TOKENIZER, stage)
    built.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    for stage in ("mid", "sft"):
        built.finish(stage)
    return home


@dataclass
class Server:
    """`labcli serve` as a child process; `url` is where it listens."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _heard: queue.Queue[str | None] = field(default_factory=queue.Queue)

    @property
    def url(self) -> str:
        """The address in the line that says it is ready."""
        line = next(line for line in self.lines if line.startswith(READY))
        return line.split(" at ")[1].split()[0].rstrip(",")

    def wait_ready(self) -> Server:
        """Return once it has said so; fail the test when it ends before."""
        while not any(line.startswith(READY) for line in self.lines):
            line = self._heard.get(timeout=DEADLINE_S)
            assert line is not None, f"the server ended: {self.lines}"
        return self

    def client(self, **options: Any) -> httpx.Client:
        """Return a client of this server."""
        return httpx.Client(base_url=self.url, timeout=DEADLINE_S, **options)

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        """Return an asynchronous client of this server, for any number of calls at once."""
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(base_url=self.url, timeout=DEADLINE_S, limits=limits, **options)

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that run now."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the server and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        """Make sure that it is gone."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))
            self._heard.put(line)
        self._heard.put(None)


def start_server(
    home: LabHome, *words: str, env: Mapping[str, str] | None = None, stdin: int | None = None
) -> Server:
    """Start `labcli serve` on a free port, or where `words` say; does not wait for it.

    Without a compiler it has no compiled step: a tiny model would end the longest answer before a
    test has seen that it began.
    """
    place = () if "--uds" in words or "--port" in words else ("--port", "0")
    command = [sys.executable, "-m", "labcli.app", "--home", str(home.root), "serve"]
    process = subprocess.Popen(
        [*command, *place, "--device", "cpu", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CXX": "no-compiler", **(env or {})},
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server(process)
    assert process.stderr is not None
    threading.Thread(target=server._listen, args=(process.stderr,), daemon=True).start()
    return server


def chat(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """Return the body of a chat call of one message, without randomness."""
    settings = {"temperature": 0.0, "max_tokens": 8, **fields}
    return {"messages": [{"role": "user", "content": text}], **settings}


def endless(**fields: Any) -> dict[str, Any]:
    """Return the body of a call whose answer takes seconds: this model never ends it."""
    return chat("hello", **{"max_tokens": 4096, "stream": True, "model": "tiny:mid", **fields})


def events_of(lines: Iterator[str]) -> list[Any]:
    """Return the data of server-sent events, the last being the text "[DONE]"."""
    found = []
    for line in lines:
        if line:
            assert line.startswith("data: "), line
            data = line.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
    return found


async def read_events(response: httpx.Response) -> AsyncIterator[Any]:
    """Yield the data of events as they come."""
    async for line in response.aiter_lines():
        if line:
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


def text_of(chunks: list[Any], index: int = 0) -> str:
    """Return the content that the chunks of a chat stream make together."""
    return "".join(
        choice["delta"].get("content", "")
        for chunk in chunks
        if chunk != "[DONE]"
        for choice in chunk["choices"]
        if choice["index"] == index
    )
