"""The settings of training in sections, those that people change most first. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from core.settings.setting import StageConfig
from core.settings.training import TrainConfig

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "model": (
        "depth", "aspect_ratio", "head_dim", "kv_ratio", "sequence_len", "window_pattern",
        "tied_head", "arch",
    ),
    "how long": ("num_iterations", "target_param_data_ratio", "target_flops", "epochs"),
    "rows and batches": (
        "total_batch_size", "device_batch_size", "packing", "text_every", "token_cache", "seed",
    ),
    "learning rates": (
        "init_lr_frac", "matrix_lr", "embedding_lr", "unembedding_lr", "scalar_lr",
        "warmup_ratio", "warmdown_ratio", "final_lr_frac",
    ),
    "optimizer": (
        "optimizer", "weight_decay", "grad_clip", "momentum_warmup_steps", "muon_iterations",
        "pair_start_steps",
    ),
    "precision and speed": ("dtype", "fp8", "compile", "attention", "activation_checkpointing"),
    "measuring": ("eval_every", "eval_tokens", "eval_bytes", "sample_every"),
    "checkpoints": ("save_every", "keep_checkpoints", "keep_best", "checkpoint_budget_gb"),
}  # fmt: skip
# Of a setting that no section names: it is shown all the same.
OTHERS = "others"
_PLACES = {
    name: (place, section)
    for place, (section, name) in enumerate(
        (section, name) for section, names in SECTIONS.items() for name in names
    )
}


def placed(config: StageConfig, name: str) -> tuple[int, str]:
    """Return where a setting stands among those of its stage, and its section.

    Stages that train nothing have few settings, in the order in which they are written.
    """
    if not isinstance(config, TrainConfig):
        return 0, ""
    return _PLACES.get(name, (len(_PLACES), OTHERS))
