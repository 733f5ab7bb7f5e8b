"""The printable characters that stand for bytes in GPT-2's files and Hugging Face's. Torch-free."""

from __future__ import annotations

from core.bpe import NUM_BYTES


def _alphabet() -> str:
    # Printable Latin-1 stands for itself; the others get the code points from 256 on.
    code_points = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    printable = set(code_points)
    spare = iter(range(NUM_BYTES, 2 * NUM_BYTES))
    every = range(NUM_BYTES)
    return "".join(chr(value if value in printable else next(spare)) for value in every)


ALPHABET = _alphabet()
# A str that translate() turns into characters, and back from characters to Latin-1.
_BYTE_OF = {ord(char): value for value, char in enumerate(ALPHABET)}
_CHAR_OF = dict(enumerate(ALPHABET))


def to_chars(token: bytes) -> str:
    """Return the characters that stand for a token's bytes."""
    return token.decode("latin-1").translate(_CHAR_OF)


def from_chars(text: str) -> bytes | None:
    """Return the bytes that the characters stand for; None when one of them stands for none."""
    if not _BYTE_OF.keys() >= set(map(ord, text)):
        return None
    return text.translate(_BYTE_OF).encode("latin-1")
