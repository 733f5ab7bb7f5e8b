"""What counts as a word, in any script: the unit of the measures that must not depend on tokens."""

from __future__ import annotations

import re
import unicodedata

# Written without spaces: each character stands for a word of its own.
_IDEOGRAPHS = (
    (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
_JOINERS = "'\u2019-\u2010"
_WORD = re.compile("i|w+(?:jw+)*")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text, casefolded and in Unicode's normal form C.

    A word is a run of letters, marks and digits, with single apostrophes and hyphens inside it.
    Han characters and kana are a word each. Other scripts without spaces (Thai, Khmer) are not
    taken apart: their runs count as one word.
    """
    folded = unicodedata.normalize("NFC", text.casefold())
    shape = folded.translate({ord(one): _kind(one) for one in set(folded)})
    return tuple(folded[found.start() : found.end()] for found in _WORD.finditer(shape))


def _kind(character: str) -> str:
    """Return w for a part of a word, j for what joins parts, i for an ideograph, else a space."""
    if character in _JOINERS:
        return "j"
    if character.isascii():
        return "w" if character.isalnum() else " "
    if unicodedata.category(character)[0] not in "LMN":
        return " "
    code = ord(character)
    return "i" if any(low <= code <= high for low, high in _IDEOGRAPHS) else "w"
