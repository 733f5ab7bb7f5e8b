"""Other machines without any: a fake ssh that runs the command here, as a login shell would."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_FAKE_SSH = """#!{python}
import os, sys
words = sys.argv[1:]
host, command = words[words.index("--") + 1:]
boxes = {boxes!r}
assert "BatchMode=yes" in words
refusal = os.path.join(boxes, host + ".refuses")
if os.path.exists(refusal):
    sys.stderr.write(open(refusal).read())
    sys.exit(255)
with open(os.path.join(boxes, host + ".pids"), "a") as pids:
    pids.write(str(os.getpid()) + "\\n")
print("Welcome to", host, flush=True)
env = {{"PATH": os.environ["PATH"], "HOME": "/nowhere", "LABCLI_HOME": os.path.join(boxes, host)}}
os.execve("/bin/sh", ["sh", "-c", command], env)
"""


@dataclass(frozen=True, slots=True)
class Boxes:
    """The lab homes of the machines lie under `root`, by the name of the machine."""

    root: Path

    def home(self, host: str) -> Path:
        return self.root / host

    def pids(self, host: str) -> list[int]:
        """The processes that were started for a machine, oldest first."""
        path = self.root / f"{host}.pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def refuse(self, host: str, words: str) -> None:
        """Let ssh say no from now on."""
        (self.root / f"{host}.refuses").write_text(f"{words}\n")

    def accept(self, host: str) -> None:
        (self.root / f"{host}.refuses").unlink()


def make_boxes(root: Path) -> tuple[Boxes, str]:
    """Return the machines and the PATH on which their ssh is found first."""
    boxes = root / "boxes with 'odd; names"
    boxes.mkdir()
    ssh = root / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(_FAKE_SSH.format(python=sys.executable, boxes=str(boxes)))
    ssh.chmod(0o755)
    return Boxes(boxes), f"{ssh.parent}{os.pathsep}{os.environ['PATH']}"
