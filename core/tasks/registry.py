"""The graded tasks by name: how to mark an answer, and what guessing would get. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.tasks import arithmetic, counting, spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One graded skill; `chance` is the accuracy of the best constant answer."""

    name: str
    chance: float
    is_correct: Callable[[str, str], bool]


TASKS: Mapping[str, Task] = {
    module.NAME: Task(name=module.NAME, chance=module.CHANCE, is_correct=module.is_correct)
    for module in (arithmetic, counting, spelling)
}
