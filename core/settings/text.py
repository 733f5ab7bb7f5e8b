"""The settings of the stages that make text and its tokenizer: data and tok. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from core.settings.setting import StageConfig, require_positive, setting
from runs.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig(StageConfig):
    """Settings of `data`: the corpus and the generated conversations."""

    corpus: str = setting(
        "embedded",
        "The text: embedded (this Python's documentation), climbmix, fineweb-edu, a corpus of "
        "the lab by name or id, or a directory of parquet or JSONL files.",
    )
    num_shards: int = setting(8, "Training shards to download of climbmix or fineweb-edu.")
    shards_ahead: int | None = setting(
        None, "Download so many shards first, the others while training goes on; none: all."
    )
    num_mid: int = setting(24_000, "Conversations generated for midtraining.")
    num_sft: int = setting(6_000, "Conversations generated for supervised fine-tuning.")
    num_test: int = setting(400, "Held-out items generated for each skill.")

    @property
    def is_remote(self) -> bool:
        """Whether the text is downloaded."""
        return self.corpus in ("climbmix", "fineweb-edu")

    def __post_init__(self) -> None:
        super(DataConfig, self).__post_init__()
        require_positive(self, "num_mid", "num_sft", "num_test", "num_shards")
        require_positive(self, "shards_ahead", unless="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokConfig(StageConfig):
    """Settings of `tok`: the byte-level BPE tokenizer."""

    vocab_size: int = setting(4096, "Vocabulary size, special tokens included.")
    max_chars: int = setting(2_000_000_000, "Characters of training text to read at most.")
    max_doc_chars: int = setting(10_000, "Characters read from one document at most.")

    def __post_init__(self) -> None:
        super(TokConfig, self).__post_init__()
        require_positive(self, "max_chars", "max_doc_chars")
        if not 265 <= self.vocab_size <= 65_536:
            raise UsageError(
                f"vocab_size {self.vocab_size} is outside 265..65536 "
                "(256 bytes and 9 special tokens are always there)"
            )
