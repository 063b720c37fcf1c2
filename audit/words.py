"""The words of audit rows that are the same for every act."""

from __future__ import annotations

from django.db.models import TextChoices


class Door(TextChoices):
    """Through what somebody came."""

    ADMIN = "admin", "Admin pages"
    API = "api", "API"
    COMMAND = "command", "Command"
    SYSTEM = "system", "System"


class Outcome(TextChoices):
    """What came of an act: `refused` says that a rule stood against it, `denied` that a right was missing."""

    DONE = "done", "Done"
    REFUSED = "refused", "Refused"
    DENIED = "denied", "Denied"
    FAILED = "failed", "Failed"
