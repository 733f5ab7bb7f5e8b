"""A vocabulary read from a file or a directory, in whichever format it is. Torch-free."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from core.bpe import NUM_BYTES
from core.tokenizer import Tokenizer
from core.vocab.huggingface import read_huggingface
from core.vocab.imported import Imported, VocabFormat, adopt
from core.vocab.known import KNOWN
from core.vocab.nanochat import PICKLE_NAME, read_nanochat
from core.vocab.patterns import pattern_label, pattern_of
from core.vocab.tiktoken_file import parse_ranks
from runs.errors import Corrupt, NotFound

TOKENIZER_NAME = "tokenizer.json"
# Far above the largest vocabularies there are, which take some 30 MB as JSON.
MAX_FILE_BYTES = 512 * 2**20
_GUESS_BYTES = 4096


def load_vocabulary(
    path: Path, *, form: VocabFormat | None = None, pattern: str | None = None
) -> Imported:
    """Return the tokenizer at a path; the format is guessed unless it is given.

    Args:
        path: a file, or a directory that holds tokenizer.json or nanochat's tokenizer.pkl.
        form: what the file is.
        pattern: the name of a split pattern or the pattern, instead of the file's own.

    Raises:
        NotFound: there is no such file.
        Corrupt: the file is damaged.
        UsageError: the file holds what we cannot encode with equal ids.
    """
    file = _file_at(path, form)
    content = _read(file)
    kind = form or guess_format(file, content)
    if kind == "lab":
        return Imported(tokenizer=Tokenizer.from_file(file), format=kind)
    if kind == "hf":
        return read_huggingface(content, file.name, pattern=pattern)
    if kind == "nanochat":
        return read_nanochat(file, content, pattern=pattern)
    return _read_tiktoken(content, file.name, pattern)


def guess_format(file: Path, content: bytes) -> VocabFormat:
    """Return the format that a file's first bytes show."""
    start = content[:_GUESS_BYTES].lstrip()
    if start.startswith(b"{"):
        return "lab" if _is_ours(content) else "hf"
    if file.suffix in (".pkl", ".pickle") or start.startswith(b"\x80"):
        return "nanochat"
    return "tiktoken"


def _is_ours(content: bytes) -> bool:
    # Our files open with the version; a file that is damaged further on is still ours.
    if content.startswith(b'{"v":'):
        return True
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and "v" in body and "special_tokens" in body


def _file_at(path: Path, form: VocabFormat | None) -> Path:
    if not path.is_dir():
        return path
    names = (PICKLE_NAME,) if form == "nanochat" else (TOKENIZER_NAME, PICKLE_NAME)
    for name in names:
        if (path / name).is_file():
            return path / name
    raise NotFound(f"{path} holds no {' nor '.join(names)}; name the file")


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise Corrupt(f"{file} is larger than any vocabulary ({MAX_FILE_BYTES} bytes)")
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no tokenizer at {file}") from None


def _read_tiktoken(content: bytes, name: str, pattern: str | None) -> Imported:
    ranks = parse_ranks(content, name)
    notes = []
    if pattern is None:
        sha256 = hashlib.sha256(content).hexdigest()
        known = next((known for known in KNOWN.values() if known.sha256 == sha256), None)
        chosen = known.pattern if known else _likely_pattern(ranks)
        notes.append(
            f"split pattern: {pattern_label(chosen)}, "
            + (f"as this is {known.name}" if known else "a guess; the file holds none")
        )
    else:
        chosen = pattern_of(pattern)
    return adopt(ranks, pattern=chosen, form="tiktoken", name=name, notes=notes)


def _likely_pattern(ranks: dict[bytes, int]) -> str:
    """Return our pattern for ranks that begin with the bytes in order, else GPT-4's.

    rustbpe and this lab number the bytes so, OpenAI does not.
    """
    is_plain = all(ranks.get(bytes([value])) == value for value in range(NUM_BYTES))
    return pattern_of("lab" if is_plain else "cl100k")
