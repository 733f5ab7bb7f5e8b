"""What workers tell the tokenizer playground. Widgets' own messages are nested in the widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui.shell.tones import ToneLine
from tui.tokens.segmenting import LanguageBoard, Look, Vocabulary
from tui.tokens.vocabularies import CorpusCounts


@dataclass
class VocabulariesLoaded(Message):
    """The tokenizers that were asked for; `problem` names those that could not be had."""

    found: tuple[Vocabulary, ...]
    problem: str


@dataclass
class Looked(Message):
    """A text was segmented."""

    look: Look


@dataclass
class Told(Message):
    """A token was looked up."""

    lines: tuple[ToneLine, ...]


@dataclass
class Counted(Message):
    """A vocabulary was counted on the corpus, where there is one."""

    vocabulary: Vocabulary
    counts: CorpusCounts | None


@dataclass
class BoardMade(Message):
    """The languages were measured."""

    board: LanguageBoard


@dataclass
class FileRead(Message):
    """A file was read."""

    name: str
    text: str


@dataclass
class Trouble(Message):
    """Something could not be done; the line says what and why."""

    text: str


@dataclass
class Copied(Message):
    """Ids were written to a file and go to the clipboard of the terminal."""

    ids: str
    num_ids: int
    path: str
