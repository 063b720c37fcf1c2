from __future__ import annotations

import pytest

from tests.admin_ui.commands import Meanwhile


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """What a worker and a person do while a command waits."""
    return Meanwhile(monkeypatch)
