"""Following a run on another machine: its event logs by byte offset, through a remote shell.

A connection that breaks is made again, from the offsets that were reached: nothing is shown twice
and nothing is missed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from runs.alerting.host_alerts import alert_from
from runs.errors import NotFound, UsageError, nearest
from runs.events import EventRecord, decode
from runs.ids import is_ulid
from runs.log import decode_record
from runs.remote.shell import RemoteShell, Unreachable
from runs.supervision.control import Control, fold_control
from runs.views.states import ENDED, HEARTBEAT_LIMIT_S

LAST = "last"
POLL_S = 0.25
# Of what was written before, this much of each file is read.
BACKLOG_BYTES = 64 * 1024
CHUNK_BYTES = 1 << 20
FIRST_RETRY_S = 1.0
MAX_RETRY_S = 30.0
_EVENTS = re.compile(r"events/(?P<stage>.+)\.a(?P<attempt>\d+)\.r(?P<rank>\d+)\.jsonl")
CONTROL, HOST = "control.jsonl", "host.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRecord:
    """One event with the place it came from."""

    stage: str
    attempt: int
    rank: int
    record: EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something to say of a connection or of a run that is silent."""

    text: str


def pick_run(names: list[str], wanted: str, *, where: str) -> str:
    """Return the directory name of a run: the newest, or the one with this id or slug.

    Raises:
        NotFound: there is none; the closest are named.
        UsageError: several match.
    """
    runs = sorted((name for name in names if is_ulid(name[:26])), reverse=True)
    if not runs:
        raise NotFound(f"there are no runs in {where}; name its lab home with --remote-home")
    if wanted in ("", LAST):
        return runs[0]
    exact = [name for name in runs if wanted in (name, name[27:]) or wanted.upper() == name[:26]]
    found = exact or [name for name in runs if name.startswith(wanted.upper())]
    if not found:
        raise NotFound(
            f"no run in {where} matches {wanted!r}{nearest(wanted, [n[27:] for n in runs])}"
        )
    if len(found) > 1 and not exact:
        raise UsageError(f"{wanted!r} matches {len(found)} runs in {where}: {', '.join(found[:5])}")
    return found[0]


@dataclass(slots=True)
class RemoteFeed:
    """The logs of one run on another machine, as far as they have been read."""

    offsets: dict[str, int] = field(default_factory=dict)
    control: Control = field(default_factory=Control)
    num_alerts: int = 0

    def poll(self, shell: RemoteShell, run_dir: str) -> list[RemoteRecord]:
        """Return what was added since the last poll, oldest first."""
        found: list[RemoteRecord] = []
        for name, size in sorted(shell.sizes(run_dir).items()):
            if name in (CONTROL, HOST) or _EVENTS.fullmatch(name):
                lines = list(self._added(shell, f"{run_dir}/{name}", name, size))
                found += self._take(name, lines)
        return sorted(found, key=lambda item: item.record.t)

    @property
    def has_ended(self) -> bool:
        """Whether its supervisor has said how the run ended."""
        return self.control.state in ENDED

    def _added(self, shell: RemoteShell, path: str, name: str, size: int) -> Iterator[bytes]:
        offset = self.offsets.get(name)
        is_backlog = offset is None
        if offset is None or size < offset:
            offset = max(0, size - BACKLOG_BYTES)
        # The first line of a backlog may be only the end of one.
        is_cut = is_backlog and offset > 0
        self.offsets[name] = offset
        while self.offsets[name] < size:
            chunk = shell.read(
                path, self.offsets[name], min(size - self.offsets[name], CHUNK_BYTES)
            )
            end = chunk.rfind(b"\n") + 1
            if not end:
                return
            self.offsets[name] += end
            lines = chunk[:end].split(b"\n")
            yield from lines[1:] if is_cut else lines
            is_cut = False

    def _take(self, name: str, lines: list[bytes]) -> Iterator[RemoteRecord]:
        if name == CONTROL:
            records = (decode_record(line) for line in lines)
            self.control = fold_control((one for one in records if one is not None), self.control)
        elif name == HOST:
            yield from self._alerts(lines)
        elif (match := _EVENTS.fullmatch(name)) is not None:
            for record in map(decode, lines):
                if record is not None:
                    yield RemoteRecord(
                        stage=match["stage"],
                        attempt=int(match["attempt"]),
                        rank=int(match["rank"]),
                        record=record,
                    )

    def _alerts(self, lines: list[bytes]) -> Iterator[RemoteRecord]:
        for record in map(decode_record, lines):
            if record is None or record.kind != "alert":
                continue
            alert = alert_from(record.t, record.data)
            shown = EventRecord(seq=self.num_alerts, t=record.t, kind="alert", data=record.data)
            self.num_alerts += 1
            stage, attempt = alert.stage or "run", alert.attempt or 0
            yield RemoteRecord(stage=stage, attempt=attempt, rank=0, record=shown)


class RemoteRun:
    """A run on another machine that is followed until it ends, over as many connections as needed.

    `home` is the lab home there; None: what $LABCLI_HOME says there, else ~/.labcli.
    """

    def __init__(
        self,
        host: str,
        wanted: str,
        env: Mapping[str, str],
        *,
        home: str | None = None,
        wait: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        self.slug = wanted or LAST
        self._wanted = wanted
        self._env = env
        self._home = home
        self._wait = wait
        self._clock = clock
        self._run_dir: str | None = None
        self._feed = RemoteFeed()
        self._retry_s = FIRST_RETRY_S
        self._is_reached = False
        self._grown_s = clock()
        self._is_silent = False

    def follow(self) -> Iterator[list[RemoteRecord] | Remark]:
        """Yield batches of events, the first with the past, and remarks, until the run has ended.

        Raises:
            Refused: ssh is not let in, which no waiting changes.
            Unreachable: the machine could not be reached the first time.
            NotFound, UsageError: there is no such run.
        """
        while True:
            try:
                with RemoteShell(self.host, self._env) as shell:
                    yield from self._follow(shell)
                return
            except Unreachable as error:
                if not self._is_reached:
                    raise
                yield Remark(text=f"{error}; trying again in {self._retry_s:.0f} s")
            self._wait(self._retry_s)
            self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)

    def _follow(self, shell: RemoteShell) -> Iterator[list[RemoteRecord] | Remark]:
        if self._run_dir is None:
            home = self._home or shell.home()
            name = pick_run(shell.names(f"{home}/runs"), self._wanted, where=f"{self.host}:{home}")
            self._run_dir, self.slug = f"{home}/runs/{name}", name[27:]
        elif self._retry_s > FIRST_RETRY_S:
            yield Remark(text=f"{self.host} is back")
        self._is_reached = True
        while True:
            before = dict(self._feed.offsets)
            yield self._feed.poll(shell, self._run_dir)
            self._retry_s = FIRST_RETRY_S
            if self._feed.has_ended:
                return
            yield from self._signs_of_life(self._feed.offsets != before)
            self._wait(POLL_S)

    def _signs_of_life(self, has_grown: bool) -> Iterator[Remark]:
        now = self._clock()
        if has_grown:
            self._grown_s, self._is_silent = now, False
        elif now - self._grown_s > HEARTBEAT_LIMIT_S and not self._is_silent:
            self._is_silent = True
            limit = f"{HEARTBEAT_LIMIT_S:.0f} s"
            yield Remark(text=f"{self.host}: no sign of life from {self.slug} for {limit}")
