"""What may go wrong between us and an engine, in two kinds: try later, or final.

::

    TallymanError
    ├── ConfigurationError            a host, template or setting is wrong; a person must edit it
    │   └── ExecutorFailed            an executor broke its contract: a bug of it
    ├── LeaseLost                     another worker holds the host; touch nothing more
    └── EngineError
        ├── DockerConnectionError     try later: no answer, or an answer that proves nothing
        ├── ImageMissing              the image is not on the engine; pull it
        ├── ContainerBusy             the container runs, so it was not removed
        └── ContainerExecutionError   final: the engine refused, and nothing was started
            └── LaunchFailed          nothing was started, and not for anything in the job: try again later

Executors turn every error of their client library into one of these; nothing above `hosts` knows
`docker`, `requests` or `boto3`.
"""

from __future__ import annotations


class TallymanError(Exception):
    """Base of every error this project raises on purpose; `str()` is a sentence for a person."""


class ConfigurationError(TallymanError):
    """A host, template or setting is wrong; trying again without an edit is useless."""


class ExecutorFailed(ConfigurationError):
    """An executor raised what none may raise, or gave what is no answer: its author has to mend it."""


class LeaseLost(TallymanError):
    """Our epoch is no longer the host's: stop writing, and touch no container."""


class EngineError(TallymanError):
    """The engine did not do what it was asked.

    `failure_class` is one word for machines (see `jobs.outcome`), `hint` says what to try; both are empty
    where there is nothing to say beyond "it did not work".
    """

    def __init__(self, message: str, *, failure_class: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.failure_class = failure_class
        self.hint = hint


class DockerConnectionError(EngineError):
    """The engine gave no answer, or one that proves nothing (refused, timed out, 5xx): try later.

    Whether a create, start or stop that raised this took effect is unknown: observe before the next step.
    """


class ImageMissing(EngineError):
    """The image is not on the engine yet; `pull` it, then create again."""


class ContainerBusy(EngineError):
    """The container is running, so a removal without force did nothing."""


class ContainerExecutionError(EngineError):
    """The engine refused for good, and proved that nothing was started.

    `exit_code` is the engine's own code where it has one (127: command not found, 126: not executable).
    """

    def __init__(
        self, message: str, *, failure_class: str, hint: str = "", exit_code: int | None = None
    ) -> None:
        super().__init__(message, failure_class=failure_class, hint=hint)
        self.exit_code = exit_code


class LaunchFailed(ContainerExecutionError):
    """The engine could not start it, for a reason of its own (its disk is full), and proved that it did not.

    Another try may succeed, here or elsewhere: it counts as `infra`, not as a rejection.
    """
