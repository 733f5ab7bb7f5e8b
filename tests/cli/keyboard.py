"""labcli in a terminal of its own: what it shows is read, keys are pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from runs.paths import LabHome

DEADLINE_S = 90.0
# select and pselect6 of Linux, by their numbers on x86-64 and on arm64.
SELECT_CALLS = ("23", "270", "72")


class Keyboard:
    """A labcli process on a pseudo-terminal; `shown` is all that it wrote."""

    def __init__(self, home: LabHome, *words: str, columns: int = 80, lines: int = 24) -> None:
        self._descriptor, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        env = {**os.environ, "LABCLI_HOME": str(home.root), "TERM": "xterm", "INPUTRC": "/dev/null"}
        env.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labcli.app", *words],
            env=env,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            # A session of its own, whose terminal this is: Ctrl-C reaches this process alone.
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(inner)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._descriptor)

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._descriptor, keys.encode())

    def press_at_prompt(self, keys: str) -> None:
        """Send keys once the process waits for them.

        Python's prompt looks for signals only while it waits: Ctrl-C in the moment before would
        be seen at the end of the line.
        """
        deadline = time.monotonic() + DEADLINE_S
        while not _waits_for_input(self.process.pid):
            assert time.monotonic() < deadline, "it never waited for a key"
        self.press(keys)

    def wait_for(self, text: str) -> str:
        """Return what was shown up to and with `text` since the last wait."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.shown:
            code = self.process.poll()
            assert code is None, f"it left with {code}; no {text!r} in {self.shown[-2000:]!r}"
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown[-2000:]!r}"
            self._read(deadline)
        end = self.shown.index(text) + len(text)
        seen, self.shown = self.shown[:end], self.shown[end:]
        return seen

    def wait_for_more(self) -> None:
        """Wait until a character is shown that is not a control character."""
        deadline = time.monotonic() + DEADLINE_S
        while not any(char.isprintable() for char in self.shown):
            assert time.monotonic() < deadline, f"nothing more than {self.shown!r}"
            self._read(deadline)

    def wait_for_exit(self) -> int:
        """Return the exit code; what is still shown is read meanwhile."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self.shown[-2000:]!r}"
            self._read(deadline)
        return self.process.returncode

    def _read(self, deadline: float) -> None:
        wait_s = min(0.2, max(0.0, deadline - time.monotonic()))
        if select.select([self._descriptor], [], [], wait_s)[0]:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:
                return
            self.shown += data.decode("utf-8", errors="replace")


def _waits_for_input(pid: int) -> bool:
    """Return whether a process sleeps, and not for a lock that another thread of it holds."""
    if psutil.Process(pid).status() != psutil.STATUS_SLEEPING:
        return False
    try:
        call = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    except OSError:
        return True
    return call in SELECT_CALLS


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
