"""Which models of a lab home a server may load: the catalogue and the resolver it is handed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labcli.speaking.speaker import find_tokenizer_file
from runs.errors import Corrupt, LabError, NotFound
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import DEFAULT_STAGES, ResolvedCheckpoint, resolve_checkpoint
from runs.views.checkpoints import newest
from runs.views.query import run_dirs

if TYPE_CHECKING:
    from core.serve.models import ModelCard, ModelSpec

META_FILE = "meta.json"
# Longer ones name no run, and file systems refuse them.
MAX_NAME_CHARS = 200


class Shelf:
    """The models of one lab home; those that were named at the start come first."""

    def __init__(self, home: LabHome, references: Sequence[str]) -> None:
        """Resolve the named models, or the last finished run's when none is named.

        Raises:
            LabError: a reference names nothing that can be served.
        """
        self._home = home
        found = [resolve_checkpoint(home, reference) for reference in references or (None,)]
        self.named = tuple(_spec(checkpoint) for checkpoint in found)
        self._by_reference = dict(zip(references, self.named, strict=False))
        self._by_reference |= {spec.name: spec for spec in self.named}

    def resolve(self, name: str) -> ModelSpec:
        """Return the files of a model; "" is the first that was named.

        Paths are for the command line: a client may load what the lab home holds, and nothing
        else of the disk.

        Raises:
            LabError: no such run, stage or step, or an unreadable checkpoint.
        """
        if not name:
            return self.named[0]
        if name in self._by_reference:
            return self._by_reference[name]
        if "/" in name or "\0" in name or len(name) > MAX_NAME_CHARS:
            raise NotFound(f"no model {name[:MAX_NAME_CHARS]!r}; see /v1/models")
        found = resolve_checkpoint(self._home, name)
        if not found.path.is_relative_to(self._home.runs_dir):
            raise NotFound(f"no model {name!r} in this lab home; see /v1/models")
        return _spec(found)

    def catalogue(self) -> list[ModelCard]:
        """Return the named models, then the newest checkpoint of every stage of every run."""
        cards = {spec.name: spec.card for spec in self.named}
        for run_dir in run_dirs(self._home):
            try:
                record = load_record(run_dir)
            except LabError:
                continue
            for stage in DEFAULT_STAGES:
                checkpoint = newest(RunPaths(run_dir).checkpoints_dir(stage))
                if checkpoint is not None:
                    card = _card(
                        ResolvedCheckpoint(
                            path=checkpoint.path,
                            run_id=record.run_id,
                            stage=stage,
                            step=checkpoint.step,
                            name=f"{record.slug}:{stage}@{checkpoint.step}",
                        )
                    )
                    cards.setdefault(card.name, card)
        return list(cards.values())


def _spec(found: ResolvedCheckpoint) -> ModelSpec:
    from core.config import ModelConfig
    from core.serve.models import ModelSpec

    # Not by core.checkpoint, which loads torch: the server needs none, its workers do.
    try:
        meta = json.loads((found.path / META_FILE).read_bytes())
        tokenizer_sha256 = str(meta["tokenizer_sha256"])
        config = ModelConfig(**meta["model_config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"checkpoint {found.path} has an unreadable {META_FILE}: {error}") from None
    return ModelSpec(
        card=_card(found),
        checkpoint=found.path,
        tokenizer=find_tokenizer_file(found.path, tokenizer_sha256),
        sequence_len=config.sequence_len,
        max_positions=config.max_positions,
    )


def _card(found: ResolvedCheckpoint) -> ModelCard:
    from core.serve.models import ModelCard

    return ModelCard(
        name=found.name,
        created_s=found.path.stat().st_mtime,
        run_id=found.run_id,
        stage=found.stage,
        step=found.step,
    )
