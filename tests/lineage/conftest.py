"""A lab home of its own for every test, and labcli called in this process."""

from tests.cli.conftest import home, labcli

__all__ = ["home", "labcli"]
