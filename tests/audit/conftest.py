from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import audit_guards


@pytest.fixture
def guarded(transactional_db: None) -> Iterator[None]:
    """A database that refuses what an installation's does."""
    audit_guards.install()
    yield
    audit_guards.remove()
