"""Text that a model writes for the same few prompts each time, to be read by a person."""

from __future__ import annotations

from collections.abc import Iterator

from core.chat_format import prompt_ids
from core.engine.answer import readable
from core.engine.engine import Engine
from core.engine.request import Request
from core.model import GPT
from core.tokenizer import Tokenizer
from runs.events import Sample

CONTINUATION_TOKENS = 16
ANSWER_TOKENS = 64
# What a base model comes to know, in about this order: facts, words, days, taste, sums.
CONTINUATIONS = (
    "The capital of France is",
    "The chemical symbol for gold is",
    "If today is Friday, then tomorrow is",
    "The opposite of hot is",
    "The planets of the solar system are",
    "My favourite colour is",
    "If 5 * x + 3 = 13, then x is",
)
QUESTIONS = (
    "What is 27 * 14?",
    'How many times does "r" occur in "strawberry"?',
    'Spell the word "lantern".',
    "Who are you?",
    "What does os.path.join do?",
)


def sample_events(
    model: GPT, tokenizer: Tokenizer, *, step: int, is_chat: bool
) -> Iterator[Sample]:
    """Yield one greedy sample per prompt: continuations of text, or answers in a chat."""
    prompts = QUESTIONS if is_chat else CONTINUATIONS
    engine = Engine(model, tokenizer, is_deterministic=True, max_rows=len(prompts))
    asked = [prompt_ids(tokenizer, prompt, is_base=not is_chat) for prompt in prompts]
    # A model of very short rows has few positions; its samples are then short, or none.
    room = engine.max_positions - max(map(len, asked))
    max_new_tokens = min(ANSWER_TOKENS if is_chat else CONTINUATION_TOKENS, room)
    if max_new_tokens < 1:
        return
    completions = engine.complete(
        [Request(prompt_ids=ids, max_new_tokens=max_new_tokens) for ids in asked]
    )
    settings = {"temperature": 0, "max_new_tokens": max_new_tokens}
    for prompt, completion in zip(prompts, completions, strict=True):
        text = readable(completion.parts)
        yield Sample(step=step, prompt=prompt, text=text, settings=settings)
