"""Jobs as plain processes of this machine, for machines without containers. Read `executor.py` first."""

from hosts.executors.process.executor import ProcessExecutor

__all__ = ["ProcessExecutor"]
