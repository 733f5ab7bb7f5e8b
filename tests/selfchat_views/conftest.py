"""One self-chat for all tests of a module that only look at it."""

from __future__ import annotations

import pytest

from core.experiments.measures.summary import Summary, summarise
from core.experiments.selfchat.transcript import Experiment
from tests.selfchat_views.builders import make_experiment


@pytest.fixture(scope="package")
def experiment() -> Experiment:
    """Three settings with four conversations of six turns each."""
    return make_experiment()


@pytest.fixture(scope="package")
def summary(experiment: Experiment) -> Summary:
    """What was found in it."""
    return summarise(experiment)
