"""What a request may ask for. A limit that is passed is answered with 400 and one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from core.serve.errors import bad_request

MAX_BODY_BYTES = 1 << 20
BODY_DEADLINE_S = 30.0
MAX_NAME_CHARS = 500
MAX_MESSAGES = 500
MAX_MESSAGE_CHARS = 8000
MAX_TOTAL_CHARS = 32_000
MAX_TEMPERATURE = 2.0
MAX_TOP_K = 200
MAX_NEW_TOKENS = 4096
MAX_CHOICES = 16
MAX_STOPS = 8
MAX_STOP_CHARS = 100
MAX_TOP_LOGPROBS = 20
MAX_TEXT_CHARS = 200_000
MAX_IDS = 200_000

DEFAULT_TEMPERATURE = 0.8
DEFAULT_TOP_K = 50
# As far as the model has room for it.
DEFAULT_MAX_NEW_TOKENS = 512


def check_messages(
    lengths: Sequence[int], can_be_empty: Sequence[bool], *, is_cut: bool = False
) -> None:
    """Refuse a conversation whose messages have these numbers of characters, or raise nothing.

    Of one that is cut to what fits, the body alone is limited.
    """
    if not lengths:
        raise bad_request("messages is empty; give at least one", "messages")
    if len(lengths) > MAX_MESSAGES and not is_cut:
        raise bad_request(
            f"{len(lengths)} messages are too many; at most {MAX_MESSAGES}", "messages"
        )
    for index, (length, is_excused) in enumerate(zip(lengths, can_be_empty, strict=True)):
        if length == 0 and not is_excused:
            raise bad_request(f"message {index} is empty", f"messages[{index}].content")
        if length > MAX_MESSAGE_CHARS:
            raise bad_request(
                f"message {index} has {length} characters; at most {MAX_MESSAGE_CHARS}",
                f"messages[{index}].content",
            )
    if not is_cut:
        check_total(sum(lengths), "messages")


def check_total(num_chars: int, param: str) -> None:
    """Refuse a call with more characters than a prompt may have."""
    if num_chars > MAX_TOTAL_CHARS:
        raise bad_request(
            f"{param} has {num_chars} characters together; at most {MAX_TOTAL_CHARS}", param
        )


def check_text(num_chars: int) -> None:
    """Refuse a text that is too long to be shown as tokens."""
    if num_chars > MAX_TEXT_CHARS:
        raise bad_request(f"text has {num_chars} characters; at most {MAX_TEXT_CHARS}", "text")


def check_stops(stops: Sequence[str]) -> None:
    """Refuse stop strings that are empty, too long or too many."""
    if len(stops) > MAX_STOPS:
        raise bad_request(f"{len(stops)} stop strings are too many; at most {MAX_STOPS}", "stop")
    if any(not 0 < len(stop) <= MAX_STOP_CHARS for stop in stops):
        raise bad_request(f"a stop string must have 1 to {MAX_STOP_CHARS} characters", "stop")
