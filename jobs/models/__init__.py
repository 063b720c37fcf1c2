from jobs.models.attempt import Attempt, held_slots
from jobs.models.execution import ContainerExecution, UsageSample
from jobs.models.history import HourTally, JobEvent, Tally, TallySum
from jobs.models.job import ContainerJob
from jobs.models.left import LeftContainer
from jobs.models.limit import ConcurrencyLimit
from jobs.models.log import LogChunk
from jobs.models.template import ContainerTemplate, EnvironmentVariable, NetworkAssignment

__all__ = [
    "Attempt",
    "ConcurrencyLimit",
    "ContainerExecution",
    "ContainerJob",
    "ContainerTemplate",
    "EnvironmentVariable",
    "HourTally",
    "JobEvent",
    "LeftContainer",
    "LogChunk",
    "NetworkAssignment",
    "Tally",
    "TallySum",
    "UsageSample",
    "held_slots",
]
