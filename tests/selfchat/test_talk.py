"""Conversations: what is measured of a token, what a side reads, and when a talk ends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from core.engine.probes import probe
from core.experiments.reading import embed_text
from core.experiments.selfchat.talk import prompt
from core.experiments.selfchat.transcript import ConversationEnd, Turn, parse_turn, turn_row
from core.model import GPT
from tests.engine.builders import TOKENIZER, random_model, tiny_config
from tests.selfchat.builders import (
    certain,
    chat_of,
    config,
    engine_of,
    planned,
    talk,
    uniform_model,
)

CLOSE = 1e-4


@pytest.fixture(scope="module")
def model() -> GPT:
    return random_model(tiny_config())


def direct_logprobs(model: GPT, prompt_ids: list[int], turn: Turn) -> torch.Tensor:
    """Return (T, V) of a turn's tokens, from the logits of the plain model."""
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt_ids, *turn.tokens.ids]]))[0]
    return torch.log_softmax(logits[len(prompt_ids) - 1 : -1].double(), dim=-1)


def test_entropy_surprisal_and_rank_are_those_of_the_full_logits(model: GPT) -> None:
    settings = config(turns=4)
    one = talk(chat_of(settings, engine_of(model)), planned(settings, ["cats"])[1])[0]
    assert len(one.turns) == 4
    for turn in one.turns:
        before = replace(one, turns=one.turns[: turn.index])
        logprobs = direct_logprobs(model, prompt(TOKENIZER, before, turn.side, None), turn)
        own = logprobs.gather(1, torch.tensor(turn.tokens.ids)[:, None])[:, 0]
        entropy = -(logprobs.exp() * logprobs).sum(dim=-1)
        assert turn.tokens.entropy_nats == pytest.approx(entropy.tolist(), abs=CLOSE)
        assert turn.tokens.surprisal_nats == pytest.approx((-own).tolist(), abs=CLOSE)
        assert list(turn.tokens.rank) == (logprobs > own[:, None]).sum(dim=-1).tolist()
        best = logprobs.exp().topk(5, dim=-1)
        assert turn.tokens.top_ids == tuple(map(tuple, best.indices.tolist()))
        for known, right in zip(turn.tokens.top_probs, best.values.tolist(), strict=True):
            assert known == pytest.approx(right, abs=CLOSE)


def test_a_uniform_model_has_the_entropy_of_its_vocabulary() -> None:
    settings = config(turns=2, top_ks=(None,))
    one = talk(chat_of(settings, engine_of(uniform_model())), planned(settings, ["x"])[1])[0]
    nats = math.log(TOKENIZER.vocab_size)
    values = [value for turn in one.turns for value in turn.tokens.entropy_nats]
    assert values and values == pytest.approx([nats] * len(values), abs=1e-5)


def test_a_model_that_is_certain_has_no_entropy_and_no_surprisal() -> None:
    settings = config(turns=2, max_new_tokens=30)
    one = talk(chat_of(settings, certain("I am sure.")), planned(settings, ["x"])[1])[0]
    assert [turn.text for turn in one.turns] == ["I am sure."] * 2
    for turn in one.turns:
        assert set(turn.tokens.entropy_nats) == set(turn.tokens.surprisal_nats) == {0.0}
        assert set(turn.tokens.rank) == {0}


def test_a_probe_is_the_same_alone_and_among_others() -> None:
    # Longer than what torch sums with one thread.
    logits = torch.randn(3, 65_536, generator=torch.Generator().manual_seed(1)) * 5
    many = probe(logits, [1, 2, 3], [2, 2, 2], 15.0)
    for row in range(3):
        assert probe(logits[row : row + 1], [row + 1], [2], 15.0) == [many[row]]


def test_a_conversation_is_the_same_alone_and_among_others(model: GPT) -> None:
    settings = config(temperatures=(0.7, 1.3), num_seeds=2)
    many = talk(chat_of(settings, engine_of(model)), planned(settings, ["a", "b"])[1])
    for number in (0, 3, 6):
        planned_one = planned(settings, ["a", "b"])[1][number]
        alone = talk(chat_of(settings, engine_of(model)), [planned_one])[number]
        assert replaced_times(alone.turns) == replaced_times(many[number].turns)


def replaced_times(turns: tuple[Turn, ...]) -> list[Turn]:
    return [replace(turn, wall_s=None) for turn in turns]


def test_a_conversation_goes_on_as_if_nothing_had_happened(model: GPT) -> None:
    settings = config(num_seeds=2, turns=4)
    begun = planned(settings, ["a", "b"])[1]
    whole = talk(chat_of(settings, engine_of(model)), begun)
    cut = talk(chat_of(settings, engine_of(model)), begun, num_turns=5)
    assert sum(len(one.turns) for one in cut.values()) < sum(
        len(one.turns) for one in whole.values()
    )
    # By way of the file, as a resumed run reads them.
    read = [
        replace(one, turns=tuple(parse_turn(turn_row(turn)) for turn in one.turns))
        for one in cut.values()
    ]
    resumed = talk(chat_of(settings, engine_of(model)), read)
    for number, one in whole.items():
        assert replaced_times(resumed[number].turns) == replaced_times(one.turns)
        assert resumed[number].end == one.end == "max_turns"


def test_settings_draw_the_same_numbers_for_a_topic_and_a_seed(model: GPT) -> None:
    settings = config(top_ks=(265,), top_ps=(None, 1.0), turns=1)
    known = talk(chat_of(settings, engine_of(model)), planned(settings, ["a"])[1])
    # A top_p of everything changes nothing, so equal draws give equal tokens.
    assert known[0].turns[0].tokens.ids == known[1].turns[0].tokens.ids


def test_each_side_reads_itself_as_assistant_and_the_other_as_user(model: GPT) -> None:
    settings = config(turns=2, max_new_tokens=40)
    chat = chat_of(settings, certain("first", "second"))
    one = talk(chat, planned(settings, ["topic"])[1])[0]
    assert [turn.side for turn in one.turns] == ["a", "b"]
    read_by_a = TOKENIZER.decode(prompt(TOKENIZER, one, "a", "Be kind."))
    read_by_b = TOKENIZER.decode(prompt(TOKENIZER, one, "b", None))
    assert read_by_a == (
        "<|bos|><|user_start|>Be kind.\n\ntopic<|user_end|><|assistant_start|>first"
        "<|assistant_end|><|user_start|>second<|user_end|><|assistant_start|>"
    )
    assert read_by_b == (
        "<|bos|><|user_start|>first<|user_end|><|assistant_start|>second<|assistant_end|>"
        "<|assistant_start|>"
    )


def test_the_other_model_reads_each_turn_where_it_was_said(model: GPT) -> None:
    settings, other = config(turns=2), random_model(tiny_config(), seed=1)
    chat = chat_of(settings, engine_of(model), engine_of(other))
    one = talk(chat, planned(settings, ["cats"])[1])[0]
    for turn, listener in zip(one.turns, (other, model), strict=True):
        before = replace(one, turns=one.turns[: turn.index])
        logprobs = direct_logprobs(listener, prompt(TOKENIZER, before, turn.side, None), turn)
        own = -logprobs.gather(1, torch.tensor(turn.tokens.ids)[:, None])[:, 0]
        assert turn.tokens.other_surprisal_nats == pytest.approx(own.tolist(), abs=CLOSE)


def test_a_model_alone_has_no_other_to_read_it(model: GPT) -> None:
    settings = config(turns=1)
    one = talk(chat_of(settings, engine_of(model)), planned(settings, ["cats"])[1])[0]
    assert one.turns[0].tokens.other_surprisal_nats is None


def test_an_embedding_is_the_mean_of_the_last_hidden_states_of_the_text(model: GPT) -> None:
    special = TOKENIZER.special
    ids = [TOKENIZER.bos, special("user_start"), *TOKENIZER.encode("cats"), special("user_end")]
    with torch.inference_mode():
        hidden = model.trunk(*model.embed(torch.tensor([ids])))[0, 2:-1].mean(dim=0)
    assert embed_text(model, TOKENIZER, "cats") == pytest.approx(hidden.tolist(), rel=1e-4)
    assert embed_text(model, TOKENIZER, "") is None


@pytest.mark.parametrize(
    ("texts", "changes", "end", "num_turns"),
    [
        (["I like the red cat."], {"keep_looping": False}, "loop", 3),
        (["I like the red cat."], {}, "max_turns", 6),
        (["so", ""], {}, "empty", 2),
        (["one", "two", "three"], {"share": 5}, "budget", 2),
        (["one", "two", "three"], {"max_context": 40}, "context", 2),
        (["never"], {"max_context": 20}, "context", 0),
    ],
)
def test_a_conversation_ends_for_a_reason(
    texts: list[str], changes: dict[str, int], end: ConversationEnd, num_turns: int
) -> None:
    room, share = changes.get("max_context"), changes.get("share")
    keep_looping = bool(changes.get("keep_looping", True))
    settings = config(turns=6, max_new_tokens=30, keep_looping=keep_looping)
    chat = chat_of(settings, certain(*texts), share=share, max_context=room)
    one = talk(chat, planned(settings, ["hi"])[1])[0]
    assert (one.end, len(one.turns)) == (end, num_turns)
