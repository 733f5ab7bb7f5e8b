"""What a plan takes of the disk: text, tokens and checkpoints, and what to do if it is too much.

Torch-free, pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.config import ModelConfig
from core.data.parts import window_chars
from core.scaling import checkpoint_bytes
from core.settings.text import DataConfig
from core.settings.training import TokenCacheChoice, TrainConfig

EMBEDDED = "embedded"
# Text, its tokens and the conversations.
EMBEDDED_BYTES = 40_000_000
# Of climbmix and fineweb-edu: a shard closes at 250 million characters, 100 MB as it is stored.
SHARD_CHARS = 250e6
SHARD_BYTES = 100_000_000
CHARS_PER_TOKEN = 4.8
# Of checkpoint_budget_gb.
GB = 1e9
MAX_NARROW_IDS = 1 << 16
# A checkpoint is written whole before the oldest one is removed.
NUM_EXTRA_CHECKPOINTS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes on disk by what they are.

    downloads: shards, one of them for validation. tokens: those of all shards if they are kept
    (`is_cached`), else of the few that are at hand. other: text that is there anyway.
    is_text_known: whether that is all of the text: a person's own is only looked at when a run
        is launched.
    free: what this machine's lab home has, where that is known.
    """

    downloads: int
    tokens: int
    other: int
    checkpoints: int
    num_checkpoints: int
    is_cached: bool
    is_text_known: bool
    free: int | None

    @property
    def text(self) -> int:
        """The part that runs with the same text share."""
        return self.downloads + self.tokens + self.other

    @property
    def total(self) -> int:
        """All of it."""
        return self.text + self.checkpoints

    @property
    def token_cache(self) -> TokenCacheChoice:
        """How tokens are kept, as the setting says it."""
        return "disk" if self.is_cached else "none"

    def source(self) -> str:
        """Return what the total is made of, in words."""
        parts = []
        if self.num_checkpoints:
            parts.append(f"{self.num_checkpoints} checkpoints {size_text(self.checkpoints)}")
        if not self.downloads:
            parts.append(f"text and tokens {size_text(self.text)}")
            if not self.is_text_known:
                parts.append("and what your own text takes, which is looked at before a run")
            return ", ".join(parts)
        parts.append(f"shards {size_text(self.downloads)}")
        if self.is_cached:
            parts.append(f"token cache {size_text(self.tokens)}")
        else:
            parts.append(f"no token cache, {size_text(self.tokens)} of tokens at hand")
        return ", ".join(parts)


def plan_disk(
    trained: Sequence[TrainConfig],
    token_cache: TokenCacheChoice,
    data: DataConfig,
    model: ModelConfig,
    *,
    num_shards: int | None,
    free_bytes: int | None,
) -> Disk:
    """Return what stages that train take of the disk; `num_shards` are downloaded for training.

    "auto" keeps tokens where all of it fits into what is free, and where that is not known.
    """
    kept = [num_kept(config, model) for config in trained]
    num_checkpoints = sum(kept) + NUM_EXTRA_CHECKPOINTS if kept else 0
    checkpoints = num_checkpoints * checkpoint_bytes(model)
    downloads = cached = window = 0
    other = EMBEDDED_BYTES
    if num_shards is not None:
        downloads = (num_shards + 1) * SHARD_BYTES
        other = 0
        cached = _tokens_bytes((num_shards + 1) * SHARD_CHARS, model)
        ahead = num_shards if data.shards_ahead is None else min(data.shards_ahead, num_shards)
        chars = window_chars(ahead, num_shards - ahead, SHARD_CHARS)
        window = _tokens_bytes(chars + SHARD_CHARS, model)
    is_cached = token_cache != "none"
    if token_cache == "auto" and free_bytes is not None:
        is_cached = downloads + cached + other + checkpoints <= free_bytes
    return Disk(
        downloads=downloads,
        tokens=cached if is_cached else min(cached, window),
        other=other,
        checkpoints=checkpoints,
        num_checkpoints=num_checkpoints,
        is_cached=is_cached,
        is_text_known=num_shards is not None or data.corpus == EMBEDDED,
        free=free_bytes,
    )


def num_kept(config: TrainConfig, model: ModelConfig) -> int:
    """Return how many checkpoints a stage leaves on the disk at most, within its budget."""
    if config.checkpoint_budget_gb is None:
        return config.num_kept_checkpoints
    fitting = int(config.checkpoint_budget_gb * GB // checkpoint_bytes(model))
    # The newest stays in any case.
    return max(1, min(config.num_kept_checkpoints, fitting))


def token_cache_source(choice: TokenCacheChoice, disk: Disk) -> str:
    """Return why tokens are kept or not, in words."""
    kept = "kept on disk" if disk.is_cached else "made while training goes on, not kept"
    if choice != "auto":
        return f"base.token_cache={choice}: {kept}"
    if disk.free is None:
        return f"{kept}; the disk that is free there is not known"
    why = "all fits" if disk.is_cached else "not all fits"
    return (
        f"{kept}: {why} into the {size_text(disk.free)} that are free; seen to again at the start"
    )


def how_to_fit(
    disk: Disk, *, num_shards: int | None, keep_checkpoints: int, keep_best: bool
) -> str:
    """Return what a person can do about a disk that is too small for a plan."""
    ways = []
    if disk.downloads and disk.is_cached:
        ways.append("keep no tokens (--set base.token_cache=none)")
    if num_shards is not None and num_shards > 1:
        ways.append(f"take fewer shards (--set data.num_shards={max(1, num_shards // 2)})")
    fewer = ["--set base.keep_checkpoints=1"] if keep_checkpoints > 1 else []
    fewer += ["--set base.keep_best=false"] if keep_best else []
    if disk.checkpoints > disk.text and fewer:
        ways.append(f"keep fewer checkpoints ({' '.join(fewer)})")
    return ", ".join([*ways, "free some (labcli runs gc)", "or use another --home"])


def size_text(num_bytes: float) -> str:
    """Return a size in binary units, as the tables state it."""
    for limit, unit in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")):
        if num_bytes >= limit:
            return f"{num_bytes / limit:.3g} {unit}"
    return f"{num_bytes / 1024:.0f} KiB"


def _tokens_bytes(num_chars: float, model: ModelConfig) -> int:
    width = 2 if model.vocab_size <= MAX_NARROW_IDS else 4
    return int(width * num_chars / CHARS_PER_TOKEN)
