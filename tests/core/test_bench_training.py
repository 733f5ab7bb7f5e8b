"""What `labcli bench train` measures: the reference's mathematics is ours, and its data too."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from core.bench.corpus_text import held_out_bpb, read_documents, write_tokenizer
from core.bench.documents import make_documents
from core.bench.reference_model import reference_loss
from core.bench.reference_rows import ReferenceRows
from core.bench.subjects import OurTrainee, ReferenceTrainee, Subject
from core.bench.tensor_memory import tensor_peak_bytes
from core.loss import summed_loss
from core.model import GPT
from core.scaling import model_config
from core.settings.training import BaseConfig
from runs.errors import UsageError
from tests.core.builders import base_config, make_world

VOCAB = 320


def subject(config: BaseConfig) -> Subject:
    return Subject(
        config=config, documents=make_documents(VOCAB), device=torch.device("cpu"),
        total_steps=config.num_iterations or 0,
    )  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_world(tmp_path)["corpus"].path


@pytest.mark.parametrize("pattern", ["L", "SL"])
def test_the_reference_model_has_our_value_and_gradients(pattern: str) -> None:
    config = model_config(
        BaseConfig(
            depth=3, aspect_ratio=16, head_dim=16, sequence_len=160, window_pattern=pattern,
            num_iterations=1,
        ),
        VOCAB,
    )  # fmt: skip
    model = GPT(config)
    model.init_weights(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    idx = torch.randint(0, VOCAB, (2, 161), generator=torch.Generator().manual_seed(2))
    found = {}
    for loss_fn in (summed_loss, reference_loss):
        model.zero_grad()
        loss = loss_fn(model, *model.embed(idx[:, :-1]), idx[:, 1:])
        loss.backward()
        grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        found[loss_fn] = (loss.item(), grads)
    ours, theirs = found[summed_loss], found[reference_loss]
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    for name, grad in ours[1].items():
        assert torch.allclose(
            grad, theirs[1][name], rtol=1e-3, atol=1e-4 * float(grad.abs().max())
        ), name


def test_both_sides_learn_alike_from_the_same_documents() -> None:
    config = base_config(depth=2, total_batch_size=64, num_iterations=12)
    ours, theirs = OurTrainee(subject(config)), ReferenceTrainee(subject(config))
    losses = [(ours.step(), theirs.step()) for _ in range(12)]
    # Other rows, and so other losses: but the same words, of which both learn the frequent ones.
    assert losses[0][0] == pytest.approx(losses[0][1], abs=0.05)
    assert sum(own for own, _ in losses[-4:]) == pytest.approx(
        sum(other for _, other in losses[-4:]), rel=0.05
    )
    assert {"data", "forward-backward", "optimizer"} <= ours.phases.take().keys()
    assert theirs.phases.take().keys() == {"data", "forward-backward", "optimizer"}


def test_rows_tokenised_on_the_way_hold_whole_documents_from_their_start() -> None:
    documents = make_documents(VOCAB, num_docs=40)
    rows = ReferenceRows(documents.texts, documents.tokenizer, row_len=64)
    ids, targets = rows.batch(3)
    assert ids.shape == targets.shape == (3, 64)
    assert (ids[:, 0] == documents.tokenizer.bos).all()
    assert (ids[:, 1:] == targets[:, :-1]).all()


def test_the_texts_are_tokenised_into_the_ids_that_they_were_made_from() -> None:
    documents = make_documents(VOCAB, num_docs=20)
    found = [documents.tokenizer.encode(text) for text in documents.texts]
    assert found == [ids.tolist() for ids in documents.ids]


def test_the_peak_of_a_step_counts_what_is_held_and_what_is_alive_at_once() -> None:
    held = torch.ones(1_000_000)
    kept: list[torch.Tensor] = []

    def step() -> None:
        # As gradients are: those of the last step go, and others come.
        kept.clear()
        first = held * 2
        second = first + held
        del first
        third = second * held
        del second
        kept.append(third)

    before = tensor_peak_bytes(lambda: None, torch.device("cpu"))
    # At most two of them at once beside the held one, which is in both figures.
    peak = tensor_peak_bytes(step, torch.device("cpu"))
    assert peak - before == pytest.approx(8_000_000, abs=100_000)


def test_held_out_text_is_scored_alike_whatever_type_a_model_was_trained_in(
    corpus: Path, tmp_path: Path
) -> None:
    write_tokenizer(corpus, VOCAB, tmp_path / "tokenizer.json")
    config = base_config(depth=2, num_iterations=1)
    documents = read_documents(corpus, tmp_path / "tokenizer.json", "val", seed=0)
    model = GPT(model_config(config, VOCAB))
    model.init_weights(torch.Generator().manual_seed(0))
    exact = held_out_bpb(model, documents, row_len=config.sequence_len)
    model.dtype = torch.bfloat16
    assert held_out_bpb(model, documents, row_len=config.sequence_len) == exact
    assert model.dtype == torch.bfloat16
    # A model that knows nothing gives every token the same share.
    mean_bytes = documents.tokenizer.token_bytes_lengths()
    assert exact > math.log2(VOCAB) / float(mean_bytes.max())


def test_seeds_order_the_same_documents_differently(corpus: Path, tmp_path: Path) -> None:
    write_tokenizer(corpus, VOCAB, tmp_path / "tokenizer.json")
    one, other = (
        read_documents(corpus, tmp_path / "tokenizer.json", "train", seed=seed) for seed in (0, 1)
    )
    assert one.texts != other.texts
    assert sorted(one.texts) == sorted(other.texts)
    assert one.tokenizer.decode(one.ids[0].tolist()) == one.texts[0]


def test_a_corpus_with_too_few_pairs_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lower --vocab"):
        write_tokenizer(corpus, 200_000, tmp_path / "tokenizer.json")


def test_a_vocabulary_without_room_for_words_is_refused() -> None:
    with pytest.raises(UsageError, match="--vocab takes 266 to"):
        make_documents(265)
