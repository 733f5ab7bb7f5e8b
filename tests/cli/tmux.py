"""labcli in a shell of a tmux session of its own: what the screen holds is read, keys are sent."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pytest

from runs.paths import LabHome

DEADLINE_S = 90.0
POLL_S = 0.1


class Tmux:
    """A shell on a screen of a size; a server of its own keeps it apart from other sessions."""

    def __init__(self, home: LabHome, *, size: tuple[int, int] = (80, 24)) -> None:
        found = shutil.which("tmux")
        if found is None:
            pytest.skip("no tmux")
        self._tmux = (found, "-L", f"labcli-{uuid.uuid4().hex[:8]}", "-f", os.devnull)
        self._environment = {
            **os.environ, "LABCLI_HOME": str(home.root), "LC_ALL": "C.UTF-8"
        }  # fmt: skip
        for name in ("TMUX", "NO_COLOR", "TEXTUAL_DRIVER"):
            self._environment.pop(name, None)
        width, height = size
        # Without its start-up files the shell has the prompt that it is given; the one in between
        # would drop it from the environment.
        shell = "exec env PS1='$ ' bash --noprofile --norc"
        self._call("new-session", "-d", "-x", str(width), "-y", str(height), shell)
        self.wait_for("$")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def labcli(self, *words: str) -> None:
        """Run a command, and let the shell tell its exit code afterwards."""
        line = shlex.join([sys.executable, "-m", "labcli.app", *words])
        self.keys("-l", f'{line}; echo "left with $?"')
        self.keys("Enter")

    def keys(self, *keys: str) -> None:
        """Send keys by tmux's names."""
        self._call("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        """Change the size of the screen."""
        self._call("resize-window", "-x", str(width), "-y", str(height))

    def shown(self) -> str:
        """Return what the screen holds."""
        return self._call("capture-pane", "-p")

    def flag(self, name: str) -> str:
        """Return what tmux knows of the screen, such as alternate_on."""
        return self._call("display-message", "-p", f"#{{{name}}}").strip()

    def wait_for(self, text: str, *, deadline_s: float = DEADLINE_S) -> str:
        """Return the screen once it holds a text."""
        self.wait_until(lambda shown: text in shown, repr(text), deadline_s=deadline_s)
        return self.shown()

    def wait_until(
        self, is_there: Callable[[str], bool], what: str, *, deadline_s: float = DEADLINE_S
    ) -> None:
        """Return once something holds of the screen, or fail with the screen."""
        end = time.monotonic() + deadline_s
        while not is_there(shown := self.shown()):
            assert time.monotonic() < end, f"waited {deadline_s} s for {what}:\n{shown}"
            time.sleep(POLL_S)

    def close(self) -> None:
        """Close the terminal, as a person does with a window, or a lost connection."""
        subprocess.run(
            [*self._tmux, "kill-server"], env=self._environment, capture_output=True, check=False
        )

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout
