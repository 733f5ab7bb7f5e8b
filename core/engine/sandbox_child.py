"""The guard of one sandboxed program: `sandbox.py` starts this file as a script, once per run.

Three processes in a chain. The guard (this process) makes the namespaces, waits, and at the end
kills whatever is left. The init is the first process of the new pid namespace: when it ends, the
kernel kills everything inside. The program is a fresh interpreter under limits.

    run_code --Popen--> guard --fork--> init --fork--> (limits, exec) program

The guard ends the program when the write end of the lifeline pipe closes: the caller wants it so,
or is dead. It reports JSON objects, one per line; `sandbox.py` merges them.

It runs under `python -I -S`, so it imports the standard library only, and little of it (hence
NamedTuples): a run should cost little more than the start of an interpreter or two. The constants
are those of Linux's headers.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple, NoReturn

PROGRAM = "program.py"
NOBODY = 65534
# Above the ranges that systems give to people and containers.
FIRST_UID = 0x70000000
SWEEP_S = 3.0

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
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

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP = 1, 4, 8, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 36, 38, 47, 2
CAP_DAC_READ_SEARCH, CAP_SETUID, CAP_VERSION_3 = 2, 7, 0x20080522


class Job(NamedTuple):
    """What the caller asks for: sizes in bytes, times in seconds."""

    report_fd: int
    lifeline_fd: int
    cpu_s: int
    memory_bytes: int
    file_bytes: int
    num_processes: int
    num_files: int
    use_namespaces: bool


class Ground(NamedTuple):
    """What the program will stand on.

    `entered` is the sum of the CLONE flags in force. `uid` is the user it changes to, None to stay.
    """

    entered: int
    uid: int | None


def main() -> None:
    """Run `program.py` of the working directory as the JSON in the first argument says."""
    job = Job(**json.loads(sys.argv[1]))
    os.set_inheritable(job.report_fd, False)
    os.set_inheritable(job.lifeline_fd, False)
    try:
        ground = prepare(job)
        status_fd, init = start_init(job, ground)
    except OSError as problem:
        report(job, failed=f"could not set the sandbox up: {problem}")
        return
    # The program's pid as the init sees it; the same number here unless it has its own namespace.
    program = int(read_line(status_fd) or 0)
    select.select([status_fd, job.lifeline_fd], [], [])
    is_over = bool(select.select([status_fd], [], [], 0)[0])
    ended = json.loads((is_over and read_line(status_fd)) or "{}")
    if program and not is_over and not ground.entered & CLONE_NEWPID:
        kill(program)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
    kill(init)
    os.waitpid(init, 0)
    report(job, is_over=is_over, is_clean=sweep(), **ended)


def report(job: Job, **words: object) -> None:
    """Send a line to the caller; the pipe is gone only when the caller is."""
    with contextlib.suppress(BrokenPipeError):
        os.write(job.report_fd, json.dumps(words).encode() + b"\n")


def read_line(fd: int) -> str:
    """Read up to the next newline, or the end."""
    line = b""
    while (byte := os.read(fd, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def kill(pid: int) -> None:
    """Kill a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


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


# The guard.


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


def is_open_to_all() -> bool:
    """Tell whether any user can read the interpreter, its library and the working directory."""
    python = Path(sys.executable)
    roots = [python, python.resolve(), Path(sys.base_prefix), Path.cwd()]
    return all(path.stat().st_mode & 1 for root in roots for path in (root, *root.parents))


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


def sweep() -> bool:
    """Kill every descendant; returns whether none is left.

    This process is their subreaper: an orphan becomes its child whatever session it is in, so the
    loop ends when there is no child to wait for. Elsewhere its group was all there is to kill.
    """
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        for pid in descendants():
            kill(pid)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return sys.platform == "linux"
        time.sleep(0.001)
    return False


def descendants() -> set[int]:
    """Return the pids of this process's children, their children and so on, from /proc."""
    if sys.platform != "linux":
        return set()
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, can hold anything; the parent is the second field after it.
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


# The init and the program.


def start_init(job: Job, ground: Ground) -> tuple[int, int]:
    """Fork the init; returns the pipe that brings the program's pid and its end, and the pid."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_fd)
        return read_fd, pid
    try:
        be_init(job, ground, write_fd)
    except Exception as problem:
        report(job, failed=f"could not start the program: {problem!r}")
    finally:
        os._exit(1)


def be_init(job: Job, ground: Ground, status_fd: int) -> NoReturn:
    """Start the program, wait for it, say how it ended, and end: what is left goes down with it."""
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_DUMPABLE, 0)
    if ground.entered & CLONE_NEWPID:
        hide_processes(job)
    num_taken = count_tasks(ground)
    report(job, is_ready=True)
    program = os.fork()
    if program == 0:
        try:
            be_program(job, ground, num_taken)
        except Exception as problem:
            report(job, failed=f"could not start the program: {problem!r}")
        finally:
            os._exit(1)
    os.write(status_fd, f"{program}\n".encode())
    pid = 0
    while pid != program:
        pid, status, usage = os.wait4(-1, 0)
    ended = {
        "status": os.waitstatus_to_exitcode(status),
        "used_cpu_s": usage.ru_utime + usage.ru_stime,
    }
    if not ground.entered & CLONE_NEWPID:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
    os.write(status_fd, json.dumps(ended).encode() + b"\n")
    os._exit(0)


def hide_processes(job: Job) -> None:
    """Show the processes of the new namespace in /proc, or nothing where that is not allowed."""
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    for kind in (b"proc", b"tmpfs"):
        with contextlib.suppress(OSError):
            call("mount", kind, b"/proc", kind, flags, None)
            return
    report(job, missing=["/proc shows the processes outside"])


def count_tasks(ground: Ground) -> int:
    """Return how many tasks of the program's user count against its limit before it starts.

    From Linux 5.14 RLIMIT_NPROC counts per user namespace; before, and without one, per user.
    """
    is_same = ground.uid is None
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if ground.entered & CLONE_NEWUSER and release >= (5, 14):
        return 2 if is_same else 0
    if sys.platform != "linux":
        return 0
    uid, count = ground.uid or os.geteuid(), 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == uid:
                count += len(list((entry / "task").iterdir()))
    return count


def be_program(job: Job, ground: Ground, num_taken: int) -> NoReturn:
    """Give up every right, take on the limits and become the interpreter of the program."""
    os.setsid()
    limit(job, "RLIMIT_CPU", job.cpu_s, job.cpu_s + 1)
    limit(job, "RLIMIT_FSIZE", job.file_bytes)
    limit(job, "RLIMIT_NOFILE", job.num_files)
    limit(job, "RLIMIT_CORE", 0)
    if sys.platform == "linux":
        give_up_rights(ground)
        # After the change of user, which clears it.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    limit(job, "RLIMIT_NPROC", num_taken + job.num_processes)
    limit(job, "RLIMIT_AS", job.memory_bytes)
    options = ["-I", "-S", "-B", "-X", "utf8"]
    os.execv(sys.executable, [sys.executable, *options, PROGRAM])


def limit(job: Job, name: str, soft: int, hard: int | None = None) -> None:
    """Set a limit, never above the one that already holds."""
    number = getattr(resource, name)
    ceiling = resource.getrlimit(number)[1]
    wanted = (soft, soft if hard is None else hard)
    if ceiling != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], ceiling), min(wanted[1], ceiling))
    try:
        resource.setrlimit(number, wanted)
    except (OSError, ValueError) as problem:
        report(job, missing=[f"{name} cannot be set ({problem})"])


def give_up_rights(ground: Ground) -> None:
    """Become another user where that was decided, without capabilities and for good.

    Where the interpreter lies in a directory closed to others the right to read files is kept; in
    a user namespace that reaches root's files only.
    """
    kept = CAP_DAC_READ_SEARCH if ground.uid is not None and not is_open_to_all() else None
    prctl(PR_SET_KEEPCAPS, 1)
    for capability in range(64):
        if capability != kept:
            # EINVAL: this kernel has fewer. EPERM: not ours to drop, then not ours to have either.
            with contextlib.suppress(OSError):
                prctl(PR_CAPBSET_DROP, capability)
    if ground.uid is not None:
        os.setgroups([])
        os.setresgid(ground.uid, ground.uid, ground.uid)
        os.setresuid(ground.uid, ground.uid, ground.uid)
    bits = 0 if kept is None else 1 << kept
    header = (ctypes.c_uint32 * 2)(CAP_VERSION_3, 0)
    # Effective, permitted, inheritable of capabilities 0 to 31, then of the rest.
    sets = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    call("capset", ctypes.byref(header), ctypes.byref(sets))
    if kept is not None:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept)
    prctl(PR_SET_NO_NEW_PRIVS, 1)


if __name__ == "__main__":
    main()
