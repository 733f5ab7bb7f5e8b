"""What answers took, in words: one line after each, a table for /stats. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from labcli.chat.conversation import Answer, Conversation
from labcli.text.tables import render

FINISHES = {"length": "cut off", "interrupted": "stopped"}


def answer_line(answer: Answer) -> str:
    """Return what one answer took; what a narrow terminal can do without comes last."""
    words = [
        f"{answer.num_tokens} tokens",
        f"{answer.tok_per_sec:.0f} tokens/s",
        f"first after {first_token(answer.ttft_s)}",
    ]
    if answer.finish in FINISHES:
        words.append(FINISHES[answer.finish])
    if answer.weights != "native":
        words.append(f"{answer.weights} weights")
    words.append(f"context {answer.num_context:,} of {answer.trained_context:,} trained")
    return "  ".join([*words, f"(reads up to {answer.max_context:,})"])


def first_token(ttft_s: float | None) -> str:
    """Return the time to the first token: 12 ms, 1.4 s, or a dash when there was none."""
    if ttft_s is None:
        return "-"
    return f"{1000 * ttft_s:.0f} ms" if ttft_s < 1 else f"{ttft_s:.1f} s"


def stats_lines(conversation: Conversation, answers: Sequence[Answer]) -> list[str]:
    """Return a table of all answers with their totals, the context and the settings."""
    header = ["ANSWER", "TOKENS", "TOKENS/S", "FIRST", "CONTEXT", "END"]
    rows = [
        [str(number), *_figures(answer), FINISHES.get(answer.finish, "complete")]
        for number, answer in enumerate(answers, start=1)
    ]
    lines = [render(header, [*rows, _total(answers)], right="rrrrr")] if answers else []
    used = conversation.turns[-1].answer.num_context if conversation.turns else 0
    engine, num_turns = conversation.engine, len(conversation.turns)
    trained = engine.model.config.sequence_len
    return [
        *lines,
        f"model     {conversation.model}",
        f"settings  {conversation.settings.summary()}",
        f"weights   {engine.weights}",
        f"context   {used:,} of {trained:,} trained (reads up to {engine.max_positions:,}), "
        f"{num_turns} {'turn' if num_turns == 1 else 'turns'}",
    ]


def _figures(answer: Answer) -> list[str]:
    return [
        str(answer.num_tokens),
        f"{answer.tok_per_sec:.0f}",
        first_token(answer.ttft_s),
        str(answer.num_context),
    ]


def _total(answers: Sequence[Answer]) -> list[str]:
    num_tokens = sum(answer.num_tokens for answer in answers)
    wall_s = sum(answer.wall_s for answer in answers)
    firsts = sorted(answer.ttft_s for answer in answers if answer.ttft_s is not None)
    median = firsts[len(firsts) // 2] if firsts else None
    return ["all", str(num_tokens), f"{num_tokens / wall_s:.0f}", first_token(median), "", ""]
