"""Which process is meant: an identity that a recycled process id cannot fool.

A process is known by its id, its start time, and the machine it runs on: the boot, and on
Linux the process-id namespace too, since containers share a boot but not their ids.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Liveness = Literal["alive", "dead", "elsewhere"]
RUN_TAG = "LABCLI_RUN"
HOME_TAG = "LABCLI_HOME"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process for ever: `start` is in clock ticks on Linux, else hundredths of a second."""

    pid: int
    start: int
    boot: str

    def as_record(self) -> dict[str, Any]:
        """Return the fields under which a log keeps this identity."""
        return {"pid": self.pid, "start": self.start, "boot": self.boot}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A process that was started for a run, by the tags in its environment."""

    run_id: str
    home: str | None
    identity: ProcessIdentity


def identity_from(data: Mapping[str, Any]) -> ProcessIdentity | None:
    """Return the identity that a log record holds, or None when it holds none."""
    pid, start, boot = data.get("pid"), data.get("start"), data.get("boot")
    if isinstance(pid, int) and isinstance(start, int) and isinstance(boot, str):
        return ProcessIdentity(pid=pid, start=start, boot=boot)
    return None


def boot_key() -> str:
    """Return what names this boot of this machine, and this namespace of process ids."""
    if not sys.platform.startswith("linux"):
        import psutil

        return f"{uuid.getnode():x}-{int(psutil.boot_time())}"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    try:
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return boot


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a running process, or None when it is gone or only a zombie."""
    start = _start_time(pid)
    return None if start is None else ProcessIdentity(pid=pid, start=start, boot=boot_key())


def liveness(identity: ProcessIdentity) -> Liveness:
    """Return whether a process runs; one of another host or boot cannot be seen from here."""
    if identity.boot != boot_key():
        return "elsewhere"
    return "alive" if _start_time(identity.pid) == identity.start else "dead"


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether a process is known to run on this machine."""
    return liveness(identity) == "alive"


def send_signal(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal exactly this process and return whether it was there to be signalled."""
    if not sys.platform.startswith("linux"):
        return is_alive(identity) and _kill(identity.pid, number)
    try:
        fd = os.pidfd_open(identity.pid)
    except OSError as error:
        # A kernel before 5.3, or a sandbox: what is left is to look, then to be quick.
        can_kill = error.errno in (errno.ENOSYS, errno.EPERM) and is_alive(identity)
        return can_kill and _kill(identity.pid, number)
    try:
        # The descriptor pins the process: checked after opening, it cannot be another one.
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def find_family(run_id: str) -> list[ProcessIdentity]:
    """Return every process on this machine that was started for a run, by its environment."""
    return [found.identity for found in find_tagged() if found.run_id == run_id]


def find_tagged() -> list[Tagged]:
    """Return every process on this machine, this one aside, that was started for some run."""
    environments = _linux_environments if sys.platform.startswith("linux") else _environments
    found = []
    for pid, env in environments():
        run_id = env.get(RUN_TAG)
        identity = identify(pid) if run_id and pid != os.getpid() else None
        if run_id and identity is not None:
            home = env.get(HOME_TAG)
            found.append(Tagged(run_id=run_id, home=home, identity=identity))
    return found


def command_line(pid: int) -> str:
    """Return the command line of a process, or nothing when it has gone."""
    import psutil

    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _linux_environments() -> Iterator[tuple[int, dict[str, str]]]:
    # Without psutil: a supervisor looks whenever a stage ends, and its import costs more.
    tag = f"{RUN_TAG}=".encode()
    for name in os.listdir("/proc"):  # noqa: PTH208 (a third of the time of Path.iterdir)
        if not name.isdigit():
            continue
        try:
            raw = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if tag in raw:
            entries = raw.decode("utf-8", errors="replace").split("\0")
            yield int(name), dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _environments() -> Iterator[tuple[int, dict[str, str]]]:
    import psutil

    for process in psutil.process_iter():
        try:
            yield process.pid, process.environ()
        except (psutil.Error, OSError):
            continue


def _start_time(pid: int) -> int | None:
    if not sys.platform.startswith("linux"):
        return _start_time_portable(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command name, in parentheses, may hold spaces and parentheses of its own.
    fields = stat[stat.rfind(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _start_time_portable(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return int(process.create_time() * 100)
    except psutil.Error:
        return None


def _kill(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True
