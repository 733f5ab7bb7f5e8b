"""Plans: presets resolve, overrides are checked, inputs are named, costs follow the hardware."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.config import build_stage_config, config_hash
from core.hardware import Gpu, Hardware
from core.hardware_table import GIB
from core.plan import Plan, resolve, stage_inputs
from core.scaling import flops_per_token
from core.settings.training import BaseConfig
from runs.errors import UsageError
from runs.recipe import load_recipe

LAPTOP = Hardware(
    cpu="test", num_cpus=2, memory_bytes=16 * GIB, gpus=(), has_cpu_bf16=True, has_compiler=True
)
H100 = Gpu(name="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB)
SERVER = Hardware(
    cpu="test",
    num_cpus=192,
    memory_bytes=2000 * GIB,
    gpus=(H100,) * 8,
    has_cpu_bf16=True,
    has_compiler=True,
)


def plan(*overrides: str, hardware: Hardware = LAPTOP, **options: Any) -> Plan:
    options.setdefault("preset", "auto")
    return resolve(load_recipe("speedrun"), overrides=overrides, hardware=hardware, **options)


def test_auto_takes_the_preset_of_this_machine() -> None:
    assert plan().preset == "cpu"
    assert plan(hardware=SERVER).preset == "8xh100"


def test_eight_h100_preset_has_the_published_d24() -> None:
    body = plan(hardware=SERVER).to_json()
    assert body["model"]["num_params"] == 1_384_122_122
    assert body["model"]["n_embd"] == 1536
    assert body["steps"] == 8 * 729_810_624 // 1_048_576
    assert body["usd"] == pytest.approx(24.0 * body["time_s"] / 3600, rel=0.01)
    assert [s["nproc"] for s in body["stages"] if s["stage"] in ("base", "tok")] == [1, 8]


def test_dry_run_json_has_every_promised_key() -> None:
    body = json.loads(json.dumps(plan().to_json()))
    promised = (
        "preset", "stages", "model", "tokens", "flops", "steps", "memory_bytes", "disk_bytes",
        "time_s", "usd",
    )  # fmt: skip
    assert [key for key in promised if key not in body] == []
    assert body["usd"] is None


def test_overrides_reach_their_stage_and_change_its_hash() -> None:
    before, after = plan(), plan("base.depth=6", "sft.epochs=2")
    hashes = [
        {stage.stage: config_hash(stage.config) for stage in made.stages}
        for made in (before, after)
    ]
    changed = {name for name, value in hashes[0].items() if value != hashes[1][name]}
    assert changed == {"base", "sft"}
    assert after.model.num_layers == 6


def test_a_ratio_given_by_hand_replaces_the_number_of_steps() -> None:
    base = next(s for s in plan("base.target_param_data_ratio=4").stages if s.stage == "base")
    assert isinstance(base.config, BaseConfig)
    assert base.config.num_iterations is None
    assert base.steps is not None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("base.dept=3", "no setting 'dept'; closest: 'depth'"),
        ("bsae.depth=3", "no stage 'bsae'; closest: 'base'"),
        ("depth=3", "stage.key=value"),
        ("base.depth=deep", "a whole number, not 'deep'"),
        ("base.dtype=float8", "one of auto, float32, bfloat16"),
        ("base.depth=0", "base: depth must be above 0, not 0"),
        ("base.seed=-1", "base: seed must be 0 or more, not -1"),
        ("base.attention=flash", "base: attention = flash is not possible on"),
        ("mid.attention=flex", "mid: attention = flex is not possible on"),
        ("base.head_dim=33", "base: head_dim must be even, not 33"),
        ("base.kv_ratio=3", "base: kv_ratio 3 does not divide the 4 heads of this model; change"),
        ("base.fp8=on", "base: fp8 = on is not possible"),
        ("sft.fp8=on", "sft: fp8 = on is not possible"),
        ("base.eval_every=-1", "base: eval_every must be above 0, or none, not -1"),
        ("mid.grad_clip=-1", "mid: grad_clip must be above 0, or none, not -1"),
        ("base.device_batch_size=0", "base: device_batch_size must be above 0, or auto, not 0"),
        ("tok.vocab_size=10", "outside 265..65536"),
        ("base.total_batch_size=1000", "base: total_batch_size 1000 is not a multiple of 512"),
        ("mid.total_batch_size=1000", "mid: total_batch_size 1000 is not a multiple of 512"),
        ("base.warmdown_ratio=2", "a share between 0 and 1"),
        ("mid.text_every=1", "text_every must be 2 or more"),
    ],
)
def test_bad_overrides_are_usage_errors_that_name_the_key(override: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(override)
    assert message in str(caught.value)


def test_compiling_is_asked_for_only_where_it_can_be() -> None:
    bare = replace(LAPTOP, has_compiler=False)
    mac = replace(bare, gpus=(Gpu(name="Apple M3", memory_bytes=16 * GIB),))
    for hardware, reason in ((bare, "no C++ compiler with Python headers"), (mac, "Apple GPUs")):
        for override in ("base.compile=auto", "mid.compile=off"):
            assert plan(override, hardware=hardware).device == hardware.device
        with pytest.raises(UsageError, match=r"mid: compile = on is not possible here: ") as caught:
            plan("mid.compile=on", hardware=hardware)
        assert reason in str(caught.value) and "use auto or off" in str(caught.value)
    # Of a GPU only torch itself can tell.
    for hardware in (LAPTOP, SERVER, replace(SERVER, has_compiler=False)):
        assert plan("base.compile=on", hardware=hardware).stages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "gpu-80"}, "no preset 'gpu-80'; closest: 'gpu-80g'"),
        ({"preset": "nope"}, "no preset 'nope'; there are: '8xa100', '8xh100', "),
        ({"only": "bass"}, "unknown stage 'bass'; closest: 'base'"),
        ({"until": "midd"}, "unknown stage 'midd'; closest: 'mid'"),
    ],
)
def test_unknown_presets_and_stages_name_the_nearest(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(("stage", "steps"), [("mid", 311), ("sft", 95)])
def test_chat_stages_read_the_tokens_that_a_run_of_them_read(stage: str, steps: int) -> None:
    made = plan(only=stage)
    tokens = made.flops / flops_per_token(made.model)
    assert tokens == pytest.approx(steps * 4096, rel=0.02)
    without = plan(f"{stage}.text_every=none", only=stage)
    assert without.flops == pytest.approx(made.flops * 3 / 4, rel=1e-3)


def test_only_and_until_choose_stages() -> None:
    assert [stage.stage for stage in plan(until="base").stages] == ["data", "tok", "base"]
    only = plan(only="eval-sft").stages
    assert [stage.stage for stage in only] == ["eval-sft"]
    assert only[0].inputs["checkpoint"] == "sft"
    assert only[0].inputs["results:eval-base"] == "eval-base"


def test_sft_takes_the_base_model_where_a_recipe_has_no_mid() -> None:
    assert stage_inputs("sft", ["data", "tok", "base", "mid", "sft"])["checkpoint"] == "mid"
    assert stage_inputs("sft", ["data", "tok", "base", "sft"])["checkpoint"] == "base"


def test_headline_says_what_will_be_built() -> None:
    assert plan().headline().startswith("current d4, 7.34 M parameters")
    assert plan(only="eval-sft").headline() == "eval-sft, preset cpu"


def test_a_config_survives_json() -> None:
    for stage in plan().to_json()["stages"]:
        plain = json.loads(json.dumps(stage["config"]))
        assert config_hash(build_stage_config(stage["stage"], plain)) == stage["config_hash"]


def test_rows_are_packed_as_planned_and_by_best_fit_in_plans_before_there_was_a_choice() -> None:
    base = next(stage for stage in plan().to_json()["stages"] if stage["stage"] == "base")
    assert base["config"]["packing"] == "auto"
    del base["config"]["packing"]
    older = build_stage_config("base", base["config"])
    assert isinstance(older, BaseConfig) and older.packing == "best-fit"
