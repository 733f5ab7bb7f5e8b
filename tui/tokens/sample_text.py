"""What the playground shows before anything is typed: words, code, numbers and other scripts."""

from __future__ import annotations

SAMPLE = (
    "Tokenizers cut text into pieces, unbelievably long words into more of them.\n"
    "for i in range(10):\n\tprint(i * 27)  # tabs, numbers: 1234567\n"
    "na\u00efve caf\u00e9, \u4f60\u597d, \u043f\u0440\u0438\u0432\u0435\u0442 \U0001f642\n"
)
