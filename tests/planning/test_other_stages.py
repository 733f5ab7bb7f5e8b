"""What stages take that do not train: by their formulas, and named where no figure is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.hardware import Gpu, Hardware
from core.hardware_table import GIB
from core.plan import Plan, resolve
from core.planning import other_stages
from core.scaling import flops_per_token
from runs.recipe import load_recipe

LAPTOP = Hardware(
    cpu="test", num_cpus=2, memory_bytes=16 * GIB, gpus=(), has_cpu_bf16=True, has_compiler=True
)
H100 = replace(LAPTOP, gpus=(Gpu(name="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB),))


def alone(stage: str, *overrides: str, preset: str = "cpu", hardware: Hardware = LAPTOP) -> Plan:
    """Return the plan of one stage."""
    return resolve(
        load_recipe("speedrun"), preset=preset, overrides=overrides, hardware=hardware, only=stage
    )


def test_text_at_hand_takes_what_reading_it_took_and_downloads_have_no_figure() -> None:
    embedded, remote = alone("data"), alone("data", preset="gpu-80g", hardware=H100)
    assert embedded.time_s == other_stages.EMBEDDED_TEXT_S + other_stages.CONVERSATIONS_S
    assert remote.time_s == other_stages.CONVERSATIONS_S
    assert "not counted" not in embedded.sources["time_s"]
    assert remote.sources["time_s"].endswith("not counted: downloads")


@pytest.mark.parametrize(
    ("num_shards", "max_chars", "chars"), [(4, 2e9, 1e9), (40, 2e9, 2e9), (40, 4e9, 4e9)]
)
def test_a_tokenizer_takes_its_text_at_the_measured_rate(
    num_shards: int, max_chars: float, chars: float
) -> None:
    made = alone(
        "tok", f"data.num_shards={num_shards}", f"tok.max_chars={max_chars:.0f}", preset="8xh100"
    )
    counting_s = chars / other_stages.TOK_CHARS_PER_S
    assert made.time_s == pytest.approx(other_stages.MERGING_S + counting_s, abs=0.06)


def test_text_of_a_persons_own_has_no_figure() -> None:
    tok, data = alone("tok", "data.corpus=/texts"), alone("data", "data.corpus=/texts")
    assert (tok.time_s, tok.sources["time_s"]) == (0.0, "not counted: the tokenizer")
    assert data.sources["time_s"].endswith("not counted: reading your text")


def test_a_cpu_measures_and_answers_by_the_flops_of_it() -> None:
    base, chat = alone("eval-base"), alone("eval-sft")
    forward = flops_per_token(base.model) / 3
    measuring_s = 65_536 * forward / LAPTOP.flops_per_s
    # Ten batches of 64: 600 questions, each batch to its longest answer.
    answering = 640 * forward / (other_stages.ANSWER_SHARE * LAPTOP.flops_per_s)
    start_s = other_stages.START_S
    assert base.time_s == pytest.approx(start_s + measuring_s + 96 * answering, abs=0.06)
    longest = other_stages.CHAT_ANSWER_TOKENS
    assert chat.time_s == pytest.approx(start_s + measuring_s + longest * answering, abs=0.06)


def test_a_gpu_has_no_figure_for_answers_and_measures_on_one_rank() -> None:
    eight = replace(H100, gpus=H100.gpus * 8)
    one, pod = (alone("eval-sft", preset="8xh100", hardware=h) for h in (H100, eight))
    assert one.time_s == pod.time_s
    assert pod.sources["time_s"].endswith("not counted: the answers of evaluations")


def test_a_whole_plan_names_all_that_its_time_leaves_out() -> None:
    source = resolve(
        load_recipe("speedrun"), preset="8xh100", overrides=(), hardware=LAPTOP
    ).sources["time_s"]
    assert source.endswith("not counted: downloads, compiling, the answers of evaluations")
    assert "of other stages, by rates measured on a busy 2-core server" in source
    eager = [f"{stage}.compile=off" for stage in ("base", "mid", "sft")]
    made = resolve(load_recipe("speedrun"), preset="cpu", overrides=eager, hardware=LAPTOP)
    assert "not counted" not in made.sources["time_s"]


# The seconds of a speedrun on two cores that had other work as well.
TOOK_S = {"data": 14.2, "eval-base": 64.1, "eval-mid": 27.8, "eval-sft": 27.8}


def test_stages_of_a_cpu_speedrun_take_what_they_took_in_one() -> None:
    made = resolve(load_recipe("speedrun"), preset="cpu", overrides=(), hardware=LAPTOP)
    parts = {s.stage: alone(s.stage).time_s for s in made.stages}
    assert {stage: parts[stage] for stage in TOOK_S} == pytest.approx(TOOK_S, rel=0.12)
    # Less than a second each, then, but a process has to start.
    assert parts["tok"] + parts["report"] < 2
    other_s = sum(taken for stage, taken in parts.items() if stage not in ("base", "mid", "sft"))
    assert f"{other_s:.0f} s of other stages" in made.sources["time_s"]
