"""What a model makes of text that is given: surprisals, and one vector for a whole text.

One text at a time: a figure depends on its own text alone, bit for bit.
Shapes: T positions, C model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.model import GPT
from core.tokenizer import Tokenizer

# Finer digits differ between machines, and a transcript is read by people too.
DECIMALS = 6
VECTOR_DIGITS = 5


@torch.inference_mode()
def surprisals(model: GPT, prompt_ids: Sequence[int], ids: Sequence[int]) -> tuple[float, ...]:
    """Return the surprisal in nats of each of `ids` where it stands after the prompt.

    Of the model's own distribution, at temperature 1; the prompt holds at least one id.
    """
    device = model.cos.device
    idx_1T = torch.tensor([[*prompt_ids, *ids]], device=device)
    x_1TC = model.trunk(*model.embed(idx_1T))[:, len(prompt_ids) - 1 : -1]
    logprobs_TV = torch.log_softmax(model.logits(x_1TC)[0], dim=-1)
    own_T = logprobs_TV.gather(1, torch.tensor(ids, device=device)[:, None])[:, 0]
    return tuple(round(max(0.0, -value), DECIMALS) for value in own_T.tolist())


@torch.inference_mode()
def embed_text(model: GPT, tokenizer: Tokenizer, text: str) -> tuple[float, ...] | None:
    """Return the mean of the last hidden states over a text, read as one user's message, (C,).

    None for a text without tokens. A text beyond the training length is read up to it.
    """
    ids = tokenizer.encode(text)[: model.config.sequence_len - 3]
    if not ids:
        return None
    special = tokenizer.special
    message = [tokenizer.bos, special("user_start"), *ids, special("user_end")]
    idx_1T = torch.tensor([message], device=model.cos.device)
    x_TC = model.trunk(*model.embed(idx_1T))[0, 2:-1].float()
    return tuple(float(f"{value:.{VECTOR_DIGITS}g}") for value in x_TC.mean(dim=0).tolist())
