"""Counters and histograms of one server, for Prometheus and for /stats. Torch-free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Enough for a p99 that a single slow token does not move.
NUM_REMEMBERED = 8192
_TTFT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_GAP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """What one server counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "labcli_requests", "Calls that ended, by outcome.", ["outcome"], registry=self._registry
        )
        self._tokens = Counter(
            "labcli_tokens", "Tokens generated.", ["model"], registry=self._registry
        )
        self._ttft = Histogram(
            "labcli_time_to_first_token_seconds",
            "From a call to its first token, the wait for a row included.",
            ["model"],
            buckets=_TTFT_BUCKETS,
            registry=self._registry,
        )
        self._gap = Histogram(
            "labcli_inter_token_seconds",
            "Between two tokens of an answer.",
            ["model"],
            buckets=_GAP_BUCKETS,
            registry=self._registry,
        )
        self._restarts = Counter(
            "labcli_worker_restarts", "Workers that were started again.", registry=self._registry
        )
        self._recent_ttft_s: deque[float] = deque(maxlen=NUM_REMEMBERED)
        self._recent_gap_s: deque[float] = deque(maxlen=NUM_REMEMBERED)
        self.num_by_outcome: dict[str, int] = dict.fromkeys(
            ("completed", "failed", "cancelled", "rejected"), 0
        )
        # A labelled child costs as much to look up as to count with.
        self._children: dict[str, tuple[Counter, Histogram, Histogram]] = {}
        self.num_tokens = 0
        self.num_restarts = 0

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value `read` returns when it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def count_request(self, outcome: str) -> None:
        """Count a call that ended: completed, failed, cancelled or rejected."""
        self._requests.labels(outcome).inc()
        self.num_by_outcome[outcome] += 1

    def count_restart(self) -> None:
        """Count a worker that is started again."""
        self._restarts.inc()
        self.num_restarts += 1

    def count_token(self, model: str, *, gap_s: float, is_first: bool) -> None:
        """Count a token that came `gap_s` after the one before it, or after the call."""
        self.num_tokens += 1
        children = self._children.get(model)
        if children is None:
            children = self._children[model] = (
                self._tokens.labels(model), self._ttft.labels(model), self._gap.labels(model),
            )  # fmt: skip
        tokens, ttft, gap = children
        tokens.inc()
        if is_first:
            ttft.observe(gap_s)
            self._recent_ttft_s.append(gap_s)
        else:
            gap.observe(gap_s)
            self._recent_gap_s.append(gap_s)

    def latencies(self) -> dict[str, dict[str, float | None]]:
        """Return the median and the 99th percentile of the newest tokens, in seconds."""
        return {
            "ttft_s": _percentiles(self._recent_ttft_s),
            "inter_token_s": _percentiles(self._recent_gap_s),
        }

    def as_text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)


def _percentiles(values: deque[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p99": None}
    ranked = sorted(values)
    last = len(ranked) - 1
    return {name: round(ranked[round(q * last)], 6) for name, q in (("p50", 0.5), ("p99", 0.99))}
