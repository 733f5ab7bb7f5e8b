"""A decode step in one compiled call: weights repacked for it, and its arguments.

Torch's own kernels cost a model of 4 layers as much in calls as in work: some 120 of them at 2
to 5 us each. The layouts of the structures are those of step.cpp.

Shapes: B rows, C inputs, N outputs, V vocabulary.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_float, c_int64, c_void_p
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from core.engine.build import compiled
from core.engine.cache import KVCache
from core.engine.weights import LayerWeights, Matrix, Weights

if TYPE_CHECKING:
    from core.engine.decoder import Place

PANEL = 64
LANES = 16
MAX_THREADS = 256
# Larger models wait for memory either way, and a second copy of them would be dear.
MAX_BYTES = 2**30
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}


class _Matrix(Structure):
    _fields_ = (
        ("panels", c_void_p), ("scales", c_void_p), ("type", c_int64), ("num_inputs", c_int64),
        ("num_outputs", c_int64),
    )  # fmt: skip


class _Layer(Structure):
    _fields_ = (
        ("qkv", _Matrix), ("out", _Matrix), ("up", _Matrix), ("down", _Matrix),
        ("value_embed", c_void_p), ("window", c_int64), ("has_mix", c_int64), ("resid", c_float),
        ("x0", c_float),
    )  # fmt: skip


class _Model(Structure):
    _fields_ = (
        *((name, c_int64) for name in (
            "width", "num_heads", "num_kv_heads", "head_dim", "vocab_size", "num_layers",
            "is_bfloat16")),
        ("layers", POINTER(_Layer)), ("head", _Matrix), ("screen", _Matrix),
        *((name, c_void_p) for name in ("screen_error", "exact_head", "embed", "smear", "rotary")),
        *((name, c_float) for name in (
            "exact_scale", "norm_gain", "head_gain", "score_scale", "backout", "eps")),
    )  # fmt: skip


class _Step(Structure):
    _fields_ = (
        *((name, c_int64) for name in (
            "num_rows", "num_cache_rows", "num_slots", "is_greedy", "num_threads")),
        *((name, c_void_p) for name in (
            "ids", "befores", "positions", "rows", "cache", "logits", "scratch")),
    )  # fmt: skip


class NativeStep:
    """The compiled step over one model's weights; not for use by two threads at a time."""

    def __init__(
        self, lib: ctypes.CDLL, weights: Weights, *, score_scale: float, eps: float
    ) -> None:
        self._compiled = lib
        lib.scratch_floats.restype = c_int64
        # What the structures point to lives as long as they do.
        self._kept: list[object] = [weights]
        self._num_bytes = 0
        self._vocab_size = weights.config.vocab_size
        # The row after the last embedding, which is zero.
        self._no_token = weights.embed.size(0) - 1
        self._model = self._pack(weights, score_scale, eps)
        self._scratch = torch.empty(0)
        self._sizes = (0, 0, 0)

    def bytes_read(self) -> int:
        """Return the bytes of the matrices that a greedy step reads, whatever its rows."""
        return self._num_bytes

    def run(
        self, cache: KVCache, rows: Sequence[int], places: Sequence[Place], out: Tensor,
        out_rows: Sequence[int], *, is_greedy: bool,
    ) -> None:  # fmt: skip
        """Write the raw logits of each place to its row of `out`, (B, V) in float32."""
        num, num_threads = len(places), min(torch.get_num_threads(), MAX_THREADS)
        numbers = c_int64 * num
        stride, base = 4 * self._vocab_size, out.data_ptr()
        ids = numbers(*[place.id for place in places])
        befores = numbers(
            *[self._no_token if place.before_id is None else place.before_id for place in places]
        )
        positions = numbers(*[place.position for place in places])
        cache_rows = numbers(*rows)
        targets = numbers(*[base + row * stride for row in out_rows])
        arrays = [ctypes.addressof(array) for array in (ids, befores, positions, cache_rows)]
        step = _Step(
            num, cache.num_rows, cache.num_slots, is_greedy, num_threads, *arrays,
            cache.kv.data_ptr(), ctypes.addressof(targets),
            self._room(num, cache.num_slots, num_threads),
        )  # fmt: skip
        self._compiled.run_step(ctypes.byref(self._model), ctypes.byref(step))

    def _room(self, num_rows: int, num_slots: int, num_threads: int) -> int:
        sizes = (num_rows, num_slots, num_threads)
        if any(new > old for new, old in zip(sizes, self._sizes, strict=True)):
            self._sizes = (
                max(num_rows, self._sizes[0]), max(num_slots, self._sizes[1]),
                max(num_threads, self._sizes[2]),
            )  # fmt: skip
            model = ctypes.byref(self._model)
            floats = self._compiled.scratch_floats(model, *(c_int64(size) for size in self._sizes))
            self._scratch = torch.zeros(floats)
        return self._scratch.data_ptr()

    def _pack(self, weights: Weights, score_scale: float, eps: float) -> _Model:
        config, screen = weights.config, weights.screen
        layers = (_Layer * config.num_layers)(*[self._layer(layer) for layer in weights.layers])
        gains = (1.0, 1.0) if weights.is_folded else (config.n_embd**0.5, config.head_dim**0.5)
        return _Model(
            width=config.n_embd, num_heads=config.num_heads, num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim, vocab_size=config.vocab_size, num_layers=config.num_layers,
            is_bfloat16=weights.dtype == torch.bfloat16, layers=layers,
            head=self._matrix(weights.head, is_read=screen is None),
            screen=_Matrix() if screen is None else self._matrix(screen.coarse, is_read=True),
            screen_error=None if screen is None else self._keep(screen.errors_V),
            exact_head=None if screen is None else self._keep(screen.exact_VC),
            embed=self._keep(weights.embed),
            smear=None if weights.smear is None else self._keep(weights.smear),
            rotary=self._keep(torch.view_as_real(weights.rotary)),
            exact_scale=0.0 if screen is None else screen.factor,
            norm_gain=gains[0], head_gain=gains[1], score_scale=score_scale,
            backout=weights.backout, eps=eps,
        )  # fmt: skip

    def _layer(self, layer: LayerWeights) -> _Layer:
        value = layer.value_embed
        return _Layer(
            qkv=self._matrix(layer.qkv), out=self._matrix(layer.out), up=self._matrix(layer.up),
            down=self._matrix(layer.down),
            value_embed=None if value is None else self._keep(value), window=layer.window,
            has_mix=layer.resid is not None, resid=layer.resid or 0.0, x0=layer.x0,
        )  # fmt: skip

    def _matrix(self, matrix: Matrix, *, is_read: bool = True) -> _Matrix:
        """Return a matrix in panels of 64 outputs, (N / 64, C, 64)."""
        values_NC, scale_N = matrix.stored()
        num_outputs, num_inputs = values_NC.shape
        missing = -num_outputs % PANEL
        panels = F.pad(values_NC, (0, 0, 0, missing)).view(-1, PANEL, num_inputs).transpose(1, 2)
        if values_NC.dtype == torch.int8:
            panels = panels.unflatten(2, (-1, LANES)).transpose(2, 3)
        elif values_NC.dtype == torch.bfloat16:
            panels = panels.unflatten(2, (-1, 2, LANES)).transpose(3, 4)
        if is_read:
            self._num_bytes += values_NC.numel() * values_NC.element_size()
        return _Matrix(
            panels=self._keep(panels),
            scales=None if scale_N is None else self._keep(F.pad(scale_N.float(), (0, missing))),
            type=TYPES[values_NC.dtype], num_inputs=num_inputs, num_outputs=num_outputs,
        )  # fmt: skip

    def _keep(self, tensor: Tensor) -> int:
        kept = tensor.detach().contiguous()
        self._kept.append(kept)
        return kept.data_ptr()


def native_step(weights: Weights, *, score_scale: float, eps: float) -> NativeStep | None:
    """Return the compiled step, or None where the model, device or machine has none."""
    config = weights.config
    is_fit = (
        weights.device.type == "cpu"
        and weights.dtype in (torch.float32, torch.bfloat16)
        and config.n_embd % LANES == 0
        and (config.num_heads * config.head_dim) % LANES == 0
        and weights.bytes_read(1) <= MAX_BYTES
    )
    lib = compiled() if is_fit else None
    return None if lib is None else NativeStep(lib, weights, score_scale=score_scale, eps=eps)
