"""What the playground does in threads: load, cut, explain, count, read and write.

Each worker posts a message when it is done; the handlers, and all that is seen, are the
playground's.
"""

from __future__ import annotations

from pathlib import Path

from textual import on, work
from textual.screen import Screen

from runs.errors import LabError, UsageError
from runs.files import write_atomic
from runs.paths import LabHome
from tui.shell.format import size
from tui.shell.glyphs import Glyphs
from tui.tokens.facts import token_lines
from tui.tokens.messages import (
    BoardMade,
    Copied,
    Counted,
    FileRead,
    Looked,
    Told,
    Trouble,
    VocabulariesLoaded,
)
from tui.tokens.segmenting import Column, Lens, Look, Vocabulary, language_board, look_at
from tui.tokens.vocabularies import CorpusCounts, Vocabularies

MAX_FILE_BYTES = 16 * 2**20
IDS_FILE = "playground-ids.txt"


class TokenWork(Screen[None]):
    """A screen over tokenizers of a lab home."""

    def __init__(self, *, home: LabHome, glyphs: Glyphs, vocabularies: Vocabularies) -> None:
        super().__init__()
        self.home = home
        self.glyphs = glyphs
        self.source = vocabularies
        self.shown: tuple[Vocabulary, ...] = ()
        self.reads_specials = False

    @work(thread=True, exclusive=True, exit_on_error=False, group="load")
    def load(self, refs: tuple[str | None, ...]) -> None:
        """Load tokenizers; the first one of a lab home may have to be trained."""
        have = {vocabulary.ref: vocabulary for vocabulary in self.shown}
        found, problems = [], []
        for ref in refs:
            try:
                found.append(have.get(ref) or Vocabulary(ref, self.source.load(ref), self.glyphs))
            except (LabError, OSError) as error:
                problems.append(str(error))
        self.post_message(VocabulariesLoaded(tuple(found), "; ".join(problems)))

    @work(thread=True, exit_on_error=False, group="look")
    def segment(self, text: str, vocabularies: tuple[Vocabulary, ...], lens: Lens) -> None:
        """Cut a text into tokens."""
        self.post_message(Looked(self.look_at(text, vocabularies, lens)))

    @work(thread=True, exclusive=True, exit_on_error=False, group="tell")
    def look_up(self, column: Column, index: int, counts: CorpusCounts | None) -> None:
        """Find out all about one token."""
        self.post_message(Told(token_lines(column, index, counts, self.glyphs)))

    @work(thread=True, exit_on_error=False, group="count")
    def count(self, vocabulary: Vocabulary) -> None:
        """Count a vocabulary on the corpus of the lab home."""
        try:
            counts = self.source.count(vocabulary.tokenizer)
        except (LabError, OSError):
            # The playground is not the place to hear of a damaged corpus.
            counts = None
        self.post_message(Counted(vocabulary, counts))

    @work(thread=True, exclusive=True, exit_on_error=False, group="languages")
    def measure_languages(self, vocabularies: tuple[Vocabulary, ...]) -> None:
        """Measure every language."""
        self.post_message(BoardMade(language_board(vocabularies)))

    @work(thread=True, exclusive=True, exit_on_error=False, group="file")
    def read_text_file(self, path: Path) -> None:
        """Read a file; bytes that are not UTF-8 become U+FFFD."""
        try:
            num_bytes = path.stat().st_size
            if num_bytes > MAX_FILE_BYTES:
                limit = size(MAX_FILE_BYTES)
                self.post_message(Trouble(f"{path} has {size(num_bytes)}; the limit is {limit}"))
                return
            text = path.read_bytes().decode("utf-8", errors="replace")
        except OSError as error:
            self.post_message(Trouble(f"cannot read {path}: {error.strerror}"))
            return
        self.post_message(FileRead(path.name, text))

    @work(thread=True, exclusive=True, exit_on_error=False, group="copy")
    def write_ids(self, column: Column) -> None:
        """Write the ids to a file: what a terminal does with a clipboard nobody can know."""
        ids = " ".join(map(str, column.rows.ids.tolist()))
        path = self.home.root / IDS_FILE
        try:
            write_atomic(path, f"{ids}\n".encode())
        except OSError as error:
            self.post_message(Trouble(f"cannot write {path}: {error.strerror}"))
            return
        self.post_message(Copied(ids, column.rows.num_tokens, str(path)))

    def look_at(self, text: str, vocabularies: tuple[Vocabulary, ...], lens: Lens) -> Look:
        """Return the tokens of a text; a short one takes no thread."""
        return look_at(text, vocabularies, lens, reads_specials=self.reads_specials)

    @on(Trouble)
    def tell_trouble(self, message: Trouble) -> None:
        """Say what could not be done."""
        self.notify(message.text, severity="error", markup=False)

    @on(Copied)
    def tell_copied(self, message: Copied) -> None:
        """Hand the ids to the terminal, and say where else they are."""
        self.app.copy_to_clipboard(message.ids)
        told = f"{message.num_ids:,} ids sent to the terminal's clipboard; also in {message.path}"
        self.notify(told, markup=False)


def check_file(text: str) -> None:
    """Check the path of a text as it was typed.

    Raises:
        UsageError: there is no such file.
    """
    if not text:
        raise UsageError("type the path of a text file")
    if not Path(text).expanduser().is_file():
        raise UsageError(f"there is no file {text}")
