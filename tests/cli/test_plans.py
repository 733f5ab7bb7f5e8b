"""A plan in words, as `labcli run --dry-run` shows it."""

from __future__ import annotations

from core.hardware import Hardware
from core.plan import resolve
from labcli.launching.plans import plan_text
from runs.recipe import load_recipe

LAPTOP = Hardware(
    cpu="some cores", num_cpus=2, memory_bytes=1 << 34, gpus=(), has_cpu_bf16=True,
    has_compiler=True,
)  # fmt: skip


def text_of(preset: str, width: int | None) -> str:
    made = resolve(load_recipe("speedrun"), preset=preset, overrides=(), hardware=LAPTOP)
    return plan_text(made.to_json(), made.headline(), width=width)


def test_a_plan_tells_after_the_model_what_it_costs() -> None:
    headline, _, *lines = text_of("8xh100", 80).splitlines()
    assert headline.startswith("current d24, 1.38 B parameters")
    names = [line.split()[0] for line in lines if line[:1].strip()]
    assert names[:5] == ["machine", "time", "cost", "memory", "disk"]


def test_a_plan_is_broken_to_the_terminal_and_loses_no_word() -> None:
    for preset in ("8xh100", "d32", "dgx-spark", "cpu"):
        whole, broken = text_of(preset, None), text_of(preset, 80)
        assert max(map(len, broken.splitlines())) <= 80 < max(map(len, whole.splitlines()))
        assert broken.split() == whole.split()


def test_a_terminal_too_narrow_for_sources_gets_whole_lines() -> None:
    assert text_of("cpu", 30) == text_of("cpu", None)
