"""The sandbox against programs that mean no good: each is bounded, ends, and leaves nothing behind.

Every hostile program runs twice: with the namespaces of this system, and without any.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.engine.sandbox import Limits, Outcome, SandboxFailed, find_processes, run_code
from runs.errors import UsageError

QUICK = Limits(cpu_s=1, wall_s=1.0, memory_bytes=256 << 20, file_bytes=1 << 20)
# For programs that end by themselves: a busy machine must not end them first.
PATIENT = Limits(cpu_s=20, wall_s=30.0, memory_bytes=256 << 20, file_bytes=1 << 20)
IS_LINUX = sys.platform == "linux"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the sandbox a directory of temporary directories, and find it empty afterwards."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    left = list(place.iterdir())
    # pytest's own clean-up fails on what some of these programs make.
    subprocess.run(["rm", "-rf", *map(str, left)], check=True)
    assert (left, find_processes(f"{os.getpid()}-")) == ([], [])


@pytest.fixture(params=[True, False], ids=["namespaces", "plain"])
def namespaces(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def skip_without(outcome: Outcome, name: str) -> None:
    """Skip where this system does not allow a namespace."""
    if name not in outcome.isolation:
        pytest.skip(f"no {name} here: {outcome.missing}")


def test_a_good_program_succeeds_with_its_output(namespaces: bool) -> None:
    done = run_code(
        "import sys; print(input()); print('low', file=sys.stderr)",
        stdin="given\n",
        limits=PATIENT,
        use_namespaces=namespaces,
    )
    assert (done.is_success, done.stdout, done.stderr) == (True, "given\n", "low\n")
    assert (done.exit_code, done.signal, done.error) == (0, None, None)


def test_an_exception_is_named_by_its_last_line_without_the_directory(directory: Path) -> None:
    code = "try:\n    1/0\nexcept ZeroDivisionError:\n    raise ValueError('two\\nlines')"
    done = run_code(code, limits=PATIENT)
    assert (done.is_success, done.exit_code, done.error) == (False, 1, "ValueError: two")
    assert 'File "program.py", line 4' in done.stderr
    assert str(directory) not in done.stderr


def test_infinite_loop_is_ended_by_its_cpu_time(namespaces: bool) -> None:
    limits = Limits(cpu_s=1, wall_s=60.0)
    done = run_code("while True: pass", limits=limits, use_namespaces=namespaces)
    assert (done.is_success, done.is_timeout) == (False, True)
    assert done.signal is not None


def test_infinite_loop_that_ignores_the_cpu_signal_is_still_a_timeout(namespaces: bool) -> None:
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    done = run_code(code, limits=Limits(cpu_s=1, wall_s=60.0), use_namespaces=namespaces)
    assert done.is_timeout


def test_sleeping_forever_is_ended_by_the_clock(namespaces: bool) -> None:
    done = run_code("import time; time.sleep(1e6)", limits=QUICK, use_namespaces=namespaces)
    assert (done.is_success, done.is_timeout) == (False, True)
    assert (done.exit_code, done.signal) == (None, None)


def test_ignoring_sigterm_changes_nothing(namespaces: bool) -> None:
    code = (
        "import signal, time\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
    )
    code += "    except (OSError, ValueError): pass\ntime.sleep(1e6)"
    assert run_code(code, limits=QUICK, use_namespaces=namespaces).is_timeout


def test_processes_are_limited_in_number(namespaces: bool) -> None:
    code = """
import os, time
num_made = 0
try:
    while num_made < 64:
        if os.fork() == 0: time.sleep(60)
        num_made += 1
except BlockingIOError: pass
print(num_made, flush=True)
"""
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    if any("runs as root" in line for line in done.missing):
        pytest.skip(f"no user-namespace here: {done.missing}")
    assert (done.is_success, int(done.stdout)) == (True, PATIENT.num_processes - 1)


def test_a_fork_bomb_is_ended_and_leaves_no_process(namespaces: bool) -> None:
    trial = run_code("", limits=PATIENT, use_namespaces=namespaces)
    if any("runs as root" in line for line in trial.missing):
        pytest.skip(f"no user-namespace here: {trial.missing}")
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    done = run_code(code, limits=QUICK, use_namespaces=namespaces)
    assert (done.is_success, done.is_timeout) == (False, True)


@pytest.mark.skipif(not IS_LINUX, reason="memory is not limited on macOS")
def test_a_memory_bomb_is_out_of_memory(namespaces: bool) -> None:
    code = "held = []\nwhile True: held.append(bytearray(1 << 24))"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    assert (done.is_success, done.is_out_of_memory, done.error) == (False, True, "MemoryError")


def test_printing_forever_is_cut_and_ended(namespaces: bool) -> None:
    done = run_code("while True: print('x' * 999)", limits=PATIENT, use_namespaces=namespaces)
    assert (done.is_success, done.is_output_cut, done.is_timeout) == (False, True, False)
    assert len(done.stdout) == PATIENT.output_bytes


def test_printing_forever_does_not_grow_the_caller() -> None:
    own = psutil.Process()
    run_code("import os\nwhile True: os.write(2, b'x' * 65536)", limits=PATIENT)
    before = own.memory_info().rss
    for _ in range(3):
        run_code("import os\nwhile True: os.write(1, b'x' * 65536)", limits=PATIENT)
    assert own.memory_info().rss - before < 16 << 20


def test_one_huge_line_is_cut_like_any_other(namespaces: bool) -> None:
    code = "import sys\nsys.set_int_max_str_digits(0)\nprint(10 ** 200_000)"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    assert (done.is_output_cut, done.stdout[:3]) == (True, "100")


def test_a_huge_integer_is_refused_by_the_interpreter(namespaces: bool) -> None:
    done = run_code("print(10 ** 200_000)", limits=PATIENT, use_namespaces=namespaces)
    assert done.error is not None and done.error.startswith("ValueError: Exceeds the limit")


def test_a_huge_file_stops_at_the_limit(namespaces: bool) -> None:
    code = "with open('big', 'wb') as file:\n    while True: file.write(bytes(1 << 16))"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    assert done.error is not None and done.error.startswith("OSError")


def test_many_files_stop_at_the_same_limit() -> None:
    code = "for n in range(100):\n    open(f'f{n}', 'wb').write(bytes(1 << 19))"
    done = run_code(code, limits=PATIENT)
    skip_without(done, "mount-namespace")
    assert done.error == "OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    "given", ["", "some\nlines\n", "x" * 1_000_000], ids=["nothing", "lines", "a-megabyte"]
)
def test_reading_all_input_meets_its_end(given: str, namespaces: bool) -> None:
    code = "import sys; print(len(sys.stdin.read())); print(repr(sys.stdin.read()))"
    done = run_code(code, stdin=given, limits=PATIENT, use_namespaces=namespaces)
    assert done.stdout == f"{len(given)}\n''\n"


def test_input_that_nobody_reads_blocks_nothing() -> None:
    assert run_code("pass", stdin="x" * 10_000_000, limits=PATIENT).is_success


DAEMON = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for fd in (0, 1, 2): os.close(fd)
        time.sleep(600)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(not IS_LINUX, reason="what leaves its session survives on macOS")
@pytest.mark.parametrize("end", ["", "time.sleep(600)"], ids=["ends", "timeout"])
def test_a_daemon_in_its_own_session_does_not_survive(end: str, namespaces: bool) -> None:
    # The fixture looks for it by its environment.
    done = run_code(DAEMON + end, limits=QUICK, use_namespaces=namespaces)
    assert done.is_timeout == bool(end)


def test_a_daemon_that_keeps_the_output_open_does_not_hold_the_caller(namespaces: bool) -> None:
    code = "import os, time\nprint('said', flush=True)\nif os.fork() == 0: time.sleep(600)"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    assert (done.is_success, done.stdout) == (True, "said\n")


KILLER = """
import os
for pid in {pids}:
    try: os.kill(pid, 9)
    except OSError as problem: print(type(problem).__name__)
print('alive', flush=True)
"""


def test_killing_its_parent_does_not_cost_the_caller_its_answer() -> None:
    # Never -1 here: without a pid namespace that is every process of whoever runs the tests.
    code = KILLER.format(pids="(os.getppid(),)") + DAEMON
    done = run_code(code, limits=PATIENT, use_namespaces=False)
    assert done.stdout.endswith("alive\n") or not done.is_success


def test_killing_everything_reaches_nothing_outside() -> None:
    skip_without(run_code("", limits=PATIENT), "pid-namespace")
    code = KILLER.format(pids="(os.getppid(), -1)")
    done = run_code(code, limits=PATIENT)
    assert (done.is_success, done.stdout.splitlines()[-1]) == (True, "alive")


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def connecting(address: tuple[str, int]) -> str:
    return f"import socket; socket.create_connection({address!r}, timeout=5); print('through')"


def test_a_local_server_cannot_be_reached(address: tuple[str, int]) -> None:
    done = run_code(connecting(address), limits=PATIENT)
    skip_without(done, "network-namespace")
    assert done.error == "OSError: [Errno 101] Network is unreachable"


def test_an_open_network_is_admitted(address: tuple[str, int]) -> None:
    done = run_code(connecting(address), limits=PATIENT, use_namespaces=False)
    assert done.stdout == "through\n"
    assert any("the program can open sockets" in line or "network" in line for line in done.missing)


def test_files_outside_cannot_be_deleted_or_changed(tmp_path: Path) -> None:
    # Writable by everyone: what protects it is the read-only mount, not who the program runs as.
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    tmp_path.chmod(0o777)
    treasure.chmod(0o666)
    code = f"""
import os
for act in (os.unlink, lambda path: open(path, 'w'), lambda path: os.rename(path, 'mine')):
    try: act({str(treasure)!r})
    except OSError as problem: print(problem.strerror)
"""
    done = run_code(code, limits=PATIENT)
    skip_without(done, "read-only-files")
    assert set(done.stdout.splitlines()) <= {"Read-only file system", "Invalid cross-device link"}
    assert treasure.read_text() == "gold"


def test_writable_files_outside_are_admitted() -> None:
    done = run_code("", limits=PATIENT, use_namespaces=False)
    assert any("can be changed or deleted" in line or "user's own" in line for line in done.missing)


def test_a_directory_made_unreadable_and_deep_is_still_deleted(namespaces: bool) -> None:
    code = "import os\nos.mkdir('shut', 0)\nfor _ in range(1500):\n    os.mkdir('d'); os.chdir('d')"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    assert done.is_success, done.stderr


def test_deep_recursion_is_an_error_with_its_name(namespaces: bool) -> None:
    done = run_code("def f(): f()\nf()", limits=PATIENT, use_namespaces=namespaces)
    assert done.error is not None and done.error.startswith("RecursionError")


def test_recursion_without_the_interpreters_limit_fails_alone(namespaces: bool) -> None:
    code = "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"
    limits = replace(PATIENT, cpu_s=2)
    assert not run_code(code, limits=limits, use_namespaces=namespaces).is_success


def test_a_segmentation_fault_is_a_signal(namespaces: bool) -> None:
    code = "import ctypes; ctypes.string_at(0)"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    assert (done.is_success, done.exit_code, done.signal) == (False, None, 11)


def test_exit_zero_keeps_pending_output(namespaces: bool) -> None:
    code = "import sys; sys.stdout.write('pending'); sys.exit(0)"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    assert (done.is_success, done.stdout) == (True, "pending")


def test_exit_with_a_message_is_a_failure_without_a_traceback() -> None:
    done = run_code("import sys; sys.exit('Error: no')", limits=PATIENT)
    assert (done.is_success, done.exit_code, done.error) == (False, 1, None)


@pytest.mark.parametrize("code", ["x = '\0'", "x = '\ud800'", "x = (", "\tx\n  y"])
def test_code_that_cannot_be_compiled_is_an_error_of_the_program(code: str) -> None:
    done = run_code(code, limits=PATIENT)
    kinds = ("SyntaxError", "ValueError", "IndentationError", "TabError")
    assert (done.is_success, done.exit_code) == (False, 1)
    assert done.error is None or done.error.startswith(kinds)
    assert any(kind in done.stderr for kind in kinds)


def test_another_binary_runs_under_the_same_limits(namespaces: bool) -> None:
    code = "import os; os.execv('/bin/sleep', ['sleep', '600'])"
    assert run_code(code, limits=QUICK, use_namespaces=namespaces).is_timeout


def test_the_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch, namespaces: bool) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    code = "import os; print(*sorted(os.environ)); print(os.listdir('.'))"
    done = run_code(code, limits=PATIENT, use_namespaces=namespaces)
    names, files = done.stdout.splitlines()
    assert set(names.split()) <= {"PATH", "LABCLI_SANDBOX", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
    assert files == "['program.py']"


def test_processes_outside_cannot_be_seen() -> None:
    done = run_code("import os; print(*os.listdir('/proc'))", limits=PATIENT)
    skip_without(done, "pid-namespace")
    assert {name for name in done.stdout.split() if name.isdigit()} <= {"1", "2"}


def test_no_right_can_be_regained() -> None:
    code = "import os\nfor act in (lambda: os.setuid(0), lambda: os.chroot('.')):\n"
    code += "    try: act(); print('regained')\n    except OSError: print('refused')"
    done = run_code(code, limits=PATIENT)
    if not IS_LINUX or any("runs as root" in line for line in done.missing):
        pytest.skip(f"no user-namespace here: {done.missing}")
    assert done.stdout.split()[-1] == "refused"


def test_many_threads_run_at_once_without_mixing(namespaces: bool) -> None:
    def run(number: int) -> str:
        code = f"import os\nfor _ in range(3): os.fork() or os._exit(0)\nprint({number})"
        return run_code(code, limits=PATIENT, use_namespaces=namespaces).stdout

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(24))) == [f"{number}\n" for number in range(24)]


def test_no_descriptor_is_left_open() -> None:
    run_code("", limits=PATIENT)
    before = psutil.Process().num_fds()
    for _ in range(5):
        run_code("1/0", limits=PATIENT)
    assert psutil.Process().num_fds() == before


@pytest.mark.skipif(not IS_LINUX, reason="what leaves its session survives on macOS")
def test_the_program_dies_with_a_caller_that_is_killed(namespaces: bool, directory: Path) -> None:
    code = DAEMON + "time.sleep(600)"
    caller = f"from core.engine.sandbox import *\nrun_code({code!r}, limits=Limits(wall_s=600.0), "
    caller += f"use_namespaces={namespaces})"
    env = {"TMPDIR": str(directory), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen([sys.executable, "-c", caller], env=env, cwd=Path.cwd()) as process:
        wait_until(lambda: len(find_processes(f"{process.pid}-")) >= 4)
        process.kill()
    wait_until(lambda: find_processes(f"{process.pid}-") == [])
    # The caller alone could have deleted it.
    subprocess.run(["rm", "-rf", *map(str, directory.iterdir())], check=True)


def wait_until(is_so: object) -> None:
    deadline = time.monotonic() + 30
    pause = threading.Event()
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < deadline
        pause.wait(0.01)


@pytest.mark.parametrize("name", ["cpu_s", "wall_s", "memory_bytes", "num_processes"])
def test_limits_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Limits(**{name: 0})


def test_an_interpreter_that_cannot_start_is_the_sandboxs_own_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxFailed, match="nothing was run"):
        run_code("", limits=PATIENT)
