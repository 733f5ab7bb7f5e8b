"""The event log, from one door: what may be said, how it is written, how it is read back.

Stdlib only: every rank of every training process imports this file. It and what it imports name
each other relatively, so that a script that knows no `runs` of ours can load them too.
"""

from __future__ import annotations

from .codec import (
    MAX_LINE_BYTES,
    VERSION,
    EventRecord,
    decode,
    encode,
    number,
    plain,
    split_metrics,
)
from .event_kinds import (
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
from .event_log import EventLog
from .event_tail import EventTail, read_events

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
