"""Pages of hosts, as their tests ask for them."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    answer = client.get(f"{reverse(name, args=args)}{query}")
    assert answer.status_code == 200, answer
    return answer.content.decode()
