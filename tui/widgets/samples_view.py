"""The samples pane: what the model wrote at the step that the charts point at, and before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import var

from tui.live.samples import sample_lines, sample_steps, step_before
from tui.live.state import SampleText
from tui.shell.glyphs import Glyphs
from tui.shell.tones import ToneLine
from tui.widgets.lines_view import LinesView


class SamplesView(LinesView):
    """What the model wrote while it was trained."""

    BINDING_GROUP_TITLE = "Samples"
    HELP = """\
Texts that the model wrote at fixed prompts while it was trained. Left and right go from step to
step, together with the crosshair of the charts; where there is room, the steps before stand
beside the one that is pointed at. Up, down, Page Up and Page Down scroll; End follows the newest
again.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "scrub(-1)", "Earlier", id="samples.earlier", show=False,
                tooltip="Show the samples of the step before."),
        Binding("right", "scrub(1)", "Later", id="samples.later", show=False,
                tooltip="Show the samples of the step after."),
    ]  # fmt: skip

    @dataclass
    class Scrubbed(Message):
        """The samples of another step are wanted, in the charts too."""

        step: float

    samples: var[tuple[SampleText, ...]] = var(())
    """Every sample of the run."""
    stage: var[str | None] = var(None)
    """The stage that the charts show."""
    step: var[float | None] = var(None)
    """The step that the charts point at; None is the newest one."""
    otherwise: var[tuple[ToneLine, ...]] = var(())
    """What to say while there are no samples."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(widget_id="samples")
        self._glyphs = glyphs

    def on_resize(self, event: events.Resize) -> None:
        """Set the samples anew for the new width."""
        super().on_resize(event)
        self._compose_lines()

    def watch_samples(self) -> None:
        """Show what is new."""
        self._compose_lines()

    def watch_stage(self) -> None:
        """Show those of another stage."""
        self._compose_lines()

    def watch_step(self) -> None:
        """Show those of another step."""
        self._compose_lines()

    def watch_otherwise(self) -> None:
        """Say why there are none."""
        self._compose_lines()

    def action_scrub(self, by: int) -> None:
        """Go to the samples before or after those that are shown."""
        steps = sample_steps(self.samples, self.stage)
        chosen = step_before(steps, self.step)
        if chosen is not None:
            place = min(max(steps.index(chosen) + by, 0), len(steps) - 1)
            self.post_message(self.Scrubbed(steps[place]))

    def _compose_lines(self) -> None:
        width = self.scrollable_content_region.width
        if width < 4:
            return
        lines = sample_lines(
            self.samples, self._glyphs, stage=self.stage, step=self.step, width=width
        )
        self.lines = lines or self.otherwise
