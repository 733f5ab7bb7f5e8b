"""A shell on another machine that answers questions about files there, over plain ssh.

One ssh per machine runs a loop in the shell there: no server, no port, nothing installed. What
the loop is asked comes by its standard input, a path on a line of its own, so that no shell ever
takes a path apart. Standard error of ssh is kept, to say why it gave up.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from types import TracebackType

from runs.errors import LabError, UsageError

SSH_VARIABLE = "LABCLI_SSH"
ANSWER_S = 30.0
_OPTIONS = (
    "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3",
)  # fmt: skip
# Given to whatever shell logs in, within single quotes: so it holds none, and one line.
# H: the line that follows. R: the lab home. L: what lies in a directory. S: sizes of the logs of
# a run. G: bytes of a file.
_LOOP = (
    "while IFS= read -r q; do case $q in "
    'H) IFS= read -r t; printf "%s\\n" "$t";; '
    'R) printf "%s\\n" "${LABCLI_HOME:-$HOME/.labcli}";; '
    'L) IFS= read -r d; ls -1 "$d" 2>/dev/null; echo .;; '
    'S) IFS= read -r d; (cd "$d" && wc -c events/*.jsonl control.jsonl host.jsonl) '
    "2>/dev/null; echo .;; "
    'G) read -r o n; IFS= read -r f; tail -c "+$o" "$f" 2>/dev/null | head -c "$n";; '
    "esac; done"
)
_SIZE_LINE = re.compile(r"\s*(\d+)\s+(\S.*)")
_REFUSALS = {
    "Host key verification failed": (
        "ssh does not know its host key, or the key has changed; connect once by hand: ssh {host}"
    ),
    "Permission denied": "ssh has no key that it accepts; set one up: ssh-copy-id {host}",
}
_UNKNOWN = "Could not resolve hostname"


class Unreachable(LabError):
    """A machine does not answer now; it may later."""


class Refused(LabError):
    """A machine will not let us in before a person has set something right."""


def ssh_command(env: Mapping[str, str]) -> list[str]:
    """Return the ssh to use: what LABCLI_SSH says, else the one on the PATH."""
    try:
        return shlex.split(env.get(SSH_VARIABLE, "")) or ["ssh"]
    except ValueError as error:
        raise UsageError(f"${SSH_VARIABLE} cannot be read: {error}") from None


def check_host(host: str) -> None:
    """Raise UsageError for what ssh would not take as the name of a machine."""
    if not host or host.startswith("-") or any(char.isspace() for char in host):
        raise UsageError(f"{host!r} does not name a machine; write HOST:RUN, such as box1:last")


class RemoteShell:
    """The loop on one machine. Every question raises Unreachable when no answer comes."""

    def __init__(self, host: str, env: Mapping[str, str], *, answer_s: float = ANSWER_S) -> None:
        check_host(host)
        self._host = host
        self._answer_s = answer_s
        self._left = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        command = [*ssh_command(env), *_OPTIONS, "--", host, f"exec sh -c {shlex.quote(_LOOP)}"]
        try:
            # In a session of its own: Ctrl-C here is not for ssh, and it finds no terminal to ask.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise Refused(f"cannot run {command[0]}: {error.strerror}; install ssh") from None
        self._greet()

    def __enter__(self) -> RemoteShell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def home(self) -> str:
        """Return the lab home there."""
        self._ask("R")
        return self._line()

    def names(self, directory: str) -> list[str]:
        """Return the names in a directory; none when it is not there."""
        self._ask("L", directory)
        return list(self._lines())

    def sizes(self, run_dir: str) -> dict[str, int]:
        """Return the sizes of the logs of a run, by their path in it."""
        self._ask("S", run_dir)
        found = (_SIZE_LINE.fullmatch(line) for line in self._lines())
        sizes = {match[2]: int(match[1]) for match in found if match is not None}
        sizes.pop("total", None)
        return sizes

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        """Return bytes that a file is known to have."""
        self._ask("G", f"{offset + 1} {num_bytes}", path)
        return self._take(num_bytes)

    def close(self) -> None:
        """End the loop, and ssh with it."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                continue
        self._process.terminate()
        self._process.wait()
        self._stderr.close()

    def _greet(self) -> None:
        # What the shells there print at a login comes first.
        token = secrets.token_hex(8)
        try:
            self._ask("H", token)
            while not self._line().endswith(token):
                continue
        except LabError:
            self.close()
            raise

    def _ask(self, *lines: str) -> None:
        if any("\n" in line for line in lines):
            raise UsageError(f"a path on {self._host} holds a line break; rename it")
        assert self._process.stdin is not None
        try:
            question = "".join(f"{line}\n" for line in lines)
            self._process.stdin.write(question.encode("utf-8", errors="surrogateescape"))
            self._process.stdin.flush()
        except OSError:
            raise self._lost() from None

    def _lines(self) -> list[str]:
        lines = []
        while (line := self._line()) != ".":
            lines.append(line)
        return lines

    def _line(self) -> str:
        while b"\n" not in self._left:
            self._left += self._receive()
        line, _, self._left = self._left.partition(b"\n")
        return line.decode("utf-8", errors="surrogateescape")

    def _take(self, num_bytes: int) -> bytes:
        parts, have = [self._left], len(self._left)
        while have < num_bytes:
            parts.append(self._receive())
            have += len(parts[-1])
        content = b"".join(parts)
        self._left = content[num_bytes:]
        return content[:num_bytes]

    def _receive(self) -> bytes:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        if not select.select([fd], [], [], self._answer_s)[0]:
            raise Unreachable(f"{self._host} has not answered for {self._answer_s:.0f} s")
        chunk = os.read(fd, 1 << 16)
        if not chunk:
            raise self._lost()
        return chunk

    def _lost(self) -> LabError:
        """Return why ssh has ended."""
        deadline = time.monotonic() + 1.0
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stderr.seek(0)
        said = self._stderr.read().decode("utf-8", errors="replace").strip()
        for sign, advice in _REFUSALS.items():
            if sign in said:
                return Refused(f"{self._host}: {advice.format(host=self._host)}")
        last = said.splitlines()[-1].strip().rstrip(".") if said else "the connection has ended"
        if _UNKNOWN in said:
            return Unreachable(f"{self._host}: no machine of this name; see ~/.ssh/config")
        return Unreachable(f"{self._host}: {last}")
