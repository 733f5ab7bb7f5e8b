"""What the evaluations of a run say, task by task, stage after stage."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive

from runs.views.run_view import RunView, StageView
from tui.shell import format as fmt
from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedWidget

_STAGE_WIDTH = 8


def graded_stages(run: RunView) -> list[StageView]:
    """Return the stages that were asked tasks; an experiment's results are no accuracies."""
    return [
        stage
        for stage in run.stages
        if any("accuracy" in task for task in (stage.results or {}).values())
    ]


def _tasks(run: RunView | None) -> set[str]:
    return {task for stage in graded_stages(run) for task in stage.results or {}} if run else set()


class TaskResults(TonedWidget):
    """Accuracy per task, one column per evaluated stage; nothing until there is one."""

    run_view: reactive[RunView | None] = reactive(None)
    """The focused run."""

    def __init__(self) -> None:
        super().__init__(id="results")

    def watch_run_view(self, before: RunView | None, after: RunView | None) -> None:
        """Ask for another height only where there are other results."""
        if _tasks(before) != _tasks(after):
            self.refresh(layout=True)

    def render(self) -> Text:
        """Return the table."""
        run = self.run_view
        stages = graded_stages(run) if run else []
        # The newest stages win where there is no room for all of them beside the task's name.
        stages = stages[-max((self.size.width - 12) // _STAGE_WIDTH, 1) :]
        tasks = sorted({task for stage in stages for task in stage.results or {}})
        if not tasks:
            return Text("")
        room = max(self.size.width - _STAGE_WIDTH * len(stages), 8)
        names = "".join(stage.stage.removeprefix("eval-").rjust(_STAGE_WIDTH) for stage in stages)
        lines = [ToneLine((Piece("accuracy".ljust(room), "quiet"), Piece(names, "quiet")))]
        for task in tasks:
            values = [(stage.results or {}).get(task, {}).get("accuracy") for stage in stages]
            shown = "".join(fmt.percent(value, 1).rjust(_STAGE_WIDTH) for value in values)
            lines.append(ToneLine((Piece(task[:room].ljust(room)), Piece(shown, "strong"))))
        return self.toned(*lines)
