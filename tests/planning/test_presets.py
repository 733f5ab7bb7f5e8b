"""Every preset of every recipe, resolved, against the figures that were published for it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.hardware import Gpu, Hardware
from core.hardware_table import GIB, shipped_table
from core.plan import Plan, resolve
from core.planning.costs import shards_for_tokens
from core.scaling import count_params, flops_per_token, model_config
from core.settings.text import DataConfig
from core.settings.training import BaseConfig, TrainConfig
from runs.errors import UsageError
from runs.recipe import list_recipes, load_recipe

HOUR_S = 3600
LAPTOP = Hardware(
    cpu="test", num_cpus=2, memory_bytes=16 * GIB, gpus=(), has_cpu_bf16=True, has_compiler=True
)
PROMISED = (
    "cpu", "baseline-d4", "baseline-d4-8k", "mps", "gpu-8g", "gpu-16g", "gpu-24g", "gpu-80g",
    "8xh100", "8xh200", "8xa100", "classic-d20", "d26", "d32", "dgx-spark",
)  # fmt: skip
EVERY = [(recipe, preset) for recipe in list_recipes() for preset in load_recipe(recipe)["presets"]]


def plan(preset: str, recipe: str = "speedrun", *overrides: str, **options: Any) -> Plan:
    options.setdefault("hardware", LAPTOP)
    return resolve(load_recipe(recipe), preset=preset, overrides=overrides, **options)


def with_gpus(name: str, count: int, memory_gib: int = 80) -> Hardware:
    return replace(LAPTOP, gpus=(Gpu(name=name, memory_bytes=memory_gib * GIB),) * count)


@pytest.mark.parametrize("preset", ["8xh100", "gpu-24g", "dgx-spark"])
def test_a_run_of_a_few_steps_is_planned_on_any_machine(preset: str) -> None:
    made = base_of(plan(preset, "speedrun", "base.num_iterations=20"))
    assert made.num_iterations == 20
    assert made.total_batch_size <= 2**19


def test_a_batch_that_the_law_gives_is_shared_by_ranks_of_any_number() -> None:
    whole = base_of(plan("8xh100"))
    for nproc in (3, 5, 6):
        made = base_of(plan("8xh100", nproc=nproc, only="base"))
        assert made.total_batch_size % (16 * 2048 * nproc) == 0
        assert made.total_batch_size == pytest.approx(whole.total_batch_size, rel=0.1)


def base_of(made: Plan) -> BaseConfig:
    config = next(stage.config for stage in made.stages if stage.stage == "base")
    assert isinstance(config, BaseConfig)
    return config


def test_speedrun_has_the_promised_presets() -> None:
    assert tuple(load_recipe("speedrun")["presets"]) == PROMISED


@pytest.mark.parametrize(("recipe", "preset"), EVERY)
def test_every_preset_fits_its_machine_and_names_its_sources(recipe: str, preset: str) -> None:
    made = plan(preset, recipe)
    body = made.to_json()
    room = made.hardware.gpus[0].memory_bytes if made.hardware.gpus else LAPTOP.memory_bytes
    assert made.memory_bytes < room
    named = {**body, **body["model"]}
    assert [key for key, source in body["sources"].items() if key not in named or not source] == []
    figures = {"tokens", "steps", "shards", "memory_bytes", "disk_bytes", "time_s", "usd"}
    assert figures | {"num_params", "flops", "token_cache"} == set(body["sources"])


@pytest.mark.parametrize(
    ("preset", "num_params", "steps", "tokens", "shards"),
    [
        # Steps and tokens of 8 per scaling parameter, of 20 per parameter in classic ones.
        ("8xh100", 1_384_122_122, 5568, 5.84e9, 170),
        ("8xh200", 1_384_122_122, 5568, 5.84e9, 170),
        ("8xa100", 1_384_122_122, 5568, 5.84e9, 170),
        ("classic-d20", 560_988_160, 21_400, 11.22e9, 240),
        ("d26", 1_081_999_360, 41_275, 21.64e9, 450),
        ("d32", 1_879_048_192, 71_680, 37.58e9, 800),
        ("dgx-spark", 560_988_160, 21_400, 11.22e9, 240),
        ("mps", 73_531_646, 5000, 81.92e6, 8),
        ("gpu-24g", 286_261_730, 1680, 0.88e9, 30),
        ("gpu-80g", 536_871_738, 3584, 1.88e9, 60),
    ],
)
def test_models_and_horizons_are_the_published_ones(
    preset: str, num_params: int, steps: int, tokens: float, shards: int
) -> None:
    body = plan(preset).to_json()
    assert body["model"]["num_params"] == num_params
    assert (body["steps"], body["shards"]) == (steps, shards)
    assert body["tokens"] == pytest.approx(tokens, rel=1e-3)


@pytest.mark.parametrize(
    ("preset", "hours", "tolerance"),
    [
        # Published with fp8, as it is planned.
        ("8xh100", 1.65, 0.1),
        # Pretraining alone; the four hours of the whole run had other chat stages.
        ("classic-d20", 3.0, 0.1),
        ("d26", 300 / 24, 0.15),
        ("d32", 33.0, 0.1),
        ("dgx-spark", 240.0, 0.1),
        # A classic d20 took 8.35 h on eight A100: 3.92e19 FLOPs, and this is 2.79e19.
        ("8xa100", 8.35 * 2.79 / 3.92, 0.05),
        # Half an hour of pretraining and ten minutes of chat, on an M3 Max.
        ("mps", 40 / 60, 0.15),
    ],
)
def test_times_are_those_of_the_published_runs(preset: str, hours: float, tolerance: float) -> None:
    assert plan(preset).time_s / HOUR_S == pytest.approx(hours, rel=tolerance)


def test_share_of_the_peak_is_that_of_the_published_d26() -> None:
    # 630,000 tokens a second in bfloat16 on eight H100, at 5.991e9 FLOPs a token.
    table = shipped_table()
    card = table.find("NVIDIA H100 80GB HBM3")
    assert card is not None
    assert table.mfu(card)[0] == pytest.approx(630_000 * 5.991e9 / (8 * 989e12), abs=5e-4)


def test_pretraining_of_a_d32_takes_what_its_published_step_time_makes() -> None:
    made = plan("d32")
    pretraining_s = made.tokens * flops_per_token(made.model) / made.hardware.flops_per_s
    assert pretraining_s == pytest.approx(71_680 * 1.574, rel=0.08)
    assert flops_per_token(made.model) * made.tokens == pytest.approx(4.5396e20, rel=1e-4)


@pytest.mark.parametrize(
    ("preset", "low", "high"), [("classic-d20", 65, 100), ("d26", 255, 300), ("d32", 800, 1000)]
)
def test_dollars_are_within_the_tier_that_the_preset_is_named_for(
    preset: str, low: float, high: float
) -> None:
    made = plan(preset)
    assert made.usd_per_hour == 24.0
    assert made.usd is not None and low <= made.usd <= high


@pytest.mark.parametrize(
    ("tokens", "kept", "shards"),
    [(11.22e9, 1.0, 216), (37.58e9, 1.0, 722), (5.84e9, 0.654, 172)],
)
def test_shards_follow_the_tokens(tokens: float, kept: float, shards: int) -> None:
    # 216 for a d20, 740 with some to spare for a d32, 170 for a d24 whose rows drop tails.
    assert shards_for_tokens(tokens, kept=kept) == shards


README = Path(__file__).parents[2] / "README.md"
# Preset, tokens, time and price of a row; the first two rows are measured, or name two presets.
ROW = re.compile(
    r"\| `([\w-]+)` \| .* \| ([\d.]+) ([MB]) \| ([\d.]+) (min|h|days) \| (?:\$(\d+) )?\|"
)
UNIT_S = {"min": 60, "h": HOUR_S, "days": 24 * HOUR_S}


def test_the_readme_states_what_the_plans_say() -> None:
    rows = [row for line in README.read_text("utf-8").splitlines() if (row := ROW.fullmatch(line))]
    told = {row[1]: row for row in rows}
    assert set(told) == set(PROMISED) - {"baseline-d4", "baseline-d4-8k"}
    for preset, row in told.items():
        made = plan(preset)
        assert f"{made.tokens / {'M': 1e6, 'B': 1e9}[row[3]]:.{_digits(row[2])}f}" == row[2]
        assert (row[6] is None) == (made.usd is None)
        if made.usd is not None:
            assert f"{made.usd:.0f}" == row[6]
        # The first row is measured.
        if preset != "cpu":
            assert f"{made.time_s / UNIT_S[row[5]]:.{_digits(row[4])}f}" == row[4]


def _digits(number: str) -> int:
    return len(number.partition(".")[2])


@pytest.mark.parametrize(("recipe", "preset"), EVERY)
def test_every_preset_downloads_about_what_it_reads(recipe: str, preset: str) -> None:
    made = plan(preset, recipe)
    data = next(stage.config for stage in made.stages if stage.stage == "data")
    assert isinstance(data, DataConfig)
    if data.corpus == "embedded":
        assert made.shards is None
        return
    assert made.shards is not None and made.shards >= shards_for_tokens(made.tokens)


@pytest.mark.parametrize(
    ("preset", "num_params", "decay"),
    [("baseline-d4", 36_700_290, 0.4725), ("baseline-d4-8k", 11_534_466, 0.8612)],
)
def test_the_baseline_is_the_recipe_that_the_reference_has_for_a_cpu(
    preset: str, num_params: int, decay: float
) -> None:
    made = plan(preset)
    base = base_of(made)
    assert made.to_json()["model"]["num_params"] == num_params
    rates = (base.matrix_lr, base.embedding_lr, base.unembedding_lr, base.scalar_lr)
    assert rates == (0.02, 0.3, 0.008, 0.5)
    assert round(base.warmup_ratio * made.steps) == 40
    assert (base.warmdown_ratio, base.final_lr_frac) == (0.65, 0.05)
    assert (base.total_batch_size, base.sequence_len, base.head_dim) == (16_384, 512, 64)
    assert (base.dtype, base.window_pattern) == ("float32", "L")
    # The law at a ratio of 12, whatever the steps: 0.28 sqrt(B / 2^19) D_REF / D.
    vocab = made.model.vocab_size
    reference = count_params(model_config(replace(base, depth=12), vocab)).scaling
    law = 0.28 * (16_384 / 2**19) ** 0.5 * reference / count_params(made.model).scaling
    assert base.weight_decay == pytest.approx(law, rel=1e-3) == pytest.approx(decay, rel=1e-3)


def test_current_d24_takes_its_batch_and_decay_from_the_laws() -> None:
    base = base_of(plan("8xh100"))
    assert base.total_batch_size == 1_048_576
    assert base.weight_decay == pytest.approx(0.0597, rel=0.001)
    deeper = base_of(plan("8xh100", "speedrun", "base.depth=32", "base.device_batch_size=8"))
    assert deeper.total_batch_size == 2_097_152
    assert deeper.weight_decay == pytest.approx(0.0368, rel=0.002)


def test_a_number_wins_over_a_law() -> None:
    base = base_of(plan("8xh100", "speedrun", "base.weight_decay=0.1"))
    assert base.weight_decay == 0.1


def test_spark_has_one_process_eight_rows_full_windows_and_the_note_on_ptxas() -> None:
    made = plan("dgx-spark")
    base = base_of(made)
    assert {stage.nproc for stage in made.stages} == {1}
    assert (base.device_batch_size, made.model.window_pattern) == (8, "L")
    assert any("TRITON_PTXAS_PATH" in note for note in made.notes)


def test_a_preset_on_another_machine_is_planned_for_the_machine_it_is_made_for() -> None:
    made = plan("8xh100")
    assert (made.is_here, made.machine, made.device) == (False, "8 x H100", "cuda")
    assert {stage.nproc for stage in made.stages if stage.stage == "base"} == {8}
    one = plan("8xh100", hardware=with_gpus("NVIDIA H200", 1, 140))
    assert (one.is_here, one.machine) == (False, "8 x H100")


def test_a_preset_is_planned_for_the_gpus_that_are_here() -> None:
    eight = with_gpus("NVIDIA H200", 8, 140)
    made = plan("8xh100", hardware=eight)
    assert (made.is_here, made.machine) == (True, "8 x NVIDIA H200")
    one = plan("gpu-80g", hardware=eight)
    assert (one.is_here, one.machine) == (True, "1 x NVIDIA H200")
    by_hand = plan("8xh100", hardware=with_gpus("NVIDIA H200", 1, 140), nproc=1)
    assert (by_hand.is_here, by_hand.machine) == (True, "1 x NVIDIA H200")
    assert by_hand.time_s == pytest.approx(8 * made.time_s, rel=0.1)


@pytest.mark.parametrize(
    ("preset", "peak"), [("8xh100", "15.8"), ("8xh200", "15.8"), ("8xa100", None)]
)
def test_pods_that_have_fp8_use_it_and_say_so(preset: str, peak: str | None) -> None:
    made = plan(preset)
    assert base_of(made).fp8 == ("off" if peak is None else "auto")
    told = [note for note in made.notes if note.startswith("fp8:")]
    assert [f"{peak} PFLOP/s" in note for note in told] == ([] if peak is None else [True])


def test_fp8_shortens_pretraining_by_what_it_gave_the_published_d26() -> None:
    made, plain = plan("8xh100"), plan("8xh100", "speedrun", "base.fp8=off")
    pretraining_s = made.tokens * flops_per_token(made.model) / made.hardware.flops_per_s
    saved_s = plain.time_s - made.time_s
    assert saved_s == pytest.approx(pretraining_s * (1 - 630 / 740), rel=1e-3)
    assert made.usd == pytest.approx(24 * made.time_s / HOUR_S, abs=0.01)
    told = "base in fp8 1.17 times as fast, as nanochat's d26 on eight H100 went from 630,000"
    assert told in made.sources["time_s"]
    assert "fp8" not in plain.sources["time_s"]
    assert any("time counts on 1.17 times the speed" in note for note in made.notes)


def test_fp8_of_a_narrow_model_shortens_nothing_and_the_plan_says_so() -> None:
    narrow = ("base.depth=20", "base.device_batch_size=8")
    made = plan("8xh100", "speedrun", *narrow)
    assert made.time_s == plan("8xh100", "speedrun", *narrow, "base.fp8=off").time_s
    assert "base in fp8, but the time is that of bfloat16" in made.sources["time_s"]
    assert any("time counts on no more speed than bfloat16" in note for note in made.notes)


@pytest.mark.parametrize("why", ["base.compile=off", "base.dtype=float32"])
def test_fp8_that_training_would_leave_off_is_not_counted_on(why: str) -> None:
    made = plan("8xh100", "speedrun", why)
    assert made.time_s == plan("8xh100", "speedrun", why, "base.fp8=off").time_s
    assert "fp8" not in made.sources["time_s"]


@pytest.mark.parametrize("stage", ["base", "sft"])
def test_fp8_on_a_machine_without_it_is_refused(stage: str) -> None:
    with pytest.raises(UsageError, match="fp8 = on is not possible on A100: 8-bit floats need"):
        plan("8xa100", "speedrun", f"{stage}.fp8=on")
    assert plan("8xa100", "speedrun", f"{stage}.fp8=auto").notes == plan("8xa100").notes


def test_rows_that_are_left_open_are_planned_by_the_estimate() -> None:
    made = plan("8xh100", "speedrun", "base.device_batch_size=auto")
    assert base_of(made).device_batch_size == "auto"
    assert made.memory_bytes <= 0.9 * made.hardware.gpus[0].memory_bytes
    assert re.search(r"(8|16|32) rows on one rank", made.sources["memory_bytes"])


def test_steps_that_are_larger_than_the_gpus_that_are_here_are_told_with_the_way_out() -> None:
    two = with_gpus("NVIDIA GeForce RTX 4090", 2, 24)
    made = plan("gpu-80g", hardware=two, nproc=2)
    rooms = [note for note in made.notes if "estimated" in note]
    assert len(rooms) == 1
    assert rooms[0].endswith(
        "and a GPU has 24 GiB: --set base.device_batch_size=auto --set mid.device_batch_size=auto "
        "--set sft.device_batch_size=auto takes as many rows at a time as fit."
    )
    by_itself = [f"{stage}.device_batch_size=auto" for stage in ("base", "mid", "sft")]
    fitting = plan("gpu-80g", "speedrun", *by_itself, hardware=two, nproc=2)
    assert fitting.memory_bytes < 24 * GIB
    assert not any("estimated" in note for note in fitting.notes)


def test_an_apple_gpu_runs_one_rank() -> None:
    with pytest.raises(UsageError, match="an Apple GPU runs one rank, not 2; leave out --nproc"):
        plan("mps", nproc=2)


def test_the_cpu_preset_leaves_a_gpu_alone() -> None:
    made = plan("cpu", hardware=with_gpus("NVIDIA H100 80GB HBM3", 8))
    assert (made.device, made.is_here) == ("cpu", True)


def test_auto_takes_the_default_preset_of_a_recipe_that_has_none_for_this_machine() -> None:
    assert plan("auto", "quick-d12").preset == "default"
    pod = with_gpus("NVIDIA H100 80GB HBM3", 8)
    assert plan("auto", "quick-d12", hardware=pod).preset == "8xh100"


def test_quick_d12_takes_five_minutes_and_does_nothing_beside_training() -> None:
    made = plan("8xh100", "quick-d12")
    assert [stage.stage for stage in made.stages] == ["data", "tok", "base"]
    base = base_of(made)
    assert (base.save_every, base.sample_every, base.eval_every) == (None, None, None)
    assert made.steps == 2520
    assert made.time_s / 60 == pytest.approx(5, abs=1)


def test_a_preset_for_a_card_that_no_table_has_is_refused() -> None:
    recipe = load_recipe("quick-d12")
    recipe["presets"]["default"]["gpu"] = "Abacus"
    with pytest.raises(UsageError, match="'Abacus'"):
        resolve(recipe, preset="default", overrides=(), hardware=LAPTOP)


def test_a_number_of_gpus_that_is_none_is_refused() -> None:
    recipe = load_recipe("quick-d12")
    recipe["presets"]["default"]["num_gpus"] = "eight"
    with pytest.raises(UsageError, match="num_gpus of a preset"):
        resolve(recipe, preset="default", overrides=(), hardware=LAPTOP)


def test_a_recipe_without_a_stage_that_every_plan_needs_is_refused() -> None:
    recipe = {**load_recipe("quick-d12"), "stages": ["data", "base"]}
    with pytest.raises(UsageError, match="lacks the stage tok"):
        resolve(recipe, preset="default", overrides=(), hardware=LAPTOP)


def test_a_run_without_a_horizon_is_refused() -> None:
    with pytest.raises(UsageError, match="set one of num_iterations, target_param_data_ratio"):
        plan("8xh100", "speedrun", "base.target_param_data_ratio=none")


@pytest.mark.parametrize("preset", ["8xh100", "8xh200", "8xa100"])
def test_pods_fit_the_disk_that_they_are_rented_with(preset: str) -> None:
    disk = plan(preset).disk
    # One checkpoint per stage and one that is being written, with tokens at hand alone.
    assert disk.num_checkpoints == 4
    assert disk.downloads + disk.checkpoints < 75e9


@pytest.mark.parametrize("preset", ["classic-d20", "d26", "d32", "dgx-spark"])
def test_classic_presets_read_one_stream_of_text_once(preset: str) -> None:
    made = plan(preset)
    assert base_of(made).packing == "flat"
    assert "drops" not in made.sources["shards"]
    assert made.sources["shards"].endswith("the text is read less than once")


@pytest.mark.parametrize("preset", ["classic-d20", "d26", "d32", "dgx-spark"])
def test_classic_presets_train_by_the_classic_rules_in_every_stage(preset: str) -> None:
    made = plan(preset)
    base = base_of(made)
    assert (base.arch, base.grad_clip, base.weight_decay) == ("classic", 1.0, 0.0)
    assert (base.warmup_ratio, base.warmdown_ratio, base.final_lr_frac) == (0.0, 0.2, 0.0)
    trained = {s.stage: s.config for s in made.stages if isinstance(s.config, TrainConfig)}
    assert {stage: config.optimizer for stage, config in trained.items()} == dict.fromkeys(
        ("base", "mid", "sft"), "classic"
    )


def test_a_pod_reads_its_text_once_and_says_so() -> None:
    assert plan("8xh100").sources["shards"].endswith("the text is read once")


def test_the_mac_preset_decays_and_warms_up_as_the_recipe_that_it_is_named_for() -> None:
    made = plan("mps")
    base = base_of(made)
    reference = count_params(model_config(replace(base, depth=12), 32_768)).scaling
    law = 0.28 * (16_384 / 2**19) ** 0.5 * reference / count_params(made.model).scaling
    assert base.weight_decay == pytest.approx(law, rel=1e-3)
    assert round(base.warmup_ratio * made.steps) == 40


def test_flops_given_by_hand_replace_the_ratio() -> None:
    made = plan("8xh100", "speedrun", "base.target_flops=1e19")
    assert made.tokens * flops_per_token(made.model) == pytest.approx(1e19, rel=1e-3)
