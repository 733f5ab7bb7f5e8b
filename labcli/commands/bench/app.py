"""`labcli bench`: how fast the lab's own parts are, beside installed peers."""

from __future__ import annotations

from labcli.lazy import lazy_app
from labcli.root import Entry

COMMANDS = {
    "tokenizer": Entry(
        "labcli.commands.bench.tokenizer:app", "Measure tokenizers: training, encoding, memory."
    ),
    "train": Entry(
        "labcli.commands.bench.train:app", "Measure training: tokens per second, phases, memory."
    ),
    "infer": Entry(
        "labcli.commands.bench.infer:app", "Measure the engine: time to first token, speed."
    ),
    "serve": Entry(
        "labcli.commands.bench.serve:app",
        "Measure the server under many streams: speed, latencies.",
    ),
    "registry": Entry(
        "labcli.commands.bench.registry:app", "Measure event logs, the registry and history."
    ),
    "tui": Entry(
        "labcli.commands.bench.tui:app",
        "Measure the full-screen views, each figure beside its target.",
    ),
}

app = lazy_app(COMMANDS, "Measure speed against installed peers.")
