"""What a plan says of the disk: all that it takes, and whether tokens are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.data.parts import WHOLE_CHARS, window_chars
from core.hardware import Hardware
from core.plan import Plan, resolve
from core.planning.disk import how_to_fit
from core.scaling import checkpoint_bytes
from runs.recipe import load_recipe

LAPTOP = Hardware(
    cpu="some cores", num_cpus=2, memory_bytes=1 << 34, gpus=(), has_cpu_bf16=True,
    has_compiler=True,
)  # fmt: skip


def plan(*overrides: str, free_bytes: int | None = None, preset: str = "cpu") -> Plan:
    return resolve(
        load_recipe("speedrun"),
        preset=preset,
        overrides=overrides,
        hardware=replace(LAPTOP, disk_free_bytes=free_bytes),
    )


REMOTE = ("data.corpus=climbmix", "data.num_shards=100", "data.shards_ahead=8")


def test_disk_is_downloads_tokens_and_every_checkpoint_that_is_kept() -> None:
    made = plan(*REMOTE, "base.keep_checkpoints=3")
    assert made.disk.downloads == 101 * 100_000_000
    assert made.disk.tokens == int(2 * 101 * 250e6 / 4.8)
    # Three of base, two of mid and of sft, the best of each, and one more before another goes.
    assert made.disk.checkpoints == 11 * checkpoint_bytes(made.model)
    assert made.disk_bytes == made.disk.downloads + made.disk.tokens + made.disk.checkpoints
    assert made.text_bytes == made.disk.downloads + made.disk.tokens
    assert sum(made.to_json()["disk"].values()) == made.disk_bytes
    for word in ("11 checkpoints", "shards", "token cache"):
        assert word in made.sources["disk_bytes"]


def test_auto_keeps_no_tokens_where_they_do_not_fit_and_says_so() -> None:
    needed = plan(*REMOTE).disk_bytes
    roomy, tight = plan(*REMOTE, free_bytes=needed), plan(*REMOTE, free_bytes=needed - 1)
    assert (roomy.to_json()["token_cache"], tight.to_json()["token_cache"]) == ("disk", "none")
    assert "all fits into" in roomy.sources["token_cache"]
    assert "not all fits into" in tight.sources["token_cache"]
    # Eight shards that came first, the next one, and that for validation.
    assert tight.disk.tokens == int(2 * 10 * 250e6 / 4.8)
    assert tight.disk_bytes < roomy.disk_bytes
    assert "no token cache" in tight.sources["disk_bytes"]


def test_setting_is_kept_whatever_is_free() -> None:
    assert plan(*REMOTE, "base.token_cache=none", free_bytes=1 << 50).disk.token_cache == "none"
    assert plan(*REMOTE, "base.token_cache=disk", free_bytes=1).disk.token_cache == "disk"


def test_disk_of_another_machine_is_not_guessed_from_this_one() -> None:
    made = plan(preset="8xh100", free_bytes=1)
    assert not made.is_here and made.disk.token_cache == "disk"
    assert "is not known" in made.sources["token_cache"]


def test_embedded_text_is_the_same_size_with_any_disk() -> None:
    assert plan(free_bytes=1).disk_bytes == plan().disk_bytes
    assert "your own text" not in plan().sources["disk_bytes"]
    assert "your own text" in plan("data.corpus=mine").sources["disk_bytes"]


@pytest.mark.parametrize(
    ("num_first", "num_later", "expected"),
    [(4, 0, 4.0), (8, 100, 9.0), (100, 0, 2.0), (0, 5, 1.0)],
)
def test_window_is_two_parts_at_most(num_first: int, num_later: int, expected: float) -> None:
    assert window_chars(num_first, num_later, WHOLE_CHARS / 12) == expected * WHOLE_CHARS / 12


def test_what_to_do_names_what_would_help() -> None:
    large = plan(*REMOTE).disk
    told = how_to_fit(large, num_shards=100, keep_checkpoints=2, keep_best=True)
    assert "base.token_cache=none" in told and "data.num_shards=50" in told
    assert "keep_checkpoints" not in told
    told = how_to_fit(plan().disk, num_shards=None, keep_checkpoints=2, keep_best=False)
    assert "base.keep_checkpoints=1" in told and "token_cache" not in told
    assert told.endswith("free some (labcli runs gc), or use another --home")
    told = how_to_fit(plan().disk, num_shards=None, keep_checkpoints=1, keep_best=True)
    assert "keep fewer checkpoints (--set base.keep_best=false)" in told
    told = how_to_fit(plan().disk, num_shards=None, keep_checkpoints=1, keep_best=False)
    assert "keep fewer" not in told


@pytest.mark.parametrize(("room", "kept"), [(0.5, 1), (1.0, 1), (2.9, 2), (99.0, 5)])
def test_a_budget_of_checkpoints_is_a_limit_of_the_plan_too(room: float, kept: int) -> None:
    one = checkpoint_bytes(plan().model)
    budget = f"base.checkpoint_budget_gb={room * one / 1e9}"
    # Three each of mid and sft, and one more before another goes.
    assert plan("base.keep_checkpoints=4", budget).disk.num_checkpoints == kept + 3 + 3 + 1
