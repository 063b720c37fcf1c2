"""The right to act on a host: one holder at a time, each with a higher epoch than the one before.

Times are the database's. A holder trusts its lease by its own boot clock, from the moment it *sent* the
renewal that was accepted, and for less than the lease lasts: a slow answer must not make it look longer.
Source of the rule: Gray & Cheriton, "Leases" (1989), with the fencing token of Burrows, "Chubby" (2006).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import models, transaction
from django.db.models.functions import Now

from hosts import identity
from hosts.errors import LeaseLost
from hosts.identity import ProcessIdentity
from hosts.kept import KeptUpdate
from hosts.models import HostLease

TTL_SECONDS = 30.0
RENEW_EVERY_SECONDS = 10.0
TRUST_SECONDS = 25.0


@dataclass(slots=True)
class Lease:
    """What its holder knows of a lease it took. `trusted_until` is on `boot_clock`."""

    host_id: UUID
    epoch: int
    owner: UUID
    trusted_until: float
    clock: Callable[[], float] = field(default=identity.boot_clock, repr=False)
    renewal: KeptUpdate | None = field(default=None, repr=False, compare=False)

    def is_trusted(self) -> bool:
        """False: create, start, stop and remove nothing until a renewal is accepted."""
        return self.clock() < self.trusted_until


def take(
    host_id: UUID,
    *,
    who: ProcessIdentity,
    even_expired: bool = True,
    clock: Callable[[], float] = identity.boot_clock,
) -> Lease | None:
    """Take the host's lease if it is free; None if somebody holds it. Call inside a transaction.

    Free means released, expired by the database's clock (if `even_expired`: after an outage of the database
    every lease has), or held by a process that is proved dead.
    The caller restamps the host's open attempts with the new epoch in the same transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError(
            "leases.take needs a transaction around it, with the restamping of attempts inside."
        )
    row = _locked(host_id)
    if not _is_free(row, even_expired=even_expired):
        return None
    sent = clock()
    owner = uuid4()
    HostLease.objects.filter(host_id=host_id).update(
        epoch=row.epoch + 1,
        owner=owner,
        machine=who.machine,
        boot_id=who.boot_id,
        pid_namespace=who.pid_namespace,
        pid=who.pid,
        start_ticks=who.start_ticks,
        acquired_at=Now(),
        expires_at=Now() + timedelta(seconds=TTL_SECONDS),
        released_at=None,
    )
    return Lease(host_id, row.epoch + 1, owner, sent + TRUST_SECONDS, clock)


def revoke(host_id: UUID, *, even_if_held: bool) -> int | None:
    """Take the host from everybody; the new epoch, which nobody holds. None: it is held, and stays so.

    Call it inside a transaction, and restamp the host's open attempts in the same one, as with `take`.
    """
    row = _locked(host_id)
    if not even_if_held and not _is_free(row, even_expired=True):
        return None
    HostLease.objects.filter(host_id=host_id).update(epoch=row.epoch + 1, owner=None, released_at=Now())
    return row.epoch + 1


def lock(host_id: UUID) -> None:
    """Hold off claims and takeovers of the host, whoever holds it, until the transaction ends."""
    _locked(host_id)


def _locked(host_id: UUID) -> HostLease:
    HostLease.objects.get_or_create(host_id=host_id)
    return (
        HostLease.objects.select_for_update()
        .annotate(is_expired=models.Q(expires_at__lte=Now()))
        .get(host_id=host_id)
    )


def _is_free(row: HostLease, *, even_expired: bool) -> bool:
    return is_free(row, is_expired=even_expired and row.is_expired)  # type: ignore[attr-defined]


def is_free(row: HostLease, *, is_expired: bool) -> bool:
    """Whether nobody holds the host any more; by the database's clock, its lease has expired or not."""
    if row.owner is None or row.released_at is not None or is_expired:
        return True
    holder = ProcessIdentity(row.machine, row.boot_id, row.pid_namespace, row.pid or 0, row.start_ticks or 0)
    return holder.is_proved_dead()


def renew(lease: Lease) -> None:
    """Push the lease's end forward; LeaseLost if somebody else took the host. An expired one comes back."""
    sent = lease.clock()
    if lease.renewal is None:
        lease.renewal = KeptUpdate(_mine(lease), expires_at=Now() + timedelta(seconds=TTL_SECONDS))
    if not lease.renewal.run():
        raise LeaseLost(f"The lease of host {lease.host_id} at epoch {lease.epoch} is somebody else's now.")
    lease.trusted_until = sent + TRUST_SECONDS


def release(lease: Lease) -> bool:
    """Give the host back at once; False if it was not ours any more."""
    return _mine(lease).update(released_at=Now()) == 1


def lock_current(lease: Lease) -> None:
    """Hold off any takeover until the transaction ends; LeaseLost if the lease is not ours or has expired."""
    # FOR SHARE: claims of one host do not wait for one another, a takeover (FOR UPDATE) waits for them all.
    # SQLite needs no row lock: its transactions are IMMEDIATE, so there is one writer.
    connection = transaction.get_connection()
    if connection.vendor == "postgresql":
        # Written out: the ORM takes as long for it as all else of a claim.
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_CURRENT, [lease.host_id, lease.epoch, lease.owner])
            found = cursor.fetchone()
    else:
        found = _mine(lease).filter(expires_at__gt=Now()).values("epoch").first()
    if not found:
        raise LeaseLost(
            f"The lease of host {lease.host_id} at epoch {lease.epoch} is not ours to claim with."
        )


_LOCK_CURRENT = (
    "SELECT epoch FROM hosts_hostlease WHERE host_id = %s AND epoch = %s AND owner = %s "
    "AND released_at IS NULL AND expires_at > statement_timestamp() FOR SHARE"
)


def _mine(lease: Lease) -> models.QuerySet[HostLease]:
    return HostLease.objects.filter(
        host_id=lease.host_id, epoch=lease.epoch, owner=lease.owner, released_at=None
    )
