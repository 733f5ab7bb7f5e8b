"""Start the supervisor of a run on this machine, detached from the terminal that asked."""

from __future__ import annotations

import os
import signal
import sys

from runs.errors import LabError
from runs.log import append_record
from runs.paths import RunPaths
from runs.process import RUN_TAG, identify

ADOPT = "--adopt"


def launch(paths: RunPaths, *, adopting: bool = False) -> int:
    """Spawn the supervisor in its own session, with its output in a file; return its pid.

    With `adopting` it starts no attempt in the place of a worker that is gone when it comes.
    """
    append_record(paths.requests, "launch", {}, sync=True)
    env = {key: value for key, value in os.environ.items() if key != RUN_TAG}
    options = [ADOPT] if adopting else []
    try:
        paths.supervisor_log.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(paths.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise LabError(f"cannot write {paths.supervisor_log}: {error.strerror}") from None
    try:
        # Unlike subprocess.Popen this leaves no object behind that must be waited for.
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "runs.supervise", str(paths.run_dir), *options],
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
        )
    except OSError as error:
        raise LabError(f"cannot start the supervisor: {error.strerror}") from None
    finally:
        os.close(log)
    identity = identify(pid)
    append_record(paths.requests, "spawned", identity.as_record() if identity else {"pid": pid})
    return pid
