"""Pairs of columns: what is measured of them, and what is said where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.engine import Engine
from core.experiments.compare.pairs import Pair, Said
from core.tokenizer import Tokenizer
from labcli.compare.columns import Column, combine
from labcli.compare.pairs import ColumnPair, pair_columns, pairs_table, shown_pairs, token_text
from labcli.compare.race import Race
from labcli.speaking.speaker import Speaker
from labcli.text.cells import width
from runs.errors import ExitCode
from tests.cli.conftest import Labcli
from tests.engine.builders import TOKENIZER, random_model, tiny_config
from tui.answering.sampling import TalkSettings

MODELS = [random_model(tiny_config(), seed=seed) for seed in (1, 2)]
SETTINGS = TalkSettings(temperature=0.0, max_new_tokens=6)


def answered(num_answers: int = 1, prompts: Sequence[str] = ("ask",)) -> list[ColumnPair]:
    """Return the pairs of answers that two random models give."""
    speakers = [Speaker(engine=Engine(model, TOKENIZER), name="m", stage="sft") for model in MODELS]
    settings = SETTINGS.changed(temperature=1.0)
    combinations = combine(prompts, len(speakers), [1.0], num_answers, settings)
    columns = [Column(item, "m") for item in combinations]
    race = Race(speakers, columns)
    while not race.is_done:
        race.step()
    return pair_columns(columns, speakers)


def said(text: str, *, model: int = 0, tokenizer: Tokenizer = TOKENIZER) -> Said:
    ids = tokenizer.encode(text)
    return Said(MODELS[model], tokenizer, prompt_ids=[tokenizer.bos], ids=ids, text=text)


def test_every_two_columns_of_a_prompt_are_a_pair_and_no_others() -> None:
    pairs = answered(2, ("one", "two"))

    names = [(pair.a.combination.label, pair.b.combination.label) for pair in pairs]
    assert names == [("A", "B"), ("A", "C"), ("A", "D"), ("B", "C"), ("B", "D"), ("C", "D")] * 2
    assert all(pair.a.combination.prompt == pair.b.combination.prompt for pair in pairs)


def test_only_two_models_diverge() -> None:
    reasons = [pair.pair.reason for pair in answered(2)]

    assert reasons == ["one model", None, None, None, None, "one model"]


def test_the_first_choice_of_two_models_diverges_as_their_logits_say() -> None:
    (pair,) = answered()
    prompt = torch.tensor([pair.a.prompt_ids])
    with torch.no_grad():
        p, q = (model(prompt)[0, -1].double().softmax(dim=-1) for model in MODELS)

    assert pair.pair.divergence is not None
    assert pair.pair.divergence.kl_ab_nats[0] == pytest.approx(
        float((p * (p / q).log()).sum()), abs=1e-4
    )


def test_answers_of_two_tokenizers_are_compared_as_texts_alone() -> None:
    merged = Tokenizer([(97, 98)])

    pair = Pair(said("abc"), said("abd", model=1, tokenizer=merged))

    assert pair.parting is None
    row = pair.as_row()
    assert (row["text_differs_at"], row["divergence"]) == (2, None)
    assert row["without_divergence"] == "different tokenizers"
    assert "shared_tokens" not in row


@pytest.mark.parametrize(
    ("a", "b", "at"), [("ab", "ab", None), ("ab", "abc", 2), ("ab", "xb", 0), ("", "", None)]
)
def test_texts_part_at_their_first_differing_character(a: str, b: str, at: int | None) -> None:
    assert Pair(said(a), said(b)).text_at == at


def test_a_token_is_shown_escaped_and_special_ones_by_a_word() -> None:
    assert token_text(" a\n") == '" a\\n"'
    assert token_text("\x1b[2J") == '"\ufffd[2J"'
    assert token_text("<|assistant_end|>") == "(end)"
    assert token_text(None) == "(nothing)"
    assert width(token_text("x" * 100)) == 16


def test_the_table_has_a_row_per_pair_that_fits_the_terminal() -> None:
    lines = pairs_table(answered(2), 79).splitlines()

    assert [line[:3] for line in lines] == ["PAI", "A-B", "A-C", "A-D", "B-C", "B-D", "C-D"]
    assert max(map(width, lines)) <= 79
    assert lines[1].split()[-3:] == ["-", "-", "-"]
    assert float(lines[2].split()[-1]) > 0


def test_of_many_pairs_those_with_the_first_column_are_shown() -> None:
    pairs = answered(3)

    assert len(pairs) == 15
    assert [pair.a.combination.label for pair in shown_pairs(pairs)] == ["A"] * 5


def rows(labcli: Labcli, *words: str) -> list[dict[str, Any]]:
    result = labcli("compare", "hello", "--max-new-tokens", "6", "--seed", "3", "--json", *words)
    assert result.code == ExitCode.OK, result.err
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


def test_json_has_every_pair_once_in_the_row_of_its_later_column(
    labcli: Labcli, trained: Path
) -> None:
    found = rows(labcli, "--model", "last:base", "--model", "last:sft", "--n", "2")

    assert [[pair["with"] for pair in row["pairs"]] for row in found] == [
        [], ["A"], ["A", "B"], ["A", "B", "C"],
    ]  # fmt: skip
    pair = found[2]["pairs"][0]
    # The two stages hold equal weights, but a base model reads another form of the prompt.
    assert len(pair["divergence"]["kl_ab_nats"]) == pair["shared_tokens"] + 1
    assert pair["divergence"]["mean_js_bits"] > 0
    assert found[1]["pairs"][0]["without_divergence"] == "one model"


def test_a_row_counts_the_prompt_and_the_answer(labcli: Labcli, trained: Path) -> None:
    (row,) = rows(labcli, "--model", "last:base")

    # A beginning and five bytes.
    assert row["prompt_tokens"] == 6
    assert row["total_tokens"] == 6 + row["tokens"]
    assert row["total_s"] >= row["ttft_s"] > 0
    assert row["label"] == "A"
