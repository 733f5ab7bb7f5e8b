"""What the playground is measured with: a text of many kinds and a tokenizer trained on it."""

from __future__ import annotations

from runs.paths import LabHome

_PARTS = (
    "The cat sat on the mat, and the hat that the cat has is the cat's hat.\n",
    "for index in range(10):\n\tprint(f'{index * 27:>8}')  # 1234567\n",
    "na\u00efve caf\u00e9 \u4f60\u597d \u043f\u0440\u0438\u0432\u0435\u0442 \U0001f642 and so on\n",
)
VOCAB_SIZE = 400


def mixed_text(num_bytes: int) -> str:
    """Return a text of about so many bytes."""
    whole = "".join(_PARTS)
    return whole * max(num_bytes // len(whole.encode()), 1)


def save_tokenizer(home: LabHome) -> None:
    """Save a small tokenizer under the name bench."""
    from core.vocab.sources import find_sources
    from core.vocab.training import train_tokenizer

    source = home.root / "corpus.txt"
    source.write_text(mixed_text(20_000), encoding="utf-8")
    made = train_tokenizer(find_sources([str(source)]), vocab_size=VOCAB_SIZE)
    assert made is not None
    made.tokenizer.save(home.tokenizers_dir / "bench.json")
