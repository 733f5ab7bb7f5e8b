"""What a sandboxed program stands on: namespaces, another user, closed files.

Standard library alone, like all of the guard.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from core.engine.sandbox_job import PROGRAM, Ground, Job, is_open_to_all, report
from core.engine.sandbox_system import (
    AT_FDCWD,
    AT_RECURSIVE,
    CAP_DAC_READ_SEARCH,
    CAP_SETUID,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    PR_SET_CHILD_SUBREAPER,
    SYS_MOUNT_SETATTR,
    call,
    prctl,
)

NOBODY = 65534
# Above the ranges that systems give to people and containers.
FIRST_UID = 0x70000000

NAMES = {
    CLONE_NEWUSER: "user-namespace",
    CLONE_NEWNET: "network-namespace",
    CLONE_NEWPID: "pid-namespace",
    CLONE_NEWNS: "mount-namespace",
    CLONE_NEWIPC: "ipc-namespace",
}
LOST = {
    CLONE_NEWNET: "no network namespace: the program can open sockets",
    CLONE_NEWPID: "no pid namespace: the program may signal other processes of its user",
    CLONE_NEWNS: "no mount namespace: files that its user may write can be changed or deleted, and "
    "its disk space is limited per file only",
}
ALL = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC
# From the best to the least: unshare makes all it is asked for, or nothing.
LADDER = (CLONE_NEWUSER | ALL, ALL, CLONE_NEWUSER | CLONE_NEWNET, CLONE_NEWNET)


def prepare(job: Job) -> Ground:
    """Enter the namespaces that this system allows, and report what is in force and what is not."""
    isolation, missing = ["process-group", "rlimits"], []
    if sys.platform != "linux":
        lost = f"{sys.platform} has no namespaces: network, files and processes are the user's own"
        gone = "a process that leaves its session survives"
        report(job, isolation=isolation, missing=[lost, gone])
        return Ground(entered=0, uid=None)
    # No PDEATHSIG here: the guard outlives the caller for as long as it takes to end the rest.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    entered, reason = enter(LADDER if job.use_namespaces else ())
    isolation += ["subreaper", "no-new-privileges"]
    isolation += [name for flag, name in NAMES.items() if entered & flag]
    missing += [f"{text} ({reason})" for flag, text in LOST.items() if not entered & flag]
    ground = Ground(entered=entered, uid=other_uid(entered))
    if ground.uid is not None:
        isolation.append("other-user")
    elif os.geteuid() == 0:
        missing.append("runs as root: the number of its processes has no limit")
    if entered & CLONE_NEWNS:
        try:
            close_files(job, ground)
            isolation.append("read-only-files")
        except OSError as problem:
            missing.append(f"files outside stay writable for its user ({problem})")
    elif ground.uid is not None:
        for path in (Path.cwd(), Path(PROGRAM).absolute()):
            os.chown(path, ground.uid, ground.uid)
    report(job, isolation=isolation, missing=missing)
    return ground


def enter(ladder: tuple[int, ...]) -> tuple[int, str]:
    """Enter the first set of namespaces that works; returns its flags and why not a better one."""
    reason = "not asked for"
    for rung, flags in enumerate(ladder):
        helper, go_fd = start_mapper() if flags & CLONE_NEWUSER else (0, -1)
        user, group = os.geteuid(), os.getegid()
        is_mapped = False
        try:
            call("unshare", flags)
            if helper:
                os.write(go_fd, b"1")
        except OSError as problem:
            reason = reason if rung else str(problem)
            continue
        finally:
            if helper:
                os.close(go_fd)
                is_mapped = os.waitpid(helper, 0)[1] == 0
        if flags & CLONE_NEWUSER and not is_mapped:
            # The kernel lets a process map itself, and only itself, once it gives up setgroups.
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        return flags, reason
    return 0, reason


def start_mapper() -> tuple[int, int]:
    """Start the process that maps root and nobody into this process's next user namespace.

    Only root outside may map a second user, and root itself is exempt from RLIMIT_NPROC.
    Returns (0, -1) for other users, else its pid and the pipe on which it waits for a byte.
    """
    if os.geteuid() != 0:
        return 0, -1
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read_fd)
        return pid, write_fd
    try:
        os.close(write_fd)
        if not os.read(read_fd, 1):
            os._exit(1)
        maps = f"0 0 1\n{NOBODY} {NOBODY} 1\n"
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{os.getppid()}/{name}").write_text(maps)
        os._exit(0)
    except OSError:
        os._exit(1)


def other_uid(entered: int) -> int | None:
    """Return the user that root can become for the program, None where it must or need not.

    A user of its own per run where that user is the system's, not the namespace's: its processes
    count against its limit, and it could signal the processes of another run.
    """
    if os.geteuid() != 0:
        return None
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    wanted = NOBODY if entered & CLONE_NEWUSER else FIRST_UID + os.getpid()
    known = [
        uid
        for uid in (wanted, NOBODY)
        if any(int(first) <= uid < int(first) + int(size) for first, _, size in ranges)
    ]
    needed = {CAP_SETUID} if is_open_to_all() else {CAP_SETUID, CAP_DAC_READ_SEARCH}
    status = Path("/proc/self/status").read_text()
    held = int(status.split("CapEff:")[1].split()[0], 16)
    return known[0] if known and all(held >> cap & 1 for cap in needed) else None


def close_files(job: Job, ground: Ground) -> None:
    """Make every mount read-only but the working directory, which becomes memory of its own."""
    here, code = os.fsencode(Path.cwd()), Path(PROGRAM).read_bytes()
    owner = os.geteuid() if ground.uid is None else ground.uid
    size = job.file_bytes + len(code) + 65536
    options = f"size={size},nr_inodes=4096,mode=700,uid={owner}".encode()
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    call("mount", b"tmpfs", here, b"tmpfs", MS_NOSUID | MS_NODEV, options)
    os.chdir(here)
    Path(PROGRAM).write_bytes(code)
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd (Linux 5.12).
    close, reopen = (ctypes.c_uint64 * 4)(1), (ctypes.c_uint64 * 4)(0, 1)
    size_of = ctypes.sizeof(close)
    set_attributes = ("syscall", SYS_MOUNT_SETATTR, AT_FDCWD)
    call(*set_attributes, b"/", AT_RECURSIVE, ctypes.byref(close), size_of)
    call(*set_attributes, here, 0, ctypes.byref(reopen), size_of)
