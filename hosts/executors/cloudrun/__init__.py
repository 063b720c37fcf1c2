"""Google Cloud Run jobs as a kind of engine. What it needs is imported on first use: `tallyman[cloudrun]`."""

from hosts.executors.cloudrun.executor import CloudRunExecutor

__all__ = ["CloudRunExecutor"]
