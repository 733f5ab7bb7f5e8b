"""The keys of the arena; they work where no text is being written."""

from __future__ import annotations

from tui.answering.columns import MAX_LANES
from tui.shell.keys import KeyNames

_key = KeyNames("arena").key

ARENA_KEYS = (
    _key("i", "write", "Write", "write", "Write what every column is asked.", is_shown=True),
    _key("a", "add", "Add", "add", "Give another model a column.", is_shown=True),
    _key("m", "model", "Model", "model", "Change the column's model.", is_shown=True),
    _key("g,e", "settings", "Sampling", "settings", "Change how the column draws.", is_shown=True),
    _key("x", "remove", "Remove", "remove", "Take the column away."),
    _key("s", "stop", "Stop", "stop", "Stop the column's answer.", is_shown=True),
    _key("S", "stop_all", "Stop all", "stop-all", "Stop every answer."),
    _key("r", "retry", "Retry", "retry", "Ask the column again with a new seed.", is_shown=True),
    _key("R", "retry_all", "Retry all", "retry-all", "Ask every column again, with next seeds."),
    _key("b", "blind", "Blind", "blind", "Hide who says what until you vote.", is_shown=True),
    _key("t", "tie", "Tie", "tie", "Call the blind answers equal.", is_shown=True),
    _key("y", "copy", "Copy", "copy", "Copy the column's answer."),
    _key("w", "save", "Save", "save", "Keep the whole answers in the lab home."),
    _key("o", "colours", "Colours", "colours", "Colour tokens by entropy, or not."),
    _key("comma", "token(-1)", "Token before", "token-before", "Look into the token before."),
    _key("full_stop", "token(1)", "Token", "token", "Look into the tokens one by one."),
    _key("d", "departure", "Departure", "departure", "Look into the token that differs first."),
    _key("escape", "no_token", "Leave token", "no-token", "Look into no token any more."),
    _key("left", "turn(-1)", "Left", "left", "Turn to the column on the left."),
    _key("right", "turn(1)", "Right", "right", "Turn to the column on the right."),
    *(
        _key(
            str(number),
            f"number({number})",
            str(number),
            f"column-{number}",
            f"Turn to column {number}, or in a blind round vote for it.",
        )
        for number in range(1, MAX_LANES + 1)
    ),
)
