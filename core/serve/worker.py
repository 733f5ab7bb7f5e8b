"""The worker process: owns the models of one device and steps their schedulers.

Started by core.serve.worker_link with one end of a socket pair. It ends when the other end
closes, so no worker outlives its server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from core import checkpoint
from core.device import inference_dtype, pick_device
from core.engine.engine import Engine
from core.engine.request import Request
from core.engine.scheduler import Scheduler
from core.serve.frames import FrameReader, pack, token_row
from core.serve.limits import DEFAULT_MAX_NEW_TOKENS
from core.serve.settings import Weights
from core.tokenizer import Tokenizer
from runs.errors import LabError, UsageError

PR_SET_PDEATHSIG = 1
_RECV_BYTES = 1 << 16


class _ServerGone(Exception):
    """The other end of the socket has closed."""


class Channel:
    """The socket to the server, and a bell that other threads of this process ring."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._reader = FrameReader()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; waits while the server is behind."""
        try:
            self._socket.sendall(pack(message))
        except OSError:
            raise _ServerGone from None

    def ring(self) -> None:
        """Wake receive() from another thread."""
        self._ringer.send(b"\0")

    def receive(self, *, is_waiting: bool) -> list[dict[str, Any]]:
        """Return the messages that are there; with `is_waiting`, wait for one or for the bell."""
        ready, _, _ = select.select([self._socket, self._bell], [], [], None if is_waiting else 0)
        if self._bell in ready:
            self._bell.recv(_RECV_BYTES)
        if self._socket not in ready:
            return []
        try:
            data = self._socket.recv(_RECV_BYTES)
        except OSError:
            raise _ServerGone from None
        if not data:
            raise _ServerGone
        return list(self._reader.feed(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What became of loading a model, or the error to report."""

    model: str
    engine: Engine | None
    load_s: float
    error: str = ""
    code: str = ""


@dataclass(slots=True, kw_only=True)
class _Served:
    """A loaded model with its running jobs, by ticket and the other way round."""

    engine: Engine
    scheduler: Scheduler
    jobs: dict[int, int]


class Worker:
    """Obeys the messages of the server, one engine step of every busy model at a time."""

    def __init__(
        self, channel: Channel, device: torch.device, weights: Weights, max_rows: int
    ) -> None:
        self._channel = channel
        self._device = device
        self._weights = weights
        self._max_rows = max_rows
        self._served: dict[str, _Served] = {}
        self._places: dict[int, tuple[str, int]] = {}
        self._loaded: queue.SimpleQueue[_Loaded] = queue.SimpleQueue()

    def run(self) -> None:
        """Serve until the server closes the channel."""
        self._channel.send({"t": "ready", "device": str(self._device)})
        while True:
            is_idle = all(served.scheduler.is_idle for served in self._served.values())
            for message in self._channel.receive(is_waiting=is_idle and self._loaded.empty()):
                self._obey(message)
            self._take_loaded()
            rows = [row for served in self._served.values() for row in self._step(served)]
            if rows:
                self._channel.send({"t": "tick", "tokens": rows})

    def _obey(self, message: dict[str, Any]) -> None:
        kind = message["t"]
        if kind == "submit":
            self._submit(message)
        elif kind == "cancel":
            self._cancel(message["job"])
        elif kind == "load":
            # Aside, so that the other models go on answering meanwhile.
            threading.Thread(target=self._load, args=(message,), daemon=True).start()
        elif kind == "unload":
            self._unload(message["model"])

    def _submit(self, message: dict[str, Any]) -> None:
        served = self._served[message["model"]]
        fields = {key: message[key] for key in message if key not in ("t", "job", "model")}
        if fields["max_new_tokens"] is None:
            room = served.engine.max_positions - len(fields["prompt_ids"])
            fields["max_new_tokens"] = max(1, min(DEFAULT_MAX_NEW_TOKENS, room))
        fields["stop"] = tuple(fields["stop"])
        try:
            ticket = served.scheduler.submit(Request(**fields))
        except UsageError as error:
            self._channel.send({"t": "refused", "job": message["job"], "error": str(error)})
            return
        served.jobs[ticket] = message["job"]
        self._places[message["job"]] = (message["model"], ticket)

    def _cancel(self, job: int) -> None:
        place = self._places.pop(job, None)
        # Absent: its last token and the cancellation have crossed.
        if place is not None:
            model, ticket = place
            self._served[model].scheduler.cancel(ticket)
            del self._served[model].jobs[ticket]

    def _step(self, served: _Served) -> Iterable[list[Any]]:
        if served.scheduler.is_idle:
            return
        for token in served.scheduler.step():
            job = served.jobs[token.row]
            if token.finish is not None:
                del served.jobs[token.row], self._places[job]
            yield token_row(job, token)

    def _load(self, message: dict[str, Any]) -> None:
        began_s = time.perf_counter()
        engine, error, code = None, "", ""
        try:
            engine = self._build(Path(message["checkpoint"]), Path(message["tokenizer"]))
        except LabError as problem:
            error, code = str(problem), type(problem).__name__
        except Exception as problem:
            # The top of this thread: what is not reported leaves the server waiting.
            error, code = f"{type(problem).__name__}: {problem}", "LabError"
        load_s = time.perf_counter() - began_s
        self._loaded.put(
            _Loaded(model=message["model"], engine=engine, load_s=load_s, error=error, code=code)
        )
        self._channel.ring()

    def _build(self, path: Path, tokenizer: Path) -> Engine:
        dtype = inference_dtype("auto", self._device)
        return Engine(
            checkpoint.load_model(path, device=self._device, dtype=dtype),
            Tokenizer.from_file(tokenizer),
            weights=self._weights,
            max_rows=self._max_rows,
        )

    def _take_loaded(self) -> None:
        while not self._loaded.empty():
            done = self._loaded.get()
            if done.engine is None:
                report = {"t": "failed", "model": done.model, "error": done.error}
                self._channel.send({**report, "code": done.code})
                continue
            scheduler = Scheduler(done.engine)
            self._served[done.model] = _Served(engine=done.engine, scheduler=scheduler, jobs={})
            self._channel.send(
                {
                    "t": "loaded",
                    "model": done.model,
                    "load_s": round(done.load_s, 3),
                    "max_positions": done.engine.max_positions,
                }
            )

    def _unload(self, model: str) -> None:
        # The server unloads idle models alone.
        del self._served[model]
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def die_with(parent: int) -> None:
    """Let the kernel end this process when its parent dies, even in the middle of a step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def main() -> None:
    """Run a worker on the socket whose descriptor is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fd", type=int)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--device")
    parser.add_argument("--weights", choices=get_args(Weights), default="native")
    parser.add_argument("--max-rows", type=int, default=32)
    args = parser.parse_args()
    die_with(args.parent)
    name = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    channel = Channel(args.fd)
    try:
        worker = Worker(channel, pick_device(name), args.weights, args.max_rows)
    except LabError as error:
        channel.send({"t": "fatal", "error": str(error), "code": type(error).__name__})
        return
    with contextlib.suppress(_ServerGone):
        worker.run()


if __name__ == "__main__":
    main()
