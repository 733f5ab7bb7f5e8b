"""Turns as a person types or pipes them: line editing, history, messages of several lines."""

from __future__ import annotations

import json
import os
import select
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from core.files import replace_file
from labcli import diagnostics

PROMPT, MORE_PROMPT = "> ", ". "
MAX_HISTORY = 1000


class History:
    """What was typed before, one JSON string per line, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> list[str]:
        """Return the newest entries, oldest first; a file that cannot be read has none."""
        try:
            lines = self._path.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [entry for line in lines[-MAX_HISTORY:] if (entry := _entry(line)) is not None]

    def add(self, text: str) -> None:
        """Append an entry; a directory that cannot be written to keeps none."""
        line = json.dumps(text, ensure_ascii=False) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, line.encode("utf-8", errors="replace"))
            finally:
                os.close(descriptor)
        except OSError:
            return

    def trim(self) -> None:
        """Drop the oldest entries of a file that has grown to twice what is kept."""
        try:
            lines = self._path.read_bytes().splitlines(keepends=True)
            if len(lines) > 2 * MAX_HISTORY:
                replace_file(self._path, b"".join(lines[-MAX_HISTORY:]))
                self._path.chmod(0o600)
        except OSError:
            return


class TurnReader:
    """Reads messages from stdin.

    A backslash at the end of a line goes on with the next one, and lines that are pasted
    together are one message.
    """

    def __init__(self, history: History | None, words: Sequence[str]) -> None:
        self._history = history
        self._pasted: deque[str] = deque()
        self._remembered: str | None = None
        self._editor = _load_editor() if _is_editable() else None
        if self._editor is not None:
            _set_up(self._editor, history, words)

    def read(self) -> str | None:
        """Return the next message, or None at the end of input."""
        lines: list[str] = []
        while True:
            line = self._next_line(MORE_PROMPT if lines else PROMPT)
            if line is None:
                return "\n".join(lines) if lines else None
            if not _is_continued(line):
                return "\n".join([*lines, line])
            lines.append(line[:-1])

    def remember(self, text: str) -> None:
        """Put a message into the history, unless it repeats the one before."""
        if self._editor is not None and text != self._remembered:
            self._remembered = text
            self._editor.add_history(text)
            if self._history is not None:
                self._history.add(text)

    def _next_line(self, prompt: str) -> str | None:
        if self._pasted:
            return self._pasted.popleft()
        if self._editor is None:
            return _plain_line(prompt)
        was_typed_ahead = _has_input()
        try:
            line = input(prompt)
        except EOFError:
            diagnostics.say()
            return None
        # libedit hands over each line of a pasted text as if it had been typed.
        if _is_libedit(self._editor) and not was_typed_ahead:
            line = self._join_pasted(line)
        return line

    def _join_pasted(self, line: str) -> str:
        """Return a line with those that arrived together with it, up to a command."""
        lines = [line]
        while not line.startswith("/") and _has_input():
            try:
                line = input(MORE_PROMPT)
            except EOFError:
                break
            if line.startswith("/"):
                self._pasted.append(line)
            else:
                lines.append(line)
        return "\n".join(lines)


def _entry(line: str) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _is_continued(line: str) -> bool:
    """Return whether a line ends with a backslash that is not itself escaped."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _is_editable() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _load_editor() -> ModuleType | None:
    try:
        # Gives input() line editing. Not above: it writes to a terminal when imported.
        import readline
    except ImportError:
        return None
    return readline


def _set_up(editor: ModuleType, history: History | None, words: Sequence[str]) -> None:
    editor.set_auto_history(False)
    if history is not None:
        history.trim()
        for entry in history.entries():
            editor.add_history(entry)
    editor.set_completer(lambda start, index: _completion(words, editor.get_line_buffer(), index))
    editor.set_completer_delims(" \n")
    if _is_libedit(editor):
        editor.parse_and_bind("bind ^I rl_complete")
    else:
        editor.parse_and_bind("tab: complete")
        # A pasted text then enters the line as a whole; Python turns it off for its own prompt.
        editor.parse_and_bind("set enable-bracketed-paste on")


def _completion(words: Sequence[str], line: str, index: int) -> str | None:
    found = [word + " " for word in words if line.startswith("/") and word.startswith(line)]
    return found[index] if index < len(found) else None


def _is_libedit(editor: ModuleType) -> bool:
    return "libedit" in (editor.__doc__ or "")


def _has_input() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def _plain_line(prompt: str) -> str | None:
    """Return a line of a pipe, or of a terminal whose output goes elsewhere."""
    if sys.stdin.isatty():
        diagnostics.inline(prompt)
    data = sys.stdin.buffer.readline()
    return data.decode("utf-8", errors="replace").removesuffix("\n") if data else None


def read_stdin() -> str:
    """Return all of standard input; bytes that are not UTF-8 become U+FFFD."""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace")
