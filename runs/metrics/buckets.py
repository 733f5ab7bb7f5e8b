"""A curve reduced to few buckets that hide no spike: lowest, highest and mean of each. Pure.

numpy is imported in functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Parallel arrays, one entry per bucket that holds a point, in the order of x.

    `x` is the mean x of a bucket's points; `low`, `high` and `mean` leave out what is no number,
    and are NaN where nothing else is there. `num` counts every point.
    """

    x: Floats
    low: Floats
    high: Floats
    mean: Floats
    num: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.x.size)


def reduce_curve(x: NDArray[Any], y: Floats, num_buckets: int) -> Buckets:
    """Return at most `num_buckets` buckets of equal width in x; points with unknown x are left out.

    A bucket may be as narrow as one point, so a short curve is returned as it is.
    """
    import numpy as np

    is_known = np.isfinite(x)
    if not is_known.all():
        x, y = x[is_known], y[is_known]
    if (np.diff(x) < 0).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    if not x.size:
        nothing = np.empty(0)
        return Buckets(x=nothing, low=nothing, high=nothing, mean=nothing, num=np.empty(0, int))
    starts = _starts(x, num_buckets)
    num = np.diff(starts, append=x.size)
    is_number = np.isfinite(y)
    num_numbers = np.add.reduceat(is_number.astype(np.int64), starts)
    total = np.add.reduceat(np.where(is_number, y, 0.0), starts)
    mean = np.full(starts.size, np.nan)
    np.divide(total, num_numbers, out=mean, where=num_numbers > 0)
    bounded = np.where(is_number, y, np.nan)
    return Buckets(
        x=np.add.reduceat(x.astype(np.float64), starts) / num,
        low=np.fmin.reduceat(bounded, starts),
        high=np.fmax.reduceat(bounded, starts),
        mean=mean,
        num=num,
    )


def _starts(x: NDArray[Any], num_buckets: int) -> NDArray[np.int64]:
    """Return where each bucket begins in the sorted x."""
    import numpy as np

    if x.size <= num_buckets:
        return np.arange(x.size)
    low, high = float(x[0]), float(x[-1])
    if high == low:
        return np.zeros(1, dtype=np.int64)
    bucket = ((x - low) * (num_buckets / (high - low))).astype(np.int64)
    # The last point closes the last bucket instead of opening one of its own.
    np.minimum(bucket, num_buckets - 1, out=bucket)
    return np.concatenate([[0], np.flatnonzero(np.diff(bucket)) + 1])
