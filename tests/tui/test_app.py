"""The shell around the views: settings, themes, keys, help, jumps; and what the command refuses."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

from labcli.app import run_command
from runs.errors import ExitCode, UsageError
from runs.paths import LabHome
from tests.tui.builders import build_lab
from tests.tui.frames import frame, settled, until, until_text
from tui.app import LabApp
from tui.screens.jump import JumpScreen
from tui.screens.modal import HelpScreen
from tui.shell.environment import Environment
from tui.shell.glyphs import ASCII, UNICODE
from tui.shell.settings import Settings, load_settings, save_value, settings_path, with_value
from tui.shell.themes import THEMES
from tui.views import VIEWS, Opening, find_view


def app_on(root: Path, view: str = "dashboard") -> LabApp:
    """Return the app as the command opens it, settings included."""
    environment = Environment(glyphs=UNICODE, frames_per_s=50.0)
    opening = Opening(home=LabHome(root), environment=environment)
    path = settings_path(opening.home)
    return LabApp(opening, view=view, loaded=load_settings(path), settings_file=path)


async def is_still(pilot: Pilot[None]) -> None:
    """Wait until no worker is at work."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def test_an_unknown_view_names_the_closest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["tui", "dashbord"]) == ExitCode.USAGE
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "'dashboard'" in told[0]
    with pytest.raises(UsageError, match="closest: 'dashboard'"):
        find_view("dashbord")


@pytest.mark.parametrize("name", list(VIEWS))
def test_every_view_has_a_command_that_needs_a_terminal(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["tui", name]) == ExitCode.USAGE
    assert f"the {name} needs a terminal" in capsys.readouterr().err


def test_a_setting_is_written_without_touching_the_rest_of_the_file() -> None:
    text = '# mine\ntheme = "lab-dark"  # for now\n\n[keys]\n"run.stop" = "x"\n'
    changed = with_value(text, "theme", "lab-clear")
    assert changed == '# mine\ntheme = "lab-clear"\n\n[keys]\n"run.stop" = "x"\n'
    assert with_value("", "toured", True) == "toured = true\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("theme = [", "left aside"),
        ('theme = "lab-claer"', "closest: 'lab-clear'"),
        ('thme = "lab-dark"', "closest: 'theme'"),
        ("toured = 3", "true or false"),
        ("keys = 3", "keys is a table"),
        ('[keys]\n"run.stop" = 3', "keys is a table"),
    ],
)
def test_a_bad_settings_file_gives_one_line_and_defaults(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "tui.toml"
    path.write_text(content)
    loaded = load_settings(path)
    assert problem in loaded.problem
    assert "\n" not in loaded.problem
    assert (loaded.settings.theme, loaded.settings.keys) == (Settings().theme, {})


def test_a_file_that_is_no_settings_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "tui.toml"
    path.write_text("theme = [")
    save_value(path, "theme", "lab-clear")
    assert path.read_text() == "theme = ["


async def test_the_tour_is_shown_once_and_the_chosen_theme_stays(tmp_path: Path) -> None:
    app = app_on(tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_text(pilot, app, "First time here?")
        app.theme = "lab-clear"
        await pilot.pause()
        await is_still(pilot)
    again = app_on(tmp_path)
    async with again.run_test(size=(80, 24), notifications=True) as pilot:
        await until_text(pilot, again, "labcli run speedrun")
        assert again.theme == "lab-clear"
        assert not any("First time" in line for line in frame(again))


async def test_the_tour_is_ascii_where_nothing_else_is_allowed(tmp_path: Path) -> None:
    opening = Opening(
        home=LabHome(tmp_path), environment=Environment(glyphs=ASCII, frames_per_s=50.0)
    )
    app = LabApp(opening, loaded=load_settings(tmp_path / "none.toml"))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_text(pilot, app, "First time here?")
        assert all(line.isascii() for line in frame(app))


async def test_keys_follow_the_settings_and_unknown_ones_are_named(tmp_path: Path) -> None:
    settings_path(LabHome(tmp_path)).write_text(
        'toured = true\n[keys]\n"app.help" = "f9"\n"app.hlp" = "f10"\n'
    )
    app = app_on(tmp_path)
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await until_text(pilot, app, "is called 'app.hlp'")
        await pilot.press("f1")
        assert not isinstance(app.screen, HelpScreen)
        await pilot.press("f9")
        assert isinstance(app.screen, HelpScreen)


async def test_jump_mode_focuses_the_pane_of_the_letter(tmp_path: Path) -> None:
    build_lab(tmp_path, now=time.time(), num_steps=10)
    save_value(settings_path(LabHome(tmp_path)), "toured", True)
    app = app_on(tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot, app)
        wanted = app.screen.focus_chain[1]
        await pilot.press("ctrl+o")
        assert isinstance(app.screen, JumpScreen)
        await pilot.press("s")
        await until(pilot, lambda: app.focused is wanted)


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_every_theme_draws_the_dashboard(tmp_path: Path, theme: str) -> None:
    app = LabApp(
        Opening(home=LabHome(tmp_path), environment=Environment(glyphs=UNICODE, frames_per_s=50.0))
    )
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.theme = theme
        await until_text(pilot, app, "labcli run speedrun")
