"""The keys of the self-chat view."""

from __future__ import annotations

from tui.shell.keys import KeyNames

PANES = ("talk", "findings", "curves")

_key = KeyNames("selfchat").key

SELFCHAT_KEYS = (
    _key("n", "new", "New", "new", "Start another self-chat.", is_shown=True),
    *(
        _key(str(number), f"pane('{name}')", name.capitalize(), f"pane-{name}", f"Show {what}.")
        for number, (name, what) in enumerate(
            zip(
                PANES,
                ("the conversation", "verdicts, settings and comparisons", "curves over turns"),
                strict=True,
            ),
            start=1,
        )
    ),
    _key("space", "play", "Play", "play", "Play the conversation again, or pause.", is_shown=True),
    _key("plus", "speed(1)", "Faster", "faster", "Play faster; minus plays slower.", display="+",
         is_shown=True),
    _key("minus", "speed(-1)", "Slower", "slower", "Play slower.", display="-"),
    _key("full_stop", "step(1)", "Step", "step", "Show one token more.", display="."),
    _key("comma", "step(-1)", "Step back", "step-back", "Show one token less.", display=","),
    _key("g", "jump_turn", "Jump", "jump-turn", "Jump to a turn by its number.", is_shown=True),
    _key("e", "whole", "Whole", "whole", "End the replay: show the whole conversation."),
    _key("greater_than_sign", "checkpoint(1)", "Later", "later",
         "Show the same conversation at the next checkpoint.", display=">"),
    _key("less_than_sign", "checkpoint(-1)", "Earlier", "earlier",
         "Show the same conversation at the checkpoint before.", display="<"),
    _key("f", "filter", "Filter", "filter", "List the next setting's conversations alone, or all.",
         is_shown=True),
    _key("a", "arena", "Arena", "arena", "Ask the models of this conversation in the arena.",
         is_shown=True),
    _key("escape", "list", "List", "list", "Go back to the list of conversations."),
)  # fmt: skip
