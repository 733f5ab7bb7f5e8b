"""A question with its model answer: what every task generates. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from core.chat_format import Part
from core.engine.tools import calculate

# A minus sign belongs to the number unless it follows a digit, as in "10-3".
_NUMBER = re.compile(r"(?:(?<![0-9])-)?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question, the reply to train on, and the answer to grade by (None: not graded)."""

    question: str
    reply: tuple[Part, ...]
    answer: str | None = None


def text(content: str) -> Part:
    """Return a part that the assistant says."""
    return Part(type="text", text=content)


def tool_call(code: str) -> tuple[Part, Part]:
    """Return the call of the calculator and the output that it really gives."""
    output = calculate(code)
    assert output is not None, code
    return Part(type="python", text=code), Part(type="python_output", text=output)


def messages(exchanges: Iterable[Exchange]) -> list[dict[str, Any]]:
    """Return exchanges as the messages of one conversation; a lone text part is plain text."""
    turns: list[dict[str, Any]] = []
    for exchange in exchanges:
        turns.append({"role": "user", "content": exchange.question})
        parts = [{"type": part.type, "text": part.text} for part in exchange.reply]
        is_plain = len(parts) == 1 and parts[0]["type"] == "text"
        turns.append({"role": "assistant", "content": parts[0]["text"] if is_plain else parts})
    return turns


def choose(rng: Random, forms: Sequence[str], *, num_common: int, variety: float) -> str:
    """Return any form with probability `variety`, else one of the first `num_common`."""
    return rng.choice(forms if rng.random() < variety else forms[:num_common])


def fill(form: str, values: Mapping[str, str]) -> str:
    """Return a form with its {names} replaced."""
    return form.format_map(dict(values))


def last_number(response: str) -> Decimal | None:
    """Return the last number in a text, thousands separators removed."""
    found = _NUMBER.findall(response.replace("\u2212", "-"))
    return Decimal(found[-1].replace(",", "")) if found else None
