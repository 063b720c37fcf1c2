"""Docker (and what speaks its API) as a kind of engine."""

from hosts.executors.docker.executor import DockerExecutor

__all__ = ["DockerExecutor"]
