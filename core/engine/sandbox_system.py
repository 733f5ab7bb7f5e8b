"""The system calls of a sandboxed program's guard. Standard library alone.

The constants are those of Linux's headers.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP = 1, 4, 8, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 36, 38, 47, 2
CAP_DAC_READ_SEARCH, CAP_SETUID, CAP_VERSION_3 = 2, 7, 0x20080522


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library that answers -1 on failure."""
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, name)
    if function(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def prctl(option: int, *arguments: int) -> None:
    """Call prctl with its unused arguments zero, as some options demand."""
    call("prctl", option, *arguments, *[0] * (4 - len(arguments)))


def kill(pid: int) -> None:
    """Kill a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
