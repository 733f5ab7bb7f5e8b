"""Start the supervisor of a run on this machine, detached from the terminal that asked."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from runs.errors import LabError
from runs.log import append_record
from runs.paths import RunPaths
from runs.scheduling.leases import FDS_ENV
from runs.supervision.process import RUN_TAG, identify

ADOPT = "--adopt"


def launch(
    paths: RunPaths, *, adopting: bool = False, more_env: Mapping[str, str] | None = None
) -> int:
    """Spawn the supervisor in its own session, with its output in a file; return its pid.

    With `adopting` it starts no attempt in the place of a worker that is gone when it comes.
    `more_env` comes from the queue: the leases of the run.
    """
    append_record(paths.requests, "launch", {}, sync=True)
    env = {key: value for key, value in os.environ.items() if key not in (RUN_TAG, FDS_ENV)}
    options = [ADOPT] if adopting else []
    argv = [sys.executable, "-P", "-m", "runs.supervision.supervise", str(paths.run_dir), *options]
    pid = spawn_detached(argv, env={**env, **(more_env or {})}, log=paths.supervisor_log)
    identity = identify(pid)
    append_record(paths.requests, "spawned", identity.as_record() if identity else {"pid": pid})
    return pid


def spawn_detached(argv: list[str], *, env: Mapping[str, str], log: Path) -> int:
    """Start a process in a session of its own, with its output added to a file; return its pid.

    It inherits the files that were made inheritable.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise LabError(f"cannot write {log}: {error.strerror}") from None
    try:
        # Unlike subprocess.Popen this leaves no object behind that must be waited for.
        return os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, fd, 1),
                (os.POSIX_SPAWN_DUP2, fd, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD],
        )
    except OSError as error:
        raise LabError(f"cannot start {argv[3]}: {error.strerror}") from None
    finally:
        os.close(fd)
