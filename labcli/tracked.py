"""The worker of a tracked run: starts a script that knows nothing of labcli, and tells its life.

`python -m labcli.tracked RUN_DIR STAGE ATTEMPT`, started by the supervisor. The script writes its
own output and, through the stand-in for wandb, its own metrics; they need nobody in between. This
process writes how it began, that it lives, and how it ended, and ends in the same way.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcli.working.journal import Journal
from runs.errors import LabError
from runs.events import End, EndReason, Error, Note, Start
from runs.files import read_json
from runs.importers.nanochat import LogReader
from runs.labels import add_note, add_tag, check_name, rename
from runs.paths import RunPaths
from runs.record import load_record
from runs.track.contract import said_path, script_env
from runs.views.query import load_run

POLL_S = 0.1
CANNOT_START = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is tracked: a command line, where it runs, and how its output is read."""

    argv: tuple[str, ...]
    cwd: Path
    parse: str | None
    has_shim: bool


def script_from(config: Mapping[str, Any]) -> Script:
    """Return the script that a stage's config in run.json describes."""
    return Script(
        argv=tuple(config["argv"]),
        cwd=Path(config["cwd"]),
        parse=config.get("parse"),
        has_shim=bool(config.get("wandb", True)),
    )


class Tracker:
    """One attempt of a tracked script."""

    def __init__(self, run_dir: Path, stage: str, attempt: int) -> None:
        self._paths = RunPaths(run_dir)
        self._stage = stage
        self._attempt = attempt
        self._child: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
        self._said: tuple[int, int] | None = None
        self._has_labelled = False

    def stop(self) -> None:
        """Tell the script to end, in the way that schedulers do."""
        self._is_stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)

    def run(self) -> int:
        """Run the script and return its exit code; minus the number of a signal that ended it."""
        with Journal(self._paths.events(self._stage, self._attempt), rank=0) as journal:
            script, config_hash = self._load()
            journal.write(self._start(script, config_hash))
            code = self._execute(journal, script)
            reason: EndReason = "finished"
            if self._is_stopping:
                reason = "stopped"
            elif code > 0:
                reason = "failed"
                journal.write(_failure(script, code))
            # A script that was killed from outside has not ended by itself: its exit tells.
            if code >= 0 or self._is_stopping:
                journal.write(End(reason=reason))
        return 0 if self._is_stopping else code

    def _load(self) -> tuple[Script, str]:
        entry = load_record(self._paths.run_dir).stage(self._stage)
        return script_from(entry.config), entry.config_hash

    def _start(self, script: Script, config_hash: str) -> Start:
        return Start(
            stage=self._stage,
            attempt=self._attempt,
            config_hash=config_hash,
            host=socket.gethostname(),
            device="",
            torch=None,
            world_size=1,
            argv=script.argv,
        )

    def _execute(self, journal: Journal, script: Script) -> int:
        env = script_env(self._paths, self._attempt, os.environ, has_shim=script.has_shim)
        try:
            self._child = subprocess.Popen(script.argv, cwd=script.cwd, env=env)
        except OSError as error:
            sys.stderr.write(f"labcli: cannot start {script.argv[0]}: {error.strerror}\n")
            return CANNOT_START
        log = self._paths.worker_log(self._stage, self._attempt)
        reader = LogReader(log) if script.parse == "nanochat" else None
        while True:
            code = self._wait()
            for event in reader.read() if reader else ():
                journal.write(event)
            self._take_over_words(journal)
            if code is not None:
                return code

    def _wait(self) -> int | None:
        assert self._child is not None
        try:
            return self._child.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            return None

    def _take_over_words(self, journal: Journal) -> None:
        """Give the run the name, tags and notes that the script told `wandb.init`."""
        path = said_path(self._paths)
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_size)
            if mark == self._said:
                return
            self._said = mark
            said = read_json(path)
            if not self._has_labelled:
                self._has_labelled = True
                self._label(said)
            config = said.get("config")
            if config:
                journal.write(Note(message="wandb config", data=config))
        except (OSError, LabError):
            # Words beside the numbers: not worth a training.
            return

    def _label(self, said: Mapping[str, Any]) -> None:
        view = load_run(self._paths.run_dir)
        name, tags, notes = said.get("name"), said.get("tags"), said.get("notes")
        if isinstance(name, str) and view.name == view.slug:
            kept = "".join("-" if char in ":@/\\\n\t" else char for char in name).strip()
            check_name(kept)
            rename(self._paths.run_dir, kept)
        for tag in tags if isinstance(tags, list) else ():
            add_tag(self._paths.run_dir, "-".join(str(tag).split()))
        if isinstance(notes, str) and notes.strip():
            add_note(self._paths.run_dir, notes)


def _failure(script: Script, code: int) -> Error:
    if code == CANNOT_START:
        message = f"{script.argv[0]} cannot be started; check the command and the PATH"
    else:
        message = f"{' '.join(script.argv)[:200]} ended with exit code {code}"
    return Error(type="ExitCode", message=message, traceback="")


def _end_like(code: int) -> int:
    """Return the exit code of this process; where a signal ended the script, end by the same."""
    if code >= 0:
        return code
    # The core, if any, is that of the script.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    number = signal.Signals(-code)
    if number is not signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    time.sleep(1.0)
    return 128 - code


def main(argv: list[str]) -> int:
    """Track the script that RUN_DIR STAGE ATTEMPT name and return its exit code."""
    run_dir, stage, attempt = argv
    tracker = Tracker(Path(run_dir), stage, int(attempt))

    def stop(number: int, frame: object) -> None:
        tracker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return _end_like(tracker.run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
