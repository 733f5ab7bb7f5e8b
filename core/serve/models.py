"""Which models can be served: found through callables that the command line hands in. Torch-free.

core never looks a run up: `catalogue` lists what there is, `resolve` turns a name into files.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.tokenizer import Tokenizer

MAX_REMEMBERED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a listing says of a model; `name` is what a request calls it."""

    name: str
    created_s: float
    run_id: str
    stage: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that can be loaded: its card, its files and how far it reads.

    sequence_len: tokens of a training row; quality beyond that is not known.
    max_positions: tokens that a prompt and its answer may have together.
    """

    card: ModelCard
    checkpoint: Path
    tokenizer: Path
    sequence_len: int
    max_positions: int

    @property
    def name(self) -> str:
        """The name that does not change when newer checkpoints appear."""
        return self.card.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that a request names, with the tokenizer that it was trained with."""

    spec: ModelSpec
    tokenizer: Tokenizer

    @property
    def name(self) -> str:
        """The name that answers carry."""
        return self.spec.name


Catalogue = Callable[[], Sequence[ModelCard]]
# Raises NotFound, UsageError or Corrupt with one line; "" asks for the default model.
Resolve = Callable[[str], ModelSpec]


class Models:
    """Finds models by name and remembers their tokenizers."""

    def __init__(self, catalogue: Catalogue, resolve: Resolve) -> None:
        self._catalogue = catalogue
        self._resolve = resolve
        self._known: OrderedDict[str, Model] = OrderedDict()

    async def find(self, name: str | None) -> Model:
        """Return the model of a name; no name, "" and "default" are the default model.

        Raises:
            LabError: what `resolve` raised.
        """
        wanted = "" if name is None or name == "default" else name
        known = self._known.get(wanted)
        if known is not None:
            self._known.move_to_end(wanted)
            return known
        spec = await asyncio.to_thread(self._resolve, wanted)
        model = self._known.get(spec.name)
        if model is None or model.spec != spec:
            # Read aside: a vocabulary of 32,768 merges takes 0.1 s.
            tokenizer = await asyncio.to_thread(Tokenizer.from_file, spec.tokenizer)
            model = Model(spec=spec, tokenizer=tokenizer)
        # Under its full name alone: "run:sft" may mean a newer step tomorrow.
        self._known[spec.name] = model
        self._known.move_to_end(spec.name)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return model

    async def cards(self) -> Sequence[ModelCard]:
        """Return the card of every model there is, the default first."""
        return await asyncio.to_thread(self._catalogue)
