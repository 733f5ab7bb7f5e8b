"""What the user is told beside the data: the only place that writes to stderr."""

from __future__ import annotations

import shutil
import sys
import traceback

from labcli.text.wrapping import wrapped

CLEAR_LINE = "\r\x1b[2K"
# Terminals narrower than this break lines themselves: a word a line reads worse.
LEAST_COLUMNS = 40


def say(text: str = "") -> None:
    """Write one line of narration, on a terminal broken between words.

    A closed stderr is ignored.
    """
    if sys.stderr.isatty():
        text = broken(text, shutil.get_terminal_size().columns)
    inline(text + "\n")


def inline(text: str) -> None:
    """Write narration that the rest of its line follows; a closed stderr is ignored."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        return


def error(message: str) -> None:
    """Write the one line that a failed command leaves behind."""
    say("labcli: error: " + " ".join(message.split()))


def show_traceback(exception: BaseException) -> None:
    """Write the traceback of an exception."""
    inline("".join(traceback.format_exception(exception)))


def is_terminal() -> bool:
    """Return whether a person sees stderr and can answer on stdin."""
    return sys.stderr.isatty() and sys.stdin is not None and sys.stdin.isatty()


def ring() -> None:
    """Ring the bell of the terminal; on anything else nothing is written."""
    if sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()


def ask(question: str) -> str:
    """Return the answer to a question, lower-cased and stripped; "" at the end of input."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower()


def broken(text: str, width: int) -> str:
    """Return a text whose lines are broken between words where they are wider than `width`.

    Words stay whole, so that a path can be copied; coloured lines stay as they are.
    """
    lines = text.split("\n")
    return "\n".join(_broken_line(line, width) if len(line) > width else line for line in lines)


def _broken_line(line: str, width: int) -> str:
    if width < LEAST_COLUMNS or "\x1b" in line:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(wrapped(line.strip(), width, start=indent, hang=indent + "  "))


def fit(text: str, width: int) -> str:
    """Return the parts of a line, which two spaces separate, that fit into `width`."""
    while len(text) > width and "  " in text:
        text = text[: text.rindex("  ")].rstrip()
    return text[:width]


def fit_terminal(text: str) -> str:
    """Return the parts of a line that fit into the terminal; elsewhere all of it."""
    return fit(text, shutil.get_terminal_size().columns - 1) if sys.stderr.isatty() else text


class StatusLine:
    """One line at the bottom of a terminal that is rewritten in place.

    On anything that is not a terminal `update` writes nothing.
    """

    def __init__(self) -> None:
        self._is_live = sys.stderr.isatty()
        self._text = ""

    @property
    def is_live(self) -> bool:
        """Whether updates are shown."""
        return self._is_live

    def update(self, text: str) -> None:
        """Show `text`, without the parts that the terminal is too narrow for."""
        if not self._is_live or text == self._text:
            return
        self._text = text
        sys.stderr.write(CLEAR_LINE + fit(text, shutil.get_terminal_size().columns - 1))
        sys.stderr.flush()

    def say(self, text: str) -> None:
        """Write a line that stays, above the status."""
        status = self._text
        self.clear()
        say(text)
        self.update(status)

    def clear(self) -> None:
        """Remove the status from the screen."""
        if self._is_live and self._text:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
        self._text = ""
