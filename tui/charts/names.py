"""The x axes that a chart can have. No numpy: the keys and bars of the dashboard name them too."""

from __future__ import annotations

from typing import Literal

AxisName = Literal["step", "tokens", "time", "flops", "usd"]
AXIS_LABELS: dict[AxisName, str] = {
    "step": "step", "tokens": "tokens", "time": "time", "flops": "FLOPs", "usd": "$",
}  # fmt: skip
