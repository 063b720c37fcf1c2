from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs import trends
from tests.admin_ui.commands import Meanwhile


@pytest.fixture(autouse=True)
def _no_trends() -> None:
    """A process remembers what ended; each test is another installation."""
    trends.DAY.forget()
    trends.WEEK.forget()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """What a worker and a person do while a command waits."""
    return Meanwhile(monkeypatch)


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client
