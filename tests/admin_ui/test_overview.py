"""The dashboard: what it counts, what it says asks for somebody, and what each viewer sees of it."""

from __future__ import annotations

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db


def test_open(admin_client):
    for name in (
        "index",
        "part_dashboard",
        "supervisor",
        "part_supervisor",
        "templates",
        "part_templates",
        "tables",
        "chart_finished",
    ):
        answer = admin_client.get(reverse(f"admin:{name}"))
        assert answer.status_code == 200, name
