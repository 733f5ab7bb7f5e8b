"""Shapes that settings ask for, all the way: trained, saved, loaded and decoded by every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core import checkpoint
from core.engine.decoder import CachedDecoder, Place
from core.engine.plain import PlainEngine
from core.engine.weights import WeightType, prepare
from core.model import GPT
from core.scaling import count_params
from core.stages import base
from core.stages.context import CheckpointRef
from runs.errors import UsageError
from runs.events import Note, Step
from tests.core.builders import base_config, context, make_world

SHAPES: dict[str, dict[str, Any]] = {
    "shared key heads": {"head_dim": 8, "kv_ratio": 2},
    "a head that is the embedding": {"head_dim": 8, "tied_head": True},
    "narrower than the gates": {"aspect_ratio": 8, "head_dim": 8, "window_pattern": "SL"},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=SHAPES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> GPT:
    """Return a model of such a shape after four steps, as its checkpoint holds it."""
    root = tmp_path_factory.mktemp("shapes")
    config = base_config(num_iterations=4, **SHAPES[request.param])
    events = base.run(config, context(root, make_world(root)), stop=lambda: False, resume=None)
    assert sum(isinstance(event, Step) for event in events) == 4
    path = checkpoint.step_dir(root / "checkpoints" / "base", 4)
    return checkpoint.load_model(path, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("is_native", [True, False], ids=["compiled", "eager"])
@pytest.mark.parametrize(("kind", "within"), [("native", 1e-3), ("bfloat16", 0.1), ("int8", 0.1)])
@torch.inference_mode()
def test_a_trained_shape_decodes_as_its_forward_pass(
    trained: GPT, kind: WeightType, within: float, is_native: bool
) -> None:
    ids = list(range(5, 25))
    decoder = CachedDecoder(prepare(trained, kind), num_rows=2, is_native=is_native)
    decoder.prefill(0, ids[:-1], 0, is_last=True)
    place = Place(id=ids[-1], before_id=ids[-2], position=len(ids) - 1)
    raw_V = decoder.decode(0, [place, None])[0].float()
    cap = trained.config.softcap
    right_V = trained(torch.tensor([ids]))[0, -1]
    assert float((cap * torch.tanh(raw_V / cap) - right_V).abs().max()) < within


def test_a_trained_shape_is_written_by_the_plain_engine_as_its_forward_pass_picks(
    trained: GPT,
) -> None:
    ids = list(range(5, 20))
    written = [row[0] for row in PlainEngine(trained).stream([ids], 5)]
    for step, token in enumerate(written):
        with torch.no_grad():
            assert int(trained(torch.tensor([ids + written[:step]]))[0, -1].argmax()) == token


def test_a_head_that_is_the_embedding_is_learned_stored_and_counted_once(tmp_path: Path) -> None:
    config = base_config(num_iterations=4, save_every=2, tied_head=True)
    inputs = make_world(tmp_path)
    ctx = context(tmp_path, inputs)
    events = list(base.run(config, ctx, stop=lambda: False, resume=None))
    losses = [event.metrics["loss"] for event in events if isinstance(event, Step)]
    assert losses[-1] < losses[0]
    half = checkpoint.step_dir(tmp_path / "checkpoints" / "base", 2)
    names = set(load_file(half / checkpoint.MODEL_FILE))
    assert "wte.weight" in names and "head.weight" not in names
    model = checkpoint.load_model(half, device=CPU, dtype=torch.float32)
    assert model.head.weight is model.wte.weight
    counts = count_params(model.config)
    assert counts.total == sum(parameter.numel() for parameter in model.parameters())
    assert counts.head == model.wte.weight.numel() and counts.token_embedding == 0
    elsewhere = context(tmp_path / "again", inputs)
    ref = CheckpointRef(path=half, step=2)
    again = base.run(config, elsewhere, stop=lambda: False, resume=ref)
    assert [e.metrics["loss"] for e in again if isinstance(e, Step)] == losses[2:]


def test_a_start_from_pairs_with_a_head_that_is_the_embedding_is_refused() -> None:
    with pytest.raises(UsageError, match="pair_start_steps fits embedding and head apart"):
        base_config(pair_start_steps=3, tied_head=True)


def test_shared_key_heads_halve_the_keys(tmp_path: Path) -> None:
    config = base_config(num_iterations=1, head_dim=8, kv_ratio=2)
    list(base.run(config, context(tmp_path, make_world(tmp_path)), stop=lambda: False, resume=None))
    path = checkpoint.step_dir(tmp_path / "checkpoints" / "base", 1)
    shape = checkpoint.read_meta(path).model_config
    assert (shape.num_heads, shape.num_kv_heads) == (4, 2)


def test_a_ratio_that_does_not_divide_the_heads_is_refused_in_one_line(tmp_path: Path) -> None:
    config = base_config(head_dim=8, kv_ratio=3)
    run = base.run(config, context(tmp_path, make_world(tmp_path)), stop=lambda: False, resume=None)
    with pytest.raises(UsageError, match="kv_ratio 3 does not divide the 4 heads"):
        list(run)


def test_the_first_note_names_the_attention_and_checkpointing_changes_no_loss(
    tmp_path: Path,
) -> None:
    inputs = make_world(tmp_path)
    curves = []
    for is_on in (False, True):
        config = base_config(num_iterations=3, activation_checkpointing=is_on)
        ctx = context(tmp_path / str(is_on), inputs)
        events = list(base.run(config, ctx, stop=lambda: False, resume=None))
        note = next(event for event in events if isinstance(event, Note))
        assert note.data["attention"] == "sdpa"
        curves.append([event.metrics["loss"] for event in events if isinstance(event, Step)])
    assert curves[0] == curves[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_attention_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    config = base_config(attention="flex")
    run = base.run(config, context(tmp_path, make_world(tmp_path)), stop=lambda: False, resume=None)
    with pytest.raises(UsageError, match="attention = flex is not possible here"):
        list(run)
