"""Arithmetic with the calculator: copy an expression into code, then read the result. Torch-free.

One expression in twenty is held out by its hash, whatever the seed, for the test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from random import Random

from core.tasks.exchange import Exchange, choose, fill, last_number, text, tool_call

NAME = "arithmetic"
# Answers spread over many values; the commonest belongs to one expression in a hundred.
CHANCE = 0.01
HELD_OUT_EVERY = 20
THREE_OPERANDS_SHARE = 0.15
# Numbers of digits of an operand. Products of long operands only make longer answers to copy.
DIGITS = {"+": (0.2, 0.5, 0.3), "-": (0.2, 0.5, 0.3), "*": (0.4, 0.5, 0.1)}
WORDS: Mapping[str, str] = {"+": "plus", "-": "minus", "*": "times"}

# {expression} is spaced as in the code, so that its tokens can be copied one by one.
REPLY = "The answer is {value}."
NUM_COMMON = 4
QUESTIONS = (
    "What is {expression}?",
    "Calculate {expression}.",
    "How much is {expression}?",
    "What is {spoken}?",
    "Compute {expression}.",
    "Please work out {expression}.",
    "{expression} = ?",
    "{expression}",
    "Can you tell me what {expression} is?",
    "Give me the result of {expression}.",
    "What does {expression} make?",
    "What is the value of {expression}?",
    "I need to know {expression}.",
    "Solve {expression}.",
    "Find {expression}.",
    "How much is {spoken}?",
    "Work out {spoken}.",
    "Can you calculate {spoken}?",
    "what is {spoken}",
    "What is {compact}?",
    "Calculate {compact}.",
)


def generate(rng: Random, *, is_held_out: bool, variety: float) -> Exchange:
    """Return a question about an expression from the wanted side, answered with the tool."""
    expression = _expression(rng)
    while is_held_out_expression(expression) != is_held_out:
        expression = _expression(rng)
    spoken = " ".join(WORDS.get(word, word) for word in expression.split())
    form = choose(rng, QUESTIONS, num_common=NUM_COMMON, variety=variety)
    values = {
        "expression": expression,
        "spoken": spoken,
        "compact": expression.replace(" ", ""),
    }
    call, output = tool_call(expression)
    return Exchange(
        question=fill(form, values),
        reply=(call, output, text(fill(REPLY, {"value": output.text}))),
        answer=output.text,
    )


def is_held_out_expression(expression: str) -> bool:
    """Return the side of an expression; a sum or product is on that of its mirror image."""
    words = expression.split()
    if len(words) == 3 and words[1] != "-":
        words = [words[1], *sorted((words[0], words[2]))]
    digest = hashlib.sha256(" ".join(words).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_EVERY == 0


def fixed_texts() -> tuple[str, ...]:
    """Return every form of words that is used here."""
    return (*QUESTIONS, REPLY, *WORDS.values())


def is_correct(answer: str, response: str) -> bool:
    """Return whether the last number of the response is the answer."""
    return last_number(response) == Decimal(answer)


def _expression(rng: Random) -> str:
    num_operands = 3 if rng.random() < THREE_OPERANDS_SHARE else 2
    operators = [rng.choice("+-*") for _ in range(num_operands - 1)]
    words = [_operand(rng, operators[0])]
    for operator in operators:
        words += [operator, _operand(rng, operator)]
    return " ".join(words)


def _operand(rng: Random, operator: str) -> str:
    (num_digits,) = rng.choices((1, 2, 3), DIGITS[operator])
    return str(rng.randrange(10 ** (num_digits - 1), 10**num_digits))
