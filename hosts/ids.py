"""Primary keys: UUID version 7 (RFC 9562), so that rows made together lie together in the index."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A new key, greater than the ones made before in this process."""
    return uuid7()
