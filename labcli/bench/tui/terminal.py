"""A terminal that runs the app and notes when each frame has arrived.

It says that it knows synchronized updates, so every frame stands between two marks.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from runs.errors import LabError

FRAME_BEGIN, FRAME_END = b"\x1b[?2026h", b"\x1b[?2026l"
_QUESTION, _ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_>=])")
# Long enough for a loaded machine; what is measured is never waited for this long.
DEADLINE_S = 120.0
READ_BYTES = 1 << 16
ENDING_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What was painted at once, and when all of it had arrived, in seconds of `time.monotonic`."""

    ended_s: float
    data: bytes

    @property
    def text(self) -> str:
        """The characters, without where and how they are drawn."""
        return plain(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Columns and rows of a terminal."""

    columns: int
    rows: int


WIDE = Size(columns=200, rows=50)


class Terminal(AbstractContextManager["Terminal"]):
    """`labcli WORDS...` on a pty of its own; ended with `with`."""

    def __init__(self, home: Path, words: Sequence[str], *, size: Size = WIDE) -> None:
        self._ours, theirs = pty.openpty()
        window = struct.pack("HHHH", size.rows, size.columns, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, window)
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "labcli.app", "--home", str(home), *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=home,
            env=_environment(),
            start_new_session=True,
        )
        os.close(theirs)
        import psutil

        self._usage = psutil.Process(self._process.pid)
        self.frames: list[Frame] = []
        self._seen = bytearray()
        self._rest = b""
        self._has_ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(ENDING_S)
        os.close(self._ours)

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time that the app has taken."""
        times = self._usage.cpu_times()
        return float(times.user + times.system)

    @property
    def resident_bytes(self) -> int:
        """Memory of the app that is resident now."""
        return int(self._usage.memory_info().rss)

    def send(self, keys: str) -> None:
        """Type keys."""
        os.write(self._ours, keys.encode())

    def wait_text(self, text: str) -> float:
        """Return when a text had arrived first, in seconds of `time.monotonic`."""
        self._wait(lambda: text in plain(bytes(self._seen)), f"{text!r} on the screen")
        return time.monotonic()

    def has_shown(self, text: str) -> bool:
        """Return whether a text was painted lately."""
        return text in plain(bytes(self._seen))

    def wait_frame(self) -> None:
        """Wait for the first frame."""
        self._wait(lambda: bool(self.frames), "anything")

    def answer_s(self, keys: str, *, quiet_s: float) -> float:
        """Type keys; return how long after it the last frame came before so long a silence."""
        num = len(self.frames)
        began_s = time.monotonic()
        self.send(keys)
        self._wait(lambda: len(self.frames) > num, f"a frame after {keys!r}")
        self.wait_quiet(quiet_s)
        return self.frames[-1].ended_s - began_s

    def wait_quiet(self, quiet_s: float) -> None:
        """Wait until nothing has been painted for a while."""
        self._wait(
            lambda: bool(self.frames) and time.monotonic() - self.frames[-1].ended_s > quiet_s,
            "a still screen",
        )

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        with self._news:
            while not is_so():
                if self._has_ended:
                    raise LabError(f"the app ended: {plain(bytes(self._seen))[-300:].strip()}")
                if time.monotonic() > deadline_s:
                    raise LabError(f"the app did not show {what} in {DEADLINE_S:.0f} s")
                self._news.wait(0.005)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, READ_BYTES)
            except OSError:
                data = b""
            now_s = time.monotonic()
            with self._news:
                if not data:
                    self._has_ended = True
                    self._news.notify_all()
                    return
                if _QUESTION in data:
                    os.write(self._ours, _ANSWER)
                self._take(data, now_s)
                self._news.notify_all()

    def _take(self, data: bytes, now_s: float) -> None:
        self._seen += data
        # What is waited for was painted lately.
        del self._seen[: -4 * READ_BYTES]
        whole, self._rest = frames_in(self._rest + data)
        self.frames += [Frame(ended_s=now_s, data=one) for one in whole]


def frames_in(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole frames in what a terminal was sent, and what follows the last of them."""
    *whole, rest = data.split(FRAME_END)
    return [part.rpartition(FRAME_BEGIN)[2] for part in whole], rest


def plain(data: bytes) -> str:
    """Return the characters of what a terminal was sent."""
    return _ESCAPES.sub(b"", data).decode("utf-8", errors="replace")


def _environment() -> dict[str, str]:
    env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    # Each would have the app draw less.
    for name in ("NO_COLOR", "SSH_CONNECTION", "LABCLI_ASCII", "LC_ALL", "TEXTUAL_DRIVER"):
        env.pop(name, None)
    env["PYTHONDONTWRITEBYTECODE"] = ""
    return env
