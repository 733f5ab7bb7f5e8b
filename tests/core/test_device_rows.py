"""The rows that a rank takes at a time: chosen, tried, agreed on, kept, and too many named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core import checkpoint
from core.config import ModelConfig, build_stage_config
from core.device_rows import (
    CPU_TOKENS,
    GPU_SHARE,
    estimated_rows,
    planned,
    probed_rows,
    row_counts,
)
from core.hardware import Gpu, Hardware
from core.hardware_table import GIB
from core.loss import summed_loss
from core.model import GPT
from core.ranks import alone
from core.scaling import training_memory_bytes
from core.settings.training import TrainConfig
from core.stages import base
from core.stages.context import CheckpointRef, Input
from core.train import device_batch, loop
from core.train.device_batch import naming_out_of_memory, settle_rows
from runs.errors import StageFailed, UsageError
from runs.events import Event, Note, Step
from tests.core.builders import base_config, context, make_world, tiny_config
from tests.core.test_training import run_process

D12 = ModelConfig(
    vocab_size=32_768, sequence_len=2048, num_layers=12, num_heads=6, num_kv_heads=6, n_embd=768
)
COUNTS = (1, 2, 4, 8, 16, 32)


def machine(*, gpu_gib: float | None = None, memory_gib: float = 16) -> Hardware:
    gpus = () if gpu_gib is None else (Gpu(name="H100", memory_bytes=int(gpu_gib * GIB)),)
    return Hardware(
        cpu="test", num_cpus=2, memory_bytes=int(memory_gib * GIB), gpus=gpus,
        has_cpu_bf16=True, has_compiler=True,
    )  # fmt: skip


def test_rows_divide_the_batch_of_every_rank() -> None:
    assert row_counts(524_288, 2048, 8) == (1, 2, 4, 8, 16, 32)
    assert row_counts(3 * 4 * 512, 512, 1) == (1, 2, 4)
    with pytest.raises(
        UsageError, match=r"1000 is not a multiple of 1024 \(512 tokens x 2 ranks\)"
    ):
        row_counts(1000, 512, 2)


@pytest.mark.parametrize("memory_gib", [8, 16, 24, 40, 80])
def test_the_estimate_is_the_most_that_fits_and_never_more(memory_gib: float) -> None:
    rows = estimated_rows(
        COUNTS, D12, kind="cuda", num_ranks=1, memory_bytes=memory_gib * GIB, value_bytes=2
    )
    room = GPU_SHARE * memory_gib * GIB
    assert training_memory_bytes(D12, rows) <= room
    assert rows == COUNTS[-1] or training_memory_bytes(D12, 2 * rows) > room


def test_a_machine_with_too_little_is_given_the_fewest_rows() -> None:
    assert (
        estimated_rows(COUNTS, D12, kind="cuda", num_ranks=1, memory_bytes=GIB, value_bytes=2) == 1
    )


@pytest.mark.parametrize(("row_len", "rows"), [(512, 8), (2048, 2), (8192, 1)])
def test_a_cpu_takes_no_more_rows_than_help(row_len: int, rows: int) -> None:
    model = ModelConfig(
        vocab_size=4096, sequence_len=row_len, num_layers=4, num_heads=4, num_kv_heads=4,
        n_embd=256,
    )  # fmt: skip
    found = estimated_rows(
        COUNTS, model, kind="cpu", num_ranks=1, memory_bytes=64 * GIB, value_bytes=2
    )
    assert found == rows == max(1, CPU_TOKENS // row_len)


def card(
    limit: float, *, fixed: float, per_row: float, tried: list[int]
) -> Callable[[int], int | None]:
    """Return a card of so many bytes that fails beyond them."""

    def attempt(rows: int) -> int | None:
        tried.append(rows)
        peak = int(fixed + per_row * rows)
        return None if peak > limit else peak

    return attempt


@pytest.mark.parametrize("first", COUNTS)
@pytest.mark.parametrize("per_row", [1.0, 2.6, 3.0, 7.0, 30.0, 79.0])
def test_probing_ends_at_the_most_rows_that_fit(first: int, per_row: float) -> None:
    tried: list[int] = []
    attempt = card(100, fixed=10, per_row=per_row, tried=tried)
    found = probed_rows(COUNTS, first, attempt, limit_bytes=90, fixed_bytes=10)
    assert found == max(count for count in COUNTS if 10 + per_row * count <= 90)
    assert len(tried) == len(set(tried))


def test_probing_tries_no_size_that_cannot_fit() -> None:
    tried: list[int] = []
    attempt = card(100, fixed=10, per_row=9, tried=tried)
    assert probed_rows(COUNTS, 8, attempt, limit_bytes=90, fixed_bytes=10) == 8
    assert tried == [8]


def test_a_device_that_not_one_row_fits_is_refused() -> None:
    attempt = card(100, fixed=10, per_row=91, tried=[])
    with pytest.raises(UsageError, match="not even 1 row at a time"):
        probed_rows(COUNTS, 4, attempt, limit_bytes=90, fixed_bytes=10)


def test_auto_is_a_setting_beside_numbers() -> None:
    def built(value: object) -> int | str:
        config = build_stage_config("base", {"device_batch_size": value, "num_iterations": 1})
        assert isinstance(config, TrainConfig)
        return config.device_batch_size

    assert (built("auto"), built("16"), built(4)) == ("auto", 16, 4)
    with pytest.raises(UsageError, match="takes a whole number or auto, not 'many'"):
        built("many")
    with pytest.raises(UsageError, match="base: device_batch_size must be above 0, or auto, not 0"):
        built(0)


@pytest.mark.parametrize(
    ("hardware", "rows"), [(machine(gpu_gib=80), 16), (machine(gpu_gib=8), 2), (machine(), 2)]
)
def test_a_plan_counts_on_the_estimate(hardware: Hardware, rows: int) -> None:
    config = base_config(device_batch_size="auto", total_batch_size=16 * 2048)
    assert planned(config, D12, hardware, num_ranks=1).device_batch_size == rows
    given = base_config(device_batch_size=2)
    assert planned(given, D12, hardware, num_ranks=1) is given


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Input]:
    return make_world(tmp_path_factory.mktemp("world"))


def trained(
    world: dict[str, Input], root: Path, resume: int | None = None, **options: object
) -> list[Event]:
    config = base_config(num_iterations=4, save_every=2, **options)
    ctx = context(root, world)
    path = checkpoint.step_dir(ctx.checkpoints_dir, resume or 0)
    ref = None if resume is None else CheckpointRef(path=path, step=resume)
    return list(base.run(config, ctx, stop=lambda: False, resume=ref))


def test_auto_trains_like_the_number_that_it_stands_for(
    world: dict[str, Input], tmp_path: Path
) -> None:
    found = trained(world, tmp_path / "auto", device_batch_size="auto")
    named = trained(world, tmp_path / "named", device_batch_size=4)
    curves = [
        [event.metrics["loss"] for event in events if isinstance(event, Step)]
        for events in (found, named)
    ]
    assert curves[0] == curves[1]
    notes = [event for event in found if isinstance(event, Note)]
    assert notes[0].data == {"device_batch_size": 4, "passes_per_step": 1}
    assert "device_batch_size 4, by the estimate for a CPU" in notes[0].message


def test_a_resumed_run_takes_the_rows_of_its_checkpoint(
    world: dict[str, Input], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_batch, "estimated_rows", lambda *counts, **told: 2)
    whole = trained(world, tmp_path, device_batch_size="auto")
    monkeypatch.undo()
    rest = trained(world, tmp_path, resume=2, device_batch_size="auto")
    note = next(event for event in rest if isinstance(event, Note))
    assert note.message == (
        "device_batch_size 2, as the checkpoint was trained; a step accumulates 2"
    )
    steps = [event.metrics["loss"] for event in rest if isinstance(event, Step)]
    assert steps == [event.metrics["loss"] for event in whole if isinstance(event, Step)][2:]


def test_ranks_that_estimate_differently_take_the_least(
    world: dict[str, Input], tmp_path: Path
) -> None:
    root = world["corpus"].path.parent.parent
    least = {"device_batch_size": 2, "num_iterations": 2}
    auto = {**least, "device_batch_size": "auto", "estimates": [4, 2]}
    named = run_process(root, name="named", ranks=2, **least)
    assert run_process(root, name="agreed", ranks=2, **auto) == named


class Card:
    """A GPU of so many bytes as torch.cuda tells of it, whose steps take so many per row."""

    def __init__(self, total: int, *, free: int, in_use: int, per_row: int) -> None:
        self.total, self.free, self.in_use, self.per_row = total, free, in_use, per_row
        self.peak = 0
        self.tried: list[int] = []

    def loss(self, model: GPT, x_BTC: torch.Tensor, *rest: object) -> torch.Tensor:
        self.tried.append(x_BTC.size(0))
        self.peak = self.in_use + self.per_row * x_BTC.size(0)
        if self.peak > self.in_use + self.free:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return x_BTC.sum()

    def forget(self, device: torch.device) -> None:
        self.peak = self.in_use

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = {
            "mem_get_info": lambda device: (self.free, self.total),
            "memory_allocated": lambda device: self.in_use,
            "max_memory_allocated": lambda device: self.peak,
            "reset_peak_memory_stats": self.forget,
            "empty_cache": lambda: None,
        }
        for name, answer in told.items():
            monkeypatch.setattr(torch.cuda, name, answer)


@pytest.mark.parametrize(
    ("per_row", "rows"), [(1 << 20, 16), (5 << 20, 16), (6 << 20, 8), (11 << 20, 8), (80 << 20, 1)]
)
def test_a_gpu_is_tried_with_real_steps_until_no_more_rows_fit(
    monkeypatch: pytest.MonkeyPatch, per_row: int, rows: int
) -> None:
    # Of 120 MiB others hold 10 and the model 10; a tenth is kept back of what is left to it.
    card = Card(120 << 20, free=100 << 20, in_use=10 << 20, per_row=per_row)
    card.install(monkeypatch)
    model = GPT(tiny_config())
    model.init_weights(torch.Generator().manual_seed(1))
    config = base_config(device_batch_size="auto", total_batch_size=16 * 32)
    settled, note = settle_rows(config, model, alone(torch.device("cuda")), card.loss, None)
    assert settled.device_batch_size == rows
    assert note is not None and "the most that a real step fits into 0.1 GiB" in note.message
    assert len(card.tried) == len(set(card.tried))
    assert all(parameter.grad is None for parameter in model.parameters())
    # What the steps to come will tell as their peak knows nothing of the sizes tried.
    assert torch.cuda.max_memory_allocated(torch.device("cuda")) == card.in_use


@pytest.mark.parametrize(("num_rows", "rows"), [(12, 4), (9, 3), (7, 1), (2, 2)])
def test_rows_that_are_set_are_taken_as_far_as_they_divide_what_a_rank_has(
    num_rows: int, rows: int
) -> None:
    config = base_config(device_batch_size=4, total_batch_size=num_rows * 32)
    model = GPT(tiny_config())
    cpu = alone(torch.device("cpu"))
    settled, note = settle_rows(config, model, cpu, summed_loss, None)
    assert settled.device_batch_size == rows
    if rows == 4:
        assert note is None
    else:
        assert note is not None and note.data["passes_per_step"] == num_rows // rows
        assert f"device_batch_size {rows}, not 4, so that the ranks share" in note.message


def test_a_run_goes_on_where_the_rows_of_its_checkpoint_do_not_divide_the_batch(
    world: dict[str, Input], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(world, tmp_path, device_batch_size="auto")
    # As on two ranks, of which each has half of the four rows.
    monkeypatch.setattr(device_batch, "row_counts", lambda *batch: (1, 2))
    rest = trained(world, tmp_path, resume=2, device_batch_size="auto")
    assert [event.step for event in rest if isinstance(event, Step)] == [3, 4]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.89 GB, max allowed: 9.07 GB)"),
    ],
)
def test_memory_that_runs_out_is_named_with_what_to_set(
    world: dict[str, Input], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*told: object) -> torch.Tensor:
        raise error

    monkeypatch.setattr(loop, "compiled_loss", lambda setting, device: (fail, "eager"))
    with pytest.raises(StageFailed) as caught:
        trained(world, tmp_path)
    message = str(caught.value)
    assert "out of memory on cpu at step 1 with 2 rows of 32 tokens" in message
    assert "--set base.device_batch_size=1" in message


def test_memory_that_runs_out_in_a_measurement_is_named_too(
    world: dict[str, Input], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(loop, "validation_bpb", fail)
    with pytest.raises(StageFailed, match="out of memory on cpu at step 4 with 2 rows of 32"):
        trained(world, tmp_path)


def test_other_errors_of_a_step_are_left_as_they_are(world: dict[str, Input]) -> None:
    config = base_config()
    with (
        pytest.raises(RuntimeError, match="a shape is wrong"),
        naming_out_of_memory("base", config, torch.nn.Module(), 0),  # type: ignore[arg-type]
    ):
        raise RuntimeError("a shape is wrong")
