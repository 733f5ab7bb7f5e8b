"""The event log, from one door: what may be said, how it is written, how it is read back.

Stdlib only: every rank of every training process imports this file.
"""

from __future__ import annotations

from runs.codec import (
    MAX_LINE_BYTES,
    VERSION,
    EventRecord,
    decode,
    encode,
    number,
    plain,
    split_metrics,
)
from runs.event_kinds import (
    Alert,
    Artifact,
    Checkpoint,
    End,
    EndReason,
    Error,
    Eval,
    Event,
    Heartbeat,
    Note,
    Progress,
    Sample,
    Severity,
    Start,
    Step,
    Turn,
)
from runs.event_log import EventLog
from runs.event_tail import EventTail, read_events

__all__ = [
    "MAX_LINE_BYTES",
    "VERSION",
    "Alert",
    "Artifact",
    "Checkpoint",
    "End",
    "EndReason",
    "Error",
    "Eval",
    "Event",
    "EventLog",
    "EventRecord",
    "EventTail",
    "Heartbeat",
    "Note",
    "Progress",
    "Sample",
    "Severity",
    "Start",
    "Step",
    "Turn",
    "decode",
    "encode",
    "number",
    "plain",
    "read_events",
    "split_metrics",
]
