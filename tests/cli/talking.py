"""A talk with an engine that says what a test wants, and a terminal to say it on."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.engine.engine import Engine
from core.model import GPT
from labcli.chat.conversation import Conversation
from labcli.chat.loop import Talk
from labcli.speaking.speaker import Speaker
from runs.errors import NotFound
from runs.paths import LabHome
from tests.builders import artifact, build_run
from tests.engine.builders import (
    TOKENIZER,
    Script,
    random_model,
    save_checkpoint,
    tiny_config,
)
from tui.answering.sampling import TalkSettings

END = TOKENIZER.special("assistant_end")
SETTINGS = TalkSettings(temperature=0.0, top_k=50, seed=0, max_new_tokens=40)
_SEQUENCE = re.compile(r"\x1b\[(\d*)([AJK])|\x1b\[[\d;]*m")


def speaking(*texts: str, sequence_len: int = 512) -> tuple[Engine, Script]:
    """Return an engine that answers every prompt with the text of its row."""
    script = Script(*([*TOKENIZER.encode(text), END] for text in texts))
    model = GPT(tiny_config(sequence_len=sequence_len))
    model.init_buffers()
    return Engine(model, TOKENIZER, decoder=script, max_rows=1), script


def conversation(
    text: str, *, sequence_len: int = 512, stage: str = "sft"
) -> tuple[Conversation, Script]:
    """Return a conversation whose every answer is `text`."""
    engine, script = speaking(text, sequence_len=sequence_len)
    return Conversation(Speaker(engine=engine, name="script", stage=stage), SETTINGS), script


def talk_of(talked: Conversation, home: Path) -> Talk:
    """Return a talk that knows one other model, named other."""

    def load(ref: str) -> Speaker:
        if ref != "other":
            raise NotFound(f"no run matches {ref!r}")
        return Speaker(engine=speaking("I am another")[0], name="other", stage="sft")

    return Talk(talked, load=load, home=LabHome(home), is_json=False)


def trained_run(home: LabHome) -> Path:
    """Return the chat checkpoint of a finished run that also has a tokenizer and a base model."""
    built = build_run(home, stages=("tok", "base", "sft"))
    TOKENIZER.save(built.paths.artifacts_dir("tok") / "tokenizer.json")
    model = random_model(tiny_config())
    paths = [
        save_checkpoint(built.paths.checkpoints_dir(stage), model, TOKENIZER, stage)
        for stage in ("base", "sft")
    ]
    built.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    for stage in ("base", "sft"):
        built.finish(stage)
    return paths[-1]


class Glass:
    """What a terminal shows: rows of text, scrolled-off ones included; styles are dropped.

    It understands line feeds (as a terminal in cooked mode), carriage returns, cursor up and the
    two erasures that the screen uses; anything else is an error.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.rows: list[str] = [""]
        self._row, self._column = 0, 0

    @property
    def text(self) -> str:
        """All rows, trailing spaces dropped."""
        return "\n".join(row.rstrip() for row in self.rows)

    def size(self) -> os.terminal_size:
        """Return the size, like shutil.get_terminal_size."""
        return os.terminal_size((self.columns, self.lines))

    def write(self, text: str) -> None:
        """Take what is sent to the terminal."""
        end = 0
        for found in _SEQUENCE.finditer(text):
            self._print(text[end : found.start()])
            end = found.end()
            self._obey(found[2], int(found[1] or 1))
        self._print(text[end:])

    def _obey(self, letter: str | None, count: int) -> None:
        if letter == "A":
            top = max(0, len(self.rows) - self.lines)
            assert self._row - count >= top, "the cursor left the screen"
            self._row -= count
        elif letter in ("J", "K"):
            self.rows[self._row] = self.rows[self._row][: self._column]
            if letter == "J":
                del self.rows[self._row + 1 :]
        else:
            assert letter is None

    def _print(self, text: str) -> None:
        for char in text:
            assert char != "\x1b"
            if char == "\r":
                self._column = 0
            elif char == "\n":
                self._row, self._column = self._row + 1, 0
                if self._row == len(self.rows):
                    self.rows.append("")
            else:
                self._put(char)

    def _put(self, char: str) -> None:
        assert self._column < self.columns, "the last column was passed"
        row = self.rows[self._row].ljust(self._column)
        self.rows[self._row] = row[: self._column] + char + row[self._column + 1 :]
        self._column += 1
