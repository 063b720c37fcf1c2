"""One pull for each image that runs of this host wait for. Main thread only, but for the two calls of a pull.

A run waits while it is `busy` with the need PULL; no thread is held by it. Who waits is read off the runs
each time, so a run that was cancelled or forgotten is out of it without a word. When the last one is out,
the pull is given up; what a pull brings is told to every run that waits for its image by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from hosts.ids import new_id
from jobs.states import NOT_STARTED
from supervisor.worker import progress, steps
from supervisor.worker.engine import PULL_THREADS, Engine
from supervisor.worker.run import Need, Run, must_withdraw
from supervisor.worker.steps import StepDone

logger = structlog.get_logger(__name__)

WRITE_EVERY_SECONDS = 1.0
_LONGEST_IMAGE = 100
_LONGEST_PHASE = 200
_TOLD_AFTER = 2  # vain looks at what may be about to start


@dataclass(slots=True)
class Pull:
    """One pull, queued for a thread or under way."""

    image: str
    id: UUID = field(default_factory=new_id)
    words: str = ""
    unwanted: bool = False
    gave_up: bool = False

    def note(self, words: str) -> None:
        """Keep how far it is; called by its thread."""
        self.words = words

    def is_given_up(self) -> bool:
        """Whether to stop now; called by its thread. Once it was told to, its answer means nothing."""
        self.gave_up = self.gave_up or self.unwanted
        return self.gave_up


class Pulls:
    """See the module."""

    def __init__(self, runs: dict[UUID, Run], engine: Engine, *, installation: UUID) -> None:
        self._runs, self._engine, self._installation = runs, engine, installation
        self._pulls: dict[str, Pull] = {}
        self._write_clock = 0.0

    @property
    def next_clock(self) -> float:
        """When the phases of the runs are to be looked at again."""
        return self._write_clock if self._pulls else float("inf")

    def release(self, now: float) -> None:
        """Let those go that are not to be started any more, however far their pull is."""
        for run in self._runs.values():
            if run.waits_for_pull and must_withdraw(run, now):
                run.busy = False

    def begin(self) -> None:
        """Start the pulls that somebody waits for, and give up those that nobody does."""
        wanted = dict.fromkeys(_image(run) for run in self._runs.values() if run.waits_for_pull)
        for pull in self._pulls.values():
            pull.unwanted = pull.image not in wanted
        for image in wanted:
            if image not in self._pulls:
                pull = self._pulls[image] = Pull(image)
                self._engine.step(pull.id, "PULL", steps.pull, image, pull.note, pull.is_given_up)
                self._write_clock = 0.0

    def take(self, done: StepDone, now: float) -> None:
        """A pull is over: tell all who wait for its image what came of it."""
        pull = next((pull for pull in self._pulls.values() if pull.id == done.run_id), None)
        if pull is None:
            return
        del self._pulls[pull.image]
        if pull.gave_up:  # whoever came to wait for it since then gets a new one
            logger.info("pull given up", image=pull.image)
            return
        for run in list(self._waiting_for(pull.image)):
            answer = StepDone(run.attempt_id, "PULL", result=done.result, error=done.error)
            progress.apply(run, answer, installation=self._installation, now=now)

    def give_up(self) -> None:
        """Stop all of them; their images are pulled again by whoever looks after the runs then."""
        for pull in self._pulls.values():
            pull.unwanted = True

    def news(self, now: float) -> dict[UUID, str]:
        """What runs are doing, where their rows do not say so yet; once a second at most."""
        if now < self._write_clock:
            return {}
        self._write_clock = now + WRITE_EVERY_SECONDS
        phases = self._phases()
        concerned = (run for run in self._runs.values() if run.phase or run.attempt_id in phases)
        return {
            run.attempt_id: phases.get(run.attempt_id, "")
            for run in concerned
            if run.phase != phases.get(run.attempt_id, "")
        }

    def _phases(self) -> dict[UUID, str]:
        phases = {}
        for run in self._runs.values():
            if run.need is Need.OBSERVE and run.state in NOT_STARTED:
                is_news = run.trouble >= _TOLD_AFTER
                phases[run.attempt_id] = (run.last_trouble if is_news else run.waits_for)[:_LONGEST_PHASE]
        for place, pull in enumerate(self._pulls.values()):
            for number, run in enumerate(self._waiting_for(pull.image)):
                words = _words(pull, is_first=not number, is_queued=place >= PULL_THREADS)
                phases[run.attempt_id] = words[:_LONGEST_PHASE]
        return phases

    def _waiting_for(self, image: str) -> Iterator[Run]:
        return (run for run in self._runs.values() if run.waits_for_pull and _image(run) == image)


def _image(run: Run) -> str:
    image: str = run.spec["docker_image"]
    return image


def _words(pull: Pull, *, is_first: bool, is_queued: bool) -> str:
    image = pull.image
    if len(image) > _LONGEST_IMAGE:
        image = f"...{image[3 - _LONGEST_IMAGE :]}"
    if is_queued:
        return f"Waiting to pull {image}: {PULL_THREADS} other images are being pulled"
    doing = f"Pulling {image}" if is_first else f"Waiting for {image}, which is being pulled for another job"
    return f"{doing}: {pull.words}" if pull.words else doing
