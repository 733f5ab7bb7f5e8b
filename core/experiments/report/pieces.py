"""The text of each token of a turn, for those who draw a turn token by token. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from core.chat_format import Utf8Stream
from core.experiments.report.strips import NATS_PER_BIT
from core.experiments.selfchat.transcript import TokenTrace
from core.inspection.visible import quoted
from core.tokenizer import Tokenizer


def pieces_of(ids: Sequence[int], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return each token's text; a character that several tokens make comes with the last one.

    A special token's text is its written name. A token that shows nothing has an empty text.
    """
    utf8 = Utf8Stream()
    first_special = tokenizer.vocab_size - tokenizer.num_specials
    pieces = []
    for id_ in ids:
        if id_ < first_special:
            pieces.append(utf8.push(tokenizer.token_bytes(id_)))
        else:
            pieces.append(utf8.flush() + tokenizer.token_bytes(id_).decode("ascii"))
    rest = utf8.flush()
    if rest:
        pieces[-1] += rest
    return tuple(pieces)


def token_line(tokens: TokenTrace, index: int, tokenizer: Tokenizer, num_alternatives: int) -> str:
    """Return what the model thought where it took a token, in one line."""
    own = quoted(tokenizer.token_bytes(tokens.ids[index]))
    if tokens.is_forced[index]:
        return f"{own}: written by a tool, not chosen"
    entropy = tokens.entropy_nats[index] / NATS_PER_BIT
    surprisal = tokens.surprisal_nats[index] / NATS_PER_BIT
    line = f"{own}: entropy {entropy:.2f} bits, surprisal {surprisal:.2f} bits"
    line += f", rank {tokens.rank[index]}"
    if not tokens.top_ids:
        return line
    likeliest = zip(tokens.top_ids[index], tokens.top_probs[index], strict=True)
    named = [
        f"{quoted(tokenizer.token_bytes(id_))} {100 * share:.3g} %"
        for id_, share in list(likeliest)[:num_alternatives]
    ]
    return f"{line}; likeliest {', '.join(named)}" if named else line
