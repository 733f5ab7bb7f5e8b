"""How the answers of a conversation are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.engine.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkSettings:
    """Sampling of every answer; at temperature 0 the seed and the limits change nothing."""

    temperature: float
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    seed: int = 0
    max_new_tokens: int = 256

    def request(self, prompt_ids: Sequence[int], *, draw: int, has_probes: bool = False) -> Request:
        """Return the request for one answer; each `draw` has a seed of its own.

        Raises:
            UsageError: a value is out of its range.
        """
        from core.engine.request import Request

        return Request(
            prompt_ids=prompt_ids,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=self.seed + draw,
            num_alternatives=0 if has_probes else None,
        )

    def changed(self, **changes: float | None) -> TalkSettings:
        """Return the settings with changes.

        Raises:
            UsageError: a value is out of its range.
        """
        changed = replace(self, **changes)  # type: ignore[arg-type]
        changed.request([0], draw=0)
        return changed

    def as_row(self) -> dict[str, Any]:
        """Return the settings as --json states them."""
        return asdict(self)

    def summary(self) -> str:
        """Return the settings as one line."""
        limits = {
            "top-k": self.top_k,
            "top-p": self.top_p,
            "min-p": self.min_p,
            "repetition penalty": self.repetition_penalty,
        }
        words = [f"temperature {self.temperature:g}"]
        words += [
            f"{name} {value:g}"
            for name, value in limits.items()
            if value is not None and (name, value) != ("repetition penalty", 1.0)
        ]
        return "  ".join([*words, f"seed {self.seed}", f"at most {self.max_new_tokens} tokens"])
