"""The compiled step: its rows, its threads, its greedy head, and machines that cannot build it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.engine import build, probes
from core.engine.decoder import CachedDecoder, Place
from core.engine.weights import WeightType, prepare
from core.model import GPT
from tests.engine.builders import random_model, tiny_config
from tests.engine.test_engine import prompt

needs_compiler = pytest.mark.skipif(build.compiled() is None, reason="requires a C++ compiler")


def filled(model: GPT, kind: WeightType, num_rows: int) -> tuple[CachedDecoder, list[Place]]:
    """Return a decoder whose rows hold prompts of different lengths, and their next places."""
    decoder = CachedDecoder(prepare(model, kind), num_rows=num_rows)
    places = []
    for row in range(num_rows):
        ids = prompt(20 + 37 * row, row)
        decoder.prefill(row, ids, 0, is_last=True)
        places.append(Place(id=row, before_id=ids[-1], position=len(ids)))
    return decoder, places


@needs_compiler
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8"])
def test_a_rows_logits_are_the_same_bits_in_any_company_and_on_any_threads(
    kind: WeightType, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, places = filled(random_model(tiny_config(num_kv_heads=1)), kind, 11)
    assert decoder.is_native
    alone = [decoder.decode(row, [place])[0].clone() for row, place in enumerate(places)]

    for num_threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda num=num_threads: num)
        for first, last in ((0, 11), (2, 9), (1, 7), (4, 6)):
            raw_BV = decoder.decode(first, list(places[first:last]))
            for index, row in enumerate(range(first, last)):
                assert torch.equal(raw_BV[index], alone[row])
        some = [place if row % 3 else None for row, place in enumerate(places)]
        raw_BV = decoder.decode(0, some)
        assert all(torch.equal(raw_BV[row], alone[row]) for row in range(11) if row % 3)


@needs_compiler
def test_the_first_position_has_no_token_before_it_in_a_padded_vocabulary_either() -> None:
    weights = prepare(random_model(tiny_config(vocab_size=300)), "float32")
    first = [Place(id=7, before_id=None, position=0)]

    native, eager = (
        CachedDecoder(weights, num_rows=1, is_native=is_native).decode(0, first).clone()
        for is_native in (True, False)
    )

    assert torch.allclose(native, eager, atol=1e-4)


@needs_compiler
def test_a_greedy_step_finds_the_likeliest_token_of_the_full_head() -> None:
    model = random_model(tiny_config(vocab_size=5000))
    with torch.no_grad():
        # Equal up to the last bits: only float32 can tell these apart.
        model.head.weight[1000:1400] = model.head.weight[7] * (1 + 1e-6 * torch.randn(400, 1))
    weights = prepare(model)
    if weights.screen is None:
        pytest.skip("requires a CPU with VNNI")
    decoder = CachedDecoder(weights, num_rows=4)
    num_left_out = 0
    for step in range(20):
        places = [Place(id=(83 * step + row) % 256, before_id=5, position=step) for row in range(4)]
        full_BV = decoder.decode(0, places).clone()
        greedy_BV = decoder.decode(0, places, is_greedy=True)

        at_best_B = full_BV.gather(1, greedy_BV.argmax(-1)[:, None])[:, 0]
        torch.testing.assert_close(at_best_B, full_BV.amax(-1), rtol=1e-6, atol=1e-6)
        num_left_out += int(greedy_BV.isinf().sum())
    assert num_left_out > 0.9 * 20 * 4 * 5000


@needs_compiler
def test_compiled_probes_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    for vocab_size in (300, 5003):
        raw_RV = torch.randn(5, vocab_size, generator=generator) * 6
        raw_RV[1, 40:60] = 50.0
        ids = [0, 40, 7, vocab_size - 1, 3]

        ours = probes.probe(raw_RV, ids, [4, 0, 2, 9, 1], 15.0)
        theirs = probes.probe(raw_RV.double(), ids, [4, 0, 2, 9, 1], 15.0)

        for one, other in zip(ours, theirs, strict=True):
            assert one.entropy_nats == pytest.approx(other.entropy_nats, rel=2e-6)
            assert one.surprisal_nats == pytest.approx(other.surprisal_nats, rel=2e-6)
            assert one.rank == other.rank
            assert [id_ for id_, _ in one.top] == [id_ for id_, _ in other.top]
            assert [p for _, p in one.top] == pytest.approx([p for _, p in other.top], rel=1e-5)


@needs_compiler
def test_the_step_is_built_once_per_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert build.compiled.__wrapped__() is not None
    (built,) = (tmp_path / "labcli").iterdir()
    before = built.stat().st_mtime_ns
    assert build.compiled.__wrapped__() is not None

    assert built.stat().st_mtime_ns == before


def test_where_nothing_can_be_built_the_step_runs_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the directory should be", encoding="ascii")
    for name, value in (
        ("CXX", "no-such-compiler"), ("CXX", "false"), ("XDG_CACHE_HOME", str(blocked)),
    ):  # fmt: skip
        with monkeypatch.context() as patched:
            patched.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
            patched.setenv(name, value)
            assert build.compiled.__wrapped__() is None

    monkeypatch.setattr("core.engine.native.compiled", lambda: None)
    decoder, places = filled(random_model(tiny_config()), "float32", 2)
    assert not decoder.is_native
    assert bool(torch.isfinite(decoder.decode(0, list(places))).all())
