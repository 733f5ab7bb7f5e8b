"""Spelling: what letters a word is made of, which a tokenizer hides from the model. Torch-free."""

from __future__ import annotations

from random import Random

from core.tasks.exchange import Exchange, choose, fill, text

NAME = "spelling"
# Nobody guesses the letters of a word in order.
CHANCE = 0.0

# Quotes keep the tokens of the word the same in the question and in the answer; after a space
# the tokenizer would join the space to the word.
NUM_COMMON = 4
QUESTIONS = (
    'Spell the word "{word}".',
    'How do you spell "{word}"?',
    'Spell "{word}" letter by letter.',
    'Which letters make up "{word}"?',
    'Please spell "{word}".',
    'Can you spell "{word}" for me?',
    'What are the letters of "{word}"?',
    'List the letters of "{word}" in order.',
    'Write "{word}" with a comma between the letters.',
    'Split "{word}" into its letters.',
    'Take "{word}" apart, one letter at a time.',
    'I need the spelling of "{word}".',
    'Give me the letters in "{word}".',
    'Name each letter of "{word}", from first to last.',
    'spell "{word}"',
    '"{word}": how is it spelled?',
    "Spell the word: {word}",
    "Spell this word: {word}",
    "How do you spell {word}?",
    "spell {word}",
)


def generate(rng: Random, word: str, *, variety: float) -> Exchange:
    """Return a question about the letters of a word, with its answer."""
    question = fill(choose(rng, QUESTIONS, num_common=NUM_COMMON, variety=variety), {"word": word})
    letters = ",".join(word)
    return Exchange(question=question, reply=(text(f"{word}:{letters}"),), answer=letters)


def fixed_texts() -> tuple[str, ...]:
    """Return every form of words that is used here."""
    return QUESTIONS


def is_correct(answer: str, response: str) -> bool:
    """Return whether the letters after the colon are those of the answer, in order."""
    _, colon, spelled = response.strip().rpartition(":")
    letters = [letter.strip() for letter in spelled.strip().removesuffix(".").split(",")]
    return bool(colon) and letters == answer.split(",")
