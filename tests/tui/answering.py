"""A lab home with tiny models, a server over it, and the app with screens that ask it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from runs.paths import LabHome
from tests.builders import artifact, build_run
from tests.engine.builders import SLOW, TOKENIZER, random_model, save_checkpoint, tiny_config
from tests.tui.frames import DEADLINE_S
from tui.answering.asker import Asker
from tui.answering.chunks import Ask, Chunk
from tui.answering.client import LabClient
from tui.answering.sampling import TalkSettings
from tui.answering.server_process import ServerProcess
from tui.app import LabApp
from tui.shell.environment import Environment
from tui.shell.glyphs import UNICODE, Glyphs
from tui.views import Opening

ENDLESS, OTHER, BASE = "tiny:mid", "tiny:sft", "tiny:base"


class PatientApp(LabApp):
    """The app; what it says in passing is still there when a slow machine looks."""

    NOTIFICATION_TIMEOUT = DEADLINE_S


def build_lab(root: Path) -> LabHome:
    """Return a home with a base, a mid and an sft model; greedy answers of mid never end."""
    home = LabHome(root)
    built = build_run(home, stages=("tok", "base", "mid", "sft"), name="tiny")
    TOKENIZER.save(built.paths.artifacts_dir("tok") / "tokenizer.json")
    for seed, stage in ((1, "base"), (7, "mid"), (3, "sft")):
        model = random_model(tiny_config(**(SLOW if stage == "mid" else {})), seed)
        save_checkpoint(built.paths.checkpoints_dir(stage), model, TOKENIZER, stage)
    built.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    for stage in ("base", "mid", "sft"):
        built.finish(stage)
    return home


def ask(model: str = ENDLESS, text: str = "hello", **settings: Any) -> Ask:
    """Return a question without randomness."""
    drawn = TalkSettings(**{"temperature": 0.0, "max_new_tokens": 8, **settings})
    messages = [{"role": "user", "content": text}]
    return Ask(model=model, is_base=False, messages=messages, settings=drawn)


class HeldClient(LabClient):
    """Reads an answer that begins while it is held no further: no test races a model.

    num_read: tokens that are read of a held answer.
    """

    def __init__(self, server: ServerProcess, *, num_read: int = 4) -> None:
        super().__init__(server)
        self._num_read = num_read
        self._is_free = asyncio.Event()

    def let_go(self) -> None:
        """Read every answer to its end from now on."""
        self._is_free.set()

    async def answer(self, ask: Ask) -> AsyncIterator[Chunk]:
        """Yield an answer, waiting after its first tokens while it is held."""
        num = 0
        async for chunk in super().answer(ask):
            yield chunk
            num += 1
            if num == self._num_read:
                await self._is_free.wait()


class RunningServer(ServerProcess):
    """A server that runs already, on a socket: nothing is started and nothing ended."""

    def __init__(self, home: LabHome, socket: Path) -> None:
        super().__init__(home)
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        self._running = httpx.AsyncClient(
            transport=transport, base_url="http://labcli", timeout=60.0
        )

    async def client(self, model: str) -> httpx.AsyncClient:
        """Return a client of the running server."""
        return self._running


def copy_of(lab: LabHome, root: Path) -> LabHome:
    """Return a lab home with the same models that a test may write to."""
    shutil.copytree(lab.root, root)
    return LabHome(root)


def asking_app(
    home: LabHome,
    view: str,
    *models: str,
    server: ServerProcess | LabClient,
    glyphs: Glyphs = UNICODE,
) -> LabApp:
    """Return the app on a view that asks a server, beginning with these models."""
    environment = Environment(glyphs=glyphs, frames_per_s=10.0)
    asker = Asker(server if isinstance(server, LabClient) else LabClient(server))
    opening = Opening(home=home, environment=environment, models=models, asker=asker)
    return PatientApp(opening, view=view)
