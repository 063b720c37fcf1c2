"""The engine, host and template that tests of the worker have."""

from tests.supervisor.conftest import engine, host, template

__all__ = ["engine", "host", "template"]
