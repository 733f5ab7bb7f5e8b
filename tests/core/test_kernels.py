"""What is told of compiling: the first start builds kernels, the second finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from core.hardware import has_compiler
from core.train.compiling import compiled_loss, naming_failed_kernels
from core.train.kernels import kernels_note
from runs.errors import StageFailed
from tests.core.forked import start_ranks, wait_for_ranks

PROGRAM = """
import json, sys, torch
from core.train.compiling import why_eager
from core.train.kernels import kernels_note
assert why_eager("auto", torch.device("cpu")) is None
torch.compile(lambda x: x.sin() + x.cos() * 2)(torch.ones(64))
(note,) = kernels_note(1.25)
sys.stdout.write(json.dumps({"message": note.message, **note.data}))
"""


def start(cache: Path) -> dict[str, Any]:
    env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.soak
@pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler here")
def test_a_second_start_takes_the_kernels_of_the_first(tmp_path: Path) -> None:
    first, second = start(tmp_path), start(tmp_path)
    assert (first["graphs_built"], first["graphs_from_cache"]) == (1, 0)
    assert (second["graphs_built"], second["graphs_from_cache"]) == (0, 1)
    assert second["message"] == (
        "the first step took 1.2 s: all kernels came from the cache of an earlier start"
    )


def test_a_step_that_compiled_nothing_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._dynamo.utils, "counters", defaultdict(Counter))
    assert list(kernels_note(1.0)) == []


def tell_fallback(compiler: Path, told: Path, is_stepping: bool) -> None:
    """Write why nothing compiles with a compiler, which torch reads once, with inductor.

    Then, if asked, what is said where it is found out no earlier than in a step.
    """
    os.environ.update(CXX=str(compiler), TORCHINDUCTOR_CACHE_DIR=str(told.parent / "kernels"))
    lines = [str(compiled_loss("auto", torch.device("cpu"))[1])]
    try:
        with naming_failed_kernels("mid"):
            if is_stepping:
                torch.compile(lambda x: x.sin() + x.cos() * 2)(torch.ones(64))
    except StageFailed as failed:
        lines.append(str(failed))
    told.write_text("\n".join(lines))


def fallback(root: Path, compiler: Path, *, is_stepping: bool) -> list[str]:
    told = (compiler, root / "told", is_stepping)
    started = start_ranks(tell_fallback, *told, ranks=1, errors=root)
    assert wait_for_ranks(started) == [0], (root / "stderr.0.txt").read_text()
    return (root / "told").read_text().splitlines()


def test_a_broken_compiler_falls_back_to_eager_and_fails_a_step_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    looked, stepped = fallback(tmp_path, broken, is_stepping=True)
    assert "training runs eager: torch.compile fails on this machine" in looked
    assert stepped.startswith("the kernels of the step cannot be built (")
    assert stepped.endswith(", or start a new run with --set mid.compile=off")


def test_a_directory_of_kernels_that_cannot_be_made_means_eager(tmp_path: Path) -> None:
    (tmp_path / "kernels").write_text("")
    (looked,) = fallback(tmp_path, Path("g++"), is_stepping=False)
    assert looked.startswith("training runs eager: ")
