"""The keyboard while a model speaks: Ctrl-C is a wish, and what is typed is not shown yet."""

from __future__ import annotations

import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.is_asked = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Note the first Ctrl-C; raise KeyboardInterrupt at the next."""
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True


@contextmanager
def stop_on_interrupt() -> Iterator[Stop]:
    """Note Ctrl-C instead of raising it; only the main thread gets signals."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def keys_unseen() -> Iterator[None]:
    """Keep a terminal from echoing keys, which would land in the middle of an answer.

    What is typed meanwhile waits for the next prompt.
    """
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    flags = list(before)
    flags[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, flags)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
