"""A lab home of its own for every test, and labcli called in this process."""

from __future__ import annotations

from tests.cli.conftest import home as home
from tests.cli.conftest import labcli as labcli
