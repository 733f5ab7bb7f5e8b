"""The allocator's settings: what was freed once is not asked of the kernel again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = """
import ctypes, resource, sys
from core.train.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def touch():
    block = libc.malloc(ctypes.c_size_t(64 * 2**20))
    ctypes.memset(block, 1, 64 * 2**20)
    libc.free(block)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_memory_that_was_freed_is_there_for_the_next_step() -> None:
    faults = {
        setting: int(
            subprocess.run(
                [sys.executable, "-c", PAGES, setting], capture_output=True, text=True, check=True
            ).stdout
        )
        for setting in ("kept", "as shipped")
    }
    # 64 MiB are 16,384 small pages.
    assert faults["kept"] < 100 < faults["as shipped"]


KEPT = """
import ctypes, sys
import psutil
from core.train.allocator import keep_freed_memory, release_garbage
keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
block = libc.malloc(ctypes.c_size_t(64 * 2**20))
ctypes.memset(block, 1, 64 * 2**20)
libc.free(block)
held = psutil.Process().memory_info().rss
release_garbage()
sys.stdout.write(str(held - psutil.Process().memory_info().rss))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_what_building_kernels_took_is_given_back_once_when_asked() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 60 * 2**20
