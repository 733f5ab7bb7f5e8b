"""How a server runs. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runs.errors import UsageError

Weights = Literal["native", "bfloat16", "int8"]
MIN_TOKEN_CHARS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """What `labcli serve` was asked for.

    devices: one worker process each; None is a GPU if there is one, else the CPU.
    max_models: models that one worker holds at a time; the least recently used leaves.
    max_rows: requests that one model of one worker answers at a time.
    max_queue: requests that wait for a row; more are refused with 429.
    timeout_s: seconds that a request may take, its wait included.
    grace_s: seconds that running requests have after a signal to stop.
    token: what a client must show; None lets everyone in, on loopback alone.
    checks_host: whether Host must name this machine, which keeps DNS rebinding out of loopback.
    allowed_origins: sites whose pages may call, such as "https://lab.example".
    """

    devices: tuple[str | None, ...] = (None,)
    weights: Weights = "native"
    max_models: int = 3
    max_rows: int = 32
    max_queue: int = 64
    timeout_s: float = 300.0
    grace_s: float = 10.0
    token: str | None = None
    checks_host: bool = True
    allowed_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is not None and (
            len(self.token) < MIN_TOKEN_CHARS or not self.token.isascii()
        ):
            raise UsageError(f"the token must be at least {MIN_TOKEN_CHARS} ASCII characters")
        for name in ("max_models", "max_rows", "timeout_s"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.max_queue < 0 or self.grace_s < 0 or not self.devices:
            raise UsageError("max_queue and grace_s must be 0 or more, with at least one worker")
