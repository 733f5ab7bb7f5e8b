"""The terminal app in a real terminal: a live run, a resize, a kill, a closed window."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.supervision.process import find_family, identity_from, send_signal
from runs.views.query import load_run
from tests.cli.tmux import Tmux
from tests.runs.builders import (
    kill_everything,
    make_run,
    start,
    supervisor_pid,
    wait_for,
    wait_for_step,
)
from tests.tui.answering import build_lab
from tui.shell.glyphs import UNICODE
from tui.shell.settings import save_value, settings_path

# The state is to turn within 5 s; the rest is for a machine that is busy.
TURN_S = 20.0
STATES = UNICODE.states


@pytest.fixture
def live(home: LabHome) -> Iterator[RunPaths]:
    """A run that trains, with a real supervisor, until somebody ends it."""
    yield _live_run(home)
    kill_everything(home)


def test_dashboard_sees_a_live_run_killed_after_a_resize_and_leaves_a_clean_terminal(
    home: LabHome, live: RunPaths
) -> None:
    save_value(settings_path(home), "toured", True)
    with Tmux(home) as terminal:
        terminal.labcli("tui", "dashboard")
        terminal.wait_for(f"{STATES['running']} running")
        before = terminal.wait_for("loss  ")
        assert "live" in before
        assert max(map(len, before.splitlines())) <= 80
        terminal.resize(200, 50)
        terminal.wait_until(
            lambda shown: max(map(len, shown.splitlines())) > 120 and "[2 log]" in shown,
            "the wide layout",
        )
        _kill(live)
        terminal.wait_until(
            lambda shown: (
                f"{STATES['crashed']} crashed" in shown
                and f"{STATES['running']} running" not in shown
            ),
            "the state to turn everywhere",
            deadline_s=TURN_S,
        )
        terminal.keys("q")
        terminal.wait_for("left with 0")
        assert terminal.flag("alternate_on") == "0"
        assert terminal.flag("cursor_flag") == "1"
        assert terminal.flag("mouse_any_flag") == "0"
        # What is typed is seen again, and the shell has the keys.
        terminal.keys("-l", "echo to''gether")
        terminal.wait_for("$ echo to''gether")
        terminal.keys("Enter")
        terminal.wait_for("\ntogether")
    assert load_run(live.run_dir).state == "crashed"


def test_a_closed_terminal_ends_the_app_and_its_model_server_and_runs_go_on(
    home: LabHome,
) -> None:
    build_lab(home.root)
    save_value(settings_path(home), "toured", True)
    live = _live_run(home)
    try:
        with Tmux(home) as terminal:
            terminal.labcli("tui", "chat", "--model", "tiny:sft")
            terminal.wait_until(
                lambda shown: "Enter sends" in shown and ":sft@" in shown, "the chat"
            )
            terminal.keys("-l", "hello")
            terminal.keys("Enter")
            wait_for(lambda: _servers(home), "the model server", deadline_s=60.0)
            (server,) = _servers(home)
            app = server.parent()
            words = server.cmdline()
            socket = Path(words[words.index("--uds") + 1])
            wait_for(socket.exists, "the socket", deadline_s=90.0)
            assert app is not None and app.is_running()
            # The dashboard goes on drawing, to a terminal that is gone.
            terminal.keys("F2")
            terminal.wait_for(f"{STATES['running']} running")
            terminal.close()
        wait_for(lambda: not app.is_running(), "the end of the app")
        wait_for(lambda: not server.is_running(), "the end of the server")
        wait_for(lambda: not socket.parent.exists(), "the socket's directory to be gone")
        assert load_run(live.run_dir).state == "running"
        step = load_run(live.run_dir).stages[0].step or 0
        wait_for_step(live, "base", step + 1)
    finally:
        kill_everything(home)


def _live_run(home: LabHome) -> RunPaths:
    paths = start(make_run(home, {"base": {"steps": 100_000, "step_s": 0.2}}, name="live"))
    wait_for_step(paths, "base", 2)
    return paths


def _kill(paths: RunPaths) -> None:
    """Kill the supervisor and the workers at once: nobody is left to say a word."""
    members = [
        identity
        for record in read_log(paths.control)
        if record.kind in ("supervisor", "stage")
        and (identity := identity_from(record.data)) is not None
    ]
    assert supervisor_pid(paths) in {member.pid for member in members}
    for member in [*members, *find_family(paths.run_dir.name[:26])]:
        send_signal(member, signal.SIGKILL)


def _servers(home: LabHome) -> list[psutil.Process]:
    """Return the model servers over a lab home that run now; those of a fork share no command."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(home.root) in words and "--exit-with-stdin" in words:
            found.append(process)
    return found
