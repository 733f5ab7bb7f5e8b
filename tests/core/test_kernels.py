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
from core.train.kernels import kernels_note

PROGRAM = """
import json, sys, torch
from core.train.kernels import kernels_note
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
