"""Counting letters with the calculator: copy a word into code, then read the result. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from random import Random

from core.tasks.exchange import Exchange, choose, fill, last_number, text, tool_call

NAME = "counting"
# The share of the commonest answer, 1: a model that always says it gets this much.
CHANCE = 0.45
# A letter drawn at random occurs once as a rule; the weights make the other counts common too.
COUNT_WEIGHTS: Mapping[int, float] = {0: 0.5, 1: 0.8, 2: 2.0}
MANY_WEIGHT = 4.0
ALPHABET = "abcdefghijklmnopqrstuvwxyz"

REPLY = "The count is {value}."
NUM_COMMON = 4
QUESTIONS = (
    'How many times does "{letter}" occur in "{word}"?',
    'How many "{letter}" are in "{word}"?',
    'Count the letter "{letter}" in "{word}".',
    'How often does the letter "{letter}" appear in "{word}"?',
    'How many {letter}\'s are in the word "{word}"?',
    'How many {letter} are there in "{word}"?',
    'In "{word}", how many times do you see "{letter}"?',
    'Tell me how many "{letter}" there are in "{word}".',
    'What is the number of "{letter}" in "{word}"?',
    'Count every "{letter}" in "{word}".',
    'Look at "{word}". How many "{letter}" does it have?',
    'I want to know how often "{letter}" is in "{word}".',
    'Does "{word}" have a "{letter}", and how many?',
    'Number of "{letter}" in "{word}"?',
    'count "{letter}" in "{word}"',
    'The word is "{word}" and the letter is "{letter}". How many?',
    "How many {letter} are in {word}?",
    "How many {letter}'s are in {word}?",
)


def generate(rng: Random, word: str, *, variety: float) -> Exchange:
    """Return a question about a letter of a word, answered through the calculator."""
    letter = _letter(rng, word)
    form = choose(rng, QUESTIONS, num_common=NUM_COMMON, variety=variety)
    # Double quotes: after a single one, an s or t would be split off as a contraction.
    call, output = tool_call(f'"{word}".count("{letter}")')
    return Exchange(
        question=fill(form, {"word": word, "letter": letter}),
        reply=(call, output, text(fill(REPLY, {"value": output.text}))),
        answer=output.text,
    )


def fixed_texts() -> tuple[str, ...]:
    """Return every form of words that is used here."""
    return (*QUESTIONS, REPLY)


def is_correct(answer: str, response: str) -> bool:
    """Return whether the last number of the response is the answer."""
    return last_number(response) == Decimal(answer)


def _letter(rng: Random, word: str) -> str:
    counts: dict[int, list[str]] = {}
    for letter in ALPHABET:
        counts.setdefault(word.count(letter), []).append(letter)
    weights = [COUNT_WEIGHTS.get(count, MANY_WEIGHT) for count in counts]
    (count,) = rng.choices(list(counts), weights)
    return rng.choice(counts[count])
