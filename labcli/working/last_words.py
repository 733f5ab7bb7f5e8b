"""What a worker leaves behind where no event can: its stacks on request, and an error file."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from runs.supervision.process import identify

ERROR_FILE_VARIABLE = "TORCHELASTIC_ERROR_FILE"


def answer_with_stacks(path: Path) -> None:
    """Write the stacks of every thread to `path` whenever this process gets SIGUSR1.

    The handler is C code: it answers while Python itself hangs in native code. The first line
    of the file says that it is in place, since without it the signal would end the process.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Open for as long as the process lives: faulthandler keeps only the descriptor.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o644)
        faulthandler.register(signal.SIGUSR1, file=fd, all_threads=True)
        identity = identify(os.getpid())
        if identity is not None:
            os.write(fd, json.dumps(identity.as_record()).encode() + b"\n")
    except OSError:
        # A full or read-only disk costs the stacks of a hang, not the training.
        return


def write_error_file(env: Mapping[str, str], message: str, traceback: str) -> None:
    """Write why this rank failed to the file that torchrun named for it, in torchrun's form."""
    path = env.get(ERROR_FILE_VARIABLE)
    if not path:
        return
    extra = {"py_callstack": traceback, "timestamp": str(int(time.time()))}
    body = {"message": {"message": message, "extraInfo": extra}}
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(body), encoding="utf-8")
    except OSError:
        return
