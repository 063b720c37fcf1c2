"""Jobs as services of a Docker Swarm: the engine's own scheduler chooses the node."""

from hosts.executors.swarm.executor import SwarmExecutor

__all__ = ["SwarmExecutor"]
