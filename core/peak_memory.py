"""The most memory that this process has had. Torch-free."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def process_peak_bytes() -> int:
    """Return the highest resident size that this process has had."""
    # Linux hands ru_maxrss on through fork and exec, so a child of a large process starts with
    # its parent's peak; the high-water mark of the address space starts afresh.
    if sys.platform.startswith("linux"):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
