"""Promises about every key of every view and dialog: named, told, unique, and the same word."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

import tui
from runs.errors import UsageError
from runs.paths import LabHome
from tests.tui.compared import compared_run
from tests.tui.frames import lab_app, settled, until_text
from tui.answering.sampling import TalkSettings
from tui.app import LabApp
from tui.screens.ask_text import AskTextScreen
from tui.screens.compare_runs import CompareScreen
from tui.screens.launch import LaunchScreen
from tui.screens.modal import ConfirmScreen, HelpScreen
from tui.screens.pick_model import PickModelScreen
from tui.screens.pick_run import PickRunScreen
from tui.screens.pick_tokenizers import TokenizerPicker
from tui.screens.run import RunScreen
from tui.screens.sampling_form import SamplingForm
from tui.screens.selfchat_new import NewSelfchat
from tui.shell.environment import Environment
from tui.shell.glyphs import UNICODE
from tui.tokens.vocabularies import Vocabularies
from tui.views import VIEWS


def own_classes() -> list[type[DOMNode]]:
    """Return every widget, screen and app of ours."""
    for module in pkgutil.walk_packages(tui.__path__, "tui."):
        importlib.import_module(module.name)

    def below(node: type[DOMNode]) -> Iterator[type[DOMNode]]:
        for child in node.__subclasses__():
            yield child
            yield from below(child)

    found = {node for node in below(DOMNode) if node.__module__.startswith("tui.")}
    return sorted(found, key=lambda node: node.__qualname__)


def own_bindings(node: type[DOMNode]) -> list[Binding]:
    """Return the keys that a class adds itself."""
    bindings = node.__dict__.get("BINDINGS", [])
    assert all(isinstance(binding, Binding) for binding in bindings), node
    return list(bindings)


async def explained(pilot: Pilot[None], app: LabApp) -> None:
    """Press F1, read what it says of the focus or the screen, and go back."""
    below, focused = app.screen, app.focused
    text = (focused and focused.HELP) or below.HELP or ""
    beginning = text.strip()[:30]
    assert beginning, (below, focused)
    await pilot.press("f1")
    assert isinstance(app.screen, HelpScreen), (below, focused)
    await until_text(pilot, app, beginning)
    await pilot.press("escape")
    assert app.screen is below


def test_every_key_is_named_and_told_once_and_does_something() -> None:
    for node in own_classes():
        bindings = own_bindings(node)
        for binding in bindings:
            assert binding.id, (node, binding)
            assert binding.description, (node, binding)
            assert binding.tooltip.endswith("."), (node, binding)
            action = binding.action.partition("(")[0]
            doers = (node, *node.__subclasses__(), LabApp)
            assert any(hasattr(doer, f"action_{action}") for doer in doers), (node, binding)
        keys = Counter(key for binding in bindings for key in binding.key.split(","))
        ids = Counter(binding.id for binding in bindings)
        assert [key for key, times in (keys + ids).items() if times > 1] == [], node


def test_one_id_has_the_same_keys_and_the_same_word_wherever_it_is_bound() -> None:
    bound: dict[str | None, set[tuple[str, str]]] = defaultdict(set)
    for node in own_classes():
        for binding in own_bindings(node):
            bound[binding.id].add((binding.key.split(",")[0], binding.description))
    assert {name: keys for name, keys in bound.items() if len(keys) > 1} == {}


def test_one_deed_has_one_word_in_every_footer() -> None:
    words: dict[tuple[str, str], set[str]] = defaultdict(set)
    for node in own_classes():
        for binding in own_bindings(node):
            if issubclass(node, Screen) and binding.show:
                words[(binding.key.split(",")[0], binding.action)].add(binding.description)
    assert {deed: told for deed, told in words.items() if len(told) > 1} == {}
    backs = {
        binding.description
        for node in own_classes()
        if issubclass(node, Screen)
        for binding in own_bindings(node)
        if binding.show and "escape" in binding.key.split(",")
    }
    assert backs == {"Back", "Close", "No"}


def test_every_screen_and_every_widget_that_takes_the_focus_explains_itself() -> None:
    shown = [node for node in own_classes() if not node.__subclasses__()]
    for node in shown:
        if issubclass(node, Screen) or (issubclass(node, Widget) and node.can_focus):
            assert node.HELP, node
            assert node.BINDING_GROUP_TITLE, node


async def test_escape_goes_back_from_everything_that_opens_over_a_view_and_f1_explains_it(
    tmp_path: Path,
) -> None:
    home, environment = LabHome(tmp_path), Environment(glyphs=UNICODE, frames_per_s=50.0)
    first, second = (
        compared_run(tmp_path, name=name, t=1_763_700_000.0, seed=seed).run_dir
        for name, seed in (("first", 1), ("second", 2))
    )

    def clock() -> float:
        return 1_763_800_000.0

    def refused(text: str) -> None:
        raise UsageError(text)

    opened: tuple[Callable[[], Screen[Any]], ...] = (
        lambda: RunScreen(home=home, environment=environment, run=first, clock=clock),
        lambda: CompareScreen(
            home=home, environment=environment, runs=(first, second), clock=clock
        ),
        lambda: LaunchScreen(home=home, environment=environment, clock=clock),
        lambda: PickRunScreen(home=home, glyphs=UNICODE, clock=clock),
        lambda: PickModelScreen(home=home, glyphs=UNICODE, clock=clock),
        lambda: NewSelfchat(home=home, glyphs=UNICODE, clock=clock),
        lambda: TokenizerPicker(vocabularies=Vocabularies(), chosen=()),
        lambda: SamplingForm(settings=TalkSettings(temperature=1.0), title="How"),
        lambda: AskTextScreen(question="What?", hint="Enter", check=refused),
        lambda: ConfirmScreen(question="Do it?", consequence="It is done.", yes="do it"),
    )
    app = lab_app(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot, app)
        dashboard = app.screen
        for make in opened:
            await app.push_screen(make())
            await pilot.pause()
            await explained(pilot, app)
            await pilot.press("escape")
            assert app.screen is dashboard, make


async def test_f1_explains_whatever_can_have_the_focus_in_every_view(tmp_path: Path) -> None:
    app = lab_app(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot, app)
        for view in VIEWS:
            await app.switch_mode(view)
            await pilot.pause()
            for widget in app.screen.focus_chain:
                app.screen.set_focus(widget)
                await explained(pilot, app)
