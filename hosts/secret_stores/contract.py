"""The contract between a launch and whatever keeps secrets.

A reference is `STORE:PATH`: the part before the first colon names a store, the rest is the store's own
business. A store is asked by a worker, on a thread, when a job is launched; no transaction is open, and no
value is stored anywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

LONGEST_SECRET = 64 * 1024


class SecretNotFound(Exception):
    """The store has no such secret, or does not let jobs have it; the text says why, without any value."""


class StoreUnavailable(Exception):
    """The store could not be asked, for a reason that does not lie in the reference: try again later."""


class SecretStore(ABC):
    """One kind of store. One object of it serves a process; several threads may call it at once."""

    # How a path is written, for people.
    form: ClassVar[str] = "PATH"

    def problems(self, path: str) -> list[str]:
        """Sentences that say what is wrong with a path; empty when nothing is. Asks nobody."""
        return []

    @abstractmethod
    def read(self, path: str) -> str:
        """The secret's text, within a few seconds; SecretNotFound, StoreUnavailable."""
