"""One claim of a worker: by itself, or in the transaction that ends the jobs before, which saves a commit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError

from hosts.leases import Lease
from hosts.models import DockerHost
from jobs import claims, routing
from jobs.models import Attempt

if TYPE_CHECKING:
    from supervisor.worker.settings import WorkerSettings

Result = TypeVar("Result")


OLDEST_FIRST_EVERY = 8


@dataclass(slots=True)
class Fairness:
    """When age goes before priority, so that nothing waits for ever: at one of so many claims.

    Only those count that took something. What is too large for the room that there is by then has its turn
    until there is enough: others that need memory or CPUs would take whatever gets free.
    """

    saving: bool = False
    _claims: int = 0

    @property
    def oldest_first(self) -> bool:
        """Whether the next claim goes by age."""
        return self._claims % OLDEST_FIRST_EVERY == OLDEST_FIRST_EVERY - 1

    def note(self, taken: int, *, saves_up: bool) -> None:
        """Take note of a claim that was answered: how many it took, and whether it keeps room for one."""
        self.saving = saves_up if self.oldest_first or self.saving else False
        self._claims += bool(taken)


@dataclass(slots=True)
class Claim:
    """Up to `room` jobs for the host, which has `free` slots. `stood_back`: it left some for now."""

    host: DockerHost
    room: int
    free: int
    fairness: Fairness
    in_a_row: bool
    stood_back: bool = False
    saves_up: bool = False

    def ask(self, lease: Lease, settings: WorkerSettings) -> list[Attempt]:
        """The attempts of the jobs that were had."""
        wanted = claims.Wanted(
            room=self.room,
            free=self.free,
            look_again=self._look_again,
            in_a_row=self.in_a_row,
            stand_back=self._stand_back,
            oldest_first=self.fairness.oldest_first,
            saving=self.fairness.saving,
            saves_up=self._save_up,
        )
        return claims.claim(lease, self.host, wanted, installation=settings.installation, who=settings.who)

    def _save_up(self) -> None:
        self.saves_up = True

    def _look_again(self) -> None:
        self.stood_back = True

    def _stand_back(self) -> bool:
        self.stood_back = routing.better_host_exists(self.host, free=self.free)
        return self.stood_back


@dataclass(frozen=True, slots=True)
class Refill:
    """What the writer of ends calls: `lock` first of all, `claim` with the attempts that have ended.

    The lease is locked before the attempts, as a takeover does it. `claimed` is told of the claim once it is
    committed; what was rolled back is claimed again, by itself.
    """

    lock: Callable[[], None]
    claim: Callable[[Collection[UUID]], list[Attempt]]
    claimed: Callable[[list[Attempt]], None]


class RefillFailed(Exception):
    """The claim could not be made; the ends are to be written without it."""


def tried(call: Callable[[], Result]) -> Result:
    """Call it; RefillFailed for whatever is wrong with it, unless the database is in trouble."""
    try:
        return call()
    except (OperationalError, InterfaceError):
        raise
    except Exception as exc:
        raise RefillFailed from exc
