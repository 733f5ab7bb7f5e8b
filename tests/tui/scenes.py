"""Every screen of the app over one lab home in which nothing depends on the machine or the hour."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from core.hardware import Hardware
from core.tokenizer import Tokenizer
from core.vocab.sources import find_sources
from core.vocab.training import train_tokenizer
from labcli.tok.catalogue import vocabularies
from runs import environment as origin
from runs.environment import GitState
from runs.paths import LabHome
from runs.views.query import list_runs
from tests.selfchat_views.builders import make_experiment
from tests.tui.builders import build_lab
from tests.tui.compared import compared_run
from tests.tui.frames import dashboard, settled, until
from tests.tui.talks import finished_talk
from tui.answering.asker import Asker
from tui.answering.client import LabClient
from tui.answering.server_process import ServerProcess
from tui.app import LabApp
from tui.screens import launch_work
from tui.screens.arena import ArenaScreen
from tui.screens.chat import ChatScreen
from tui.screens.compare_runs import CompareScreen
from tui.screens.launch import LaunchScreen
from tui.screens.playground import PlaygroundScreen
from tui.screens.run import RunScreen
from tui.screens.selfchat import SelfchatScreen
from tui.shell.environment import Environment
from tui.shell.glyphs import UNICODE
from tui.shell.settings import LoadedSettings, Settings
from tui.views import Opening

NOW_S = 1_780_000_000.0
ENVIRONMENT = Environment(glyphs=UNICODE, frames_per_s=50.0)
RECORDED = Path(__file__).parent / "recorded"
PATH_QUESTION, SPELL, PRODUCT = (
    "What does os.path.join do?",
    "Spell the word garden.",
    "What is 12 * 7?",
)
ANSWERS = {
    (":sft@", PATH_QUESTION): "path-sft",
    (":mid@", PATH_QUESTION): "path-mid",
    (":sft@", SPELL): "garden-sft",
    (":sft@", PRODUCT): "product-sft",
}
CORPUS = "the cat sat on the mat; the hat that the cat has is the cat's hat. " * 20
MACHINE = Hardware(
    cpu="cpu", num_cpus=4, memory_bytes=2**34, gpus=(), has_cpu_bf16=False, has_compiler=True
)


def hold_still(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Let the hour, the machine, the source and the person's directory be the same everywhere."""
    patch.setattr("time.time", lambda: NOW_S)
    patch.setenv("TZ", "UTC")
    time.tzset()
    patch.setenv("HOME", str(home))
    patch.setenv("COLORTERM", "truecolor")
    for name in ("LABCLI_HOME", "NO_COLOR", "LABCLI_ASCII"):
        patch.delenv(name, raising=False)
    patch.setattr(origin, "host_facts", lambda: {"hostname": "box"})
    patch.setattr(origin, "package_versions", lambda: {"labcli": "1.0"})
    commit = GitState(sha="0" * 40, branch="main", is_dirty=False, diff=None)
    patch.setattr(origin, "capture_git", lambda directory: commit)
    patch.setattr(launch_work, "detect", lambda *_: MACHINE)
    patch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=2**38))


def build_home(root: Path) -> LabHome:
    """Return a lab home with runs in every state, models, a comparison, and a self-chat."""
    home = LabHome(root)
    experiment = make_experiment(temperatures=(0.6, 1.0), num_conversations=3, num_turns=4)
    finished_talk(home, experiment, name="tides", t=NOW_S - 200_000)
    for number, (lr, seed, level) in enumerate(((0.6, 1, 1.6), (0.9, 1, 1.58), (0.6, 2, 1.602))):
        compared_run(
            root, name=f"lr-{lr}-s{seed}", t=NOW_S - 180_000 + number, lr=lr, seed=seed, level=level
        )
    lab = build_lab(root, now=NOW_S, num_steps=300)
    done = lab["finished"].paths
    # Its supervisor is gone, as that of any finished run: another process than this one.
    told = done.control.read_text()
    done.control.write_text(told.replace(f'"pid":{os.getpid()},', '"pid":4242,'))
    for stage in ("mid", "sft"):
        place = done.checkpoints_dir(stage) / "step_300"
        place.mkdir(parents=True)
        (place / "COMMITTED").touch()
    source = root.parent / "cats.txt"
    source.write_text(CORPUS)
    trained(source, 300).save(home.tokenizers_dir / "cats.json")
    trained(source, 266).save(home.tokenizers_dir / "bytes.json")
    return home


def trained(source: Path, vocab_size: int) -> Tokenizer:
    """Train a small tokenizer on a file."""
    made = train_tokenizer(find_sources([str(source)]), vocab_size=vocab_size)
    assert made is not None
    return made.tokenizer


class RecordedServer(ServerProcess):
    """Sends what `labcli serve` once sent, byte for byte; no process and no model."""

    async def client(self, model: str) -> httpx.AsyncClient:
        """Return a client of the record."""
        return httpx.AsyncClient(
            transport=httpx.MockTransport(_recorded), base_url="http://labcli", timeout=60.0
        )


def _recorded(request: httpx.Request) -> httpx.Response:
    body = json.loads(request.content)
    text = body["messages"][-1]["content"]
    (name,) = (
        name for (model, asked), name in ANSWERS.items() if model in body["model"] and asked == text
    )
    lines = (RECORDED / f"{name}.sse").read_text(encoding="utf-8").splitlines()
    return httpx.Response(200, text="".join(f"{line}\n\n" for line in lines))


def scene_app(home: LabHome, view: str, theme: str) -> LabApp:
    """Return the app on a view, in the colours of a theme."""
    opening = Opening(
        home=home,
        environment=ENVIRONMENT,
        vocabularies=vocabularies(home),
        tokenizers=("cats", "bytes"),
        models=("first-light:sft", "first-light:mid"),
        asker=Asker(LabClient(RecordedServer(home))),
        clock=lambda: NOW_S,
    )
    loaded = LoadedSettings(settings=Settings(theme=theme, toured=True))
    return LabApp(opening, view=view, loaded=loaded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One screen: the view that it belongs to, and what a person does to see it.

    play: brings it up and returns what holds once all of it is read.
    """

    view: str
    play: Callable[[Pilot[None], LabApp, LabHome], Awaitable[Callable[[], bool]]]


async def _dashboard(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await settled(pilot, app)
    return lambda: dashboard(app).is_settled


async def _run(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await settled(pilot, app)
    screen = RunScreen(
        home=home, environment=ENVIRONMENT, run=run_named(home, "first-light"), clock=lambda: NOW_S
    )
    await app.push_screen(screen)
    return lambda: screen.is_settled


async def _compare(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await settled(pilot, app)
    names = ("lr-0.6-s1", "lr-0.9-s1", "lr-0.6-s2")
    runs = tuple(run_named(home, name) for name in names)
    screen = CompareScreen(home=home, environment=ENVIRONMENT, runs=runs, clock=lambda: NOW_S)
    await app.push_screen(screen)
    return lambda: screen.is_settled


async def _launch(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await settled(pilot, app)
    screen = LaunchScreen(home=home, environment=ENVIRONMENT, clock=lambda: NOW_S)
    await app.push_screen(screen)
    await until(pilot, lambda: screen.is_settled)
    await pilot.press("ctrl+t", *"base.depth=6", "enter")
    return lambda: screen.is_settled


async def _playground(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await until(pilot, lambda: isinstance(app.screen, PlaygroundScreen))
    screen = app.screen
    assert isinstance(screen, PlaygroundScreen)
    await until(pilot, lambda: screen.is_settled)
    screen.editor.load_text("The cat's hat is on the mat: a na\u00efve h\u00e4t, 1234 times.")
    # Until the screen has heard of the text, it is at rest with the one before.
    await pilot.pause()
    await until(pilot, lambda: screen.is_settled)
    await pilot.press("tab", "right", "right")
    return lambda: screen.is_settled


async def _arena(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await until(pilot, lambda: isinstance(app.screen, ArenaScreen))
    screen = app.screen
    assert isinstance(screen, ArenaScreen)
    await until(pilot, lambda: len(screen.lanes) == 2)
    screen.prompt.write(PATH_QUESTION)
    await pilot.press("enter")
    await until(pilot, lambda: all(lane.is_whole for lane in screen.lanes))
    return lambda: not screen.has_news


async def _selfchat(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await until(pilot, lambda: isinstance(app.screen, SelfchatScreen))
    screen = app.screen
    assert isinstance(screen, SelfchatScreen)
    await until(pilot, lambda: screen.viewing.held is not None and screen.is_settled)
    await pilot.press("enter", "right", "right")
    return lambda: screen.is_settled


async def _chat(pilot: Pilot[None], app: LabApp, home: LabHome) -> Callable[[], bool]:
    await until(pilot, lambda: isinstance(app.screen, ChatScreen))
    screen = app.screen
    assert isinstance(screen, ChatScreen)
    await until(pilot, lambda: screen.talk.model is not None)
    for text in (SPELL, PRODUCT):
        screen.prompt.write(text)
        await pilot.press("enter")
        await until(pilot, partial(_is_asked, screen, text))
        await until(pilot, lambda: not screen.talk.is_at_work)
    return lambda: True


def _is_asked(screen: ChatScreen, text: str) -> bool:
    return [turn.text for turn in screen.talk.turns][-1:] == [text]


SCENES: Mapping[str, Scene] = {
    "dashboard": Scene(view="dashboard", play=_dashboard),
    "run": Scene(view="dashboard", play=_run),
    "compare": Scene(view="dashboard", play=_compare),
    "launch": Scene(view="dashboard", play=_launch),
    "playground": Scene(view="playground", play=_playground),
    "arena": Scene(view="arena", play=_arena),
    "selfchat": Scene(view="selfchat", play=_selfchat),
    "chat": Scene(view="chat", play=_chat),
}


def run_named(home: LabHome, name: str) -> Path:
    """Return the directory of a run."""
    (found,) = (run.path for run in list_runs(home) if run.name == name)
    return found


def hold_cursors(app: LabApp) -> None:
    """Let no cursor blink."""
    for field in app.screen.query(Input):
        field.cursor_blink = False
    for area in app.screen.query(TextArea):
        area.cursor_blink = False
