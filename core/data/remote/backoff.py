"""How long to wait before the next try of a request. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient a download is. Times are seconds.

    longest_asked_s: a server that asks to be left alone for longer is down for our purposes; the
        error says so.
    """

    num_tries: int = 8
    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    timeout_s: float = 30.0
    longest_asked_s: float = 600.0


def delay_s(policy: Policy, num_failures: int, asked_s: float | None, rng: Random) -> float:
    """Return the seconds to wait after the n-th failure in a row.

    Doubles from failure to failure, with half of it drawn: workers that failed together do not
    come back together. What the server asked for is the least.
    """
    full = min(policy.longest_delay_s, policy.first_delay_s * 2.0 ** (num_failures - 1))
    drawn = full * (0.5 + 0.5 * rng.random())
    return drawn if asked_s is None else asked_s + drawn * 0.1


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date."""
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    wait_s = (when - (now or datetime.now(UTC))).total_seconds()
    return max(wait_s, 0.0)
