"""Every page, sent whatever somebody may send: an answer each time, and never a server error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from hypothesis import given, note
from hypothesis import strategies as st

from admin_ui.models import SavedView
from hosts.models import DockerHost
from jobs.models import ContainerJob, ContainerTemplate
from jobs.states import AttemptState, Outcome
from tests.fuzz import nasty
from tests.fuzz.settings import fuzzed
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import out, store
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

_NAMES = ("q", "page", "after", "before", "stream", "attempt", "id", "all", "since", "zone", "from", "count")


def names_of(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every named address, `namespace:name`, with the names of what it has in it."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            space = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
            yield from names_of(pattern.url_patterns, space)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield prefix + pattern.name, tuple(pattern.pattern.converters or _groups(pattern))


def _groups(pattern: URLPattern) -> tuple[str, ...]:
    return tuple(getattr(pattern.pattern, "regex", re.compile("")).groupindex)


ADDRESSES = sorted(set(names_of(get_resolver().url_patterns)))
SHARES = 8


class Fields(HTMLParser):
    """The names that a page's forms and links send."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set(_NAMES)
        self.verbs: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "name" and tag in {"input", "select", "textarea", "button"} and value:
                self.names.add(value)
            if key in {"href", "hx-get", "hx-post", "action"} and value:
                self.names |= {name for name, _ in parse_qsl(urlsplit(value).query, keep_blank_values=True)}


class Site:
    """An installation in which something of everything is there."""

    def __init__(self) -> None:
        self.host = make_host("a")
        self.template = make_template("t")
        attempt = make_attempt(AttemptState.RUNNING, job=make_job(self.template, self.host))
        store(attempt, *(out(f"{n}\n", n) for n in range(5)))
        ended = make_attempt(AttemptState.EXITED, job=make_job(self.template, self.host))
        end(ended, Outcome.USER, job_status="failed")
        make_job(self.template)
        self.job = attempt.job
        self.user = User.objects.create_superuser("somebody", password="x")
        self.view = SavedView.objects.create(owner=self.user, name="v", query="status=failed")
        self.client = Client()
        self.client.force_login(self.user)

    def value_of(self, address: str, name: str) -> Any:
        """What fits into the address there."""
        if name in {"job_id", "host_id", "view_id"}:
            return {"job_id": self.job.pk, "host_id": self.host.pk, "view_id": self.view.pk}[name]
        if name == "pk" and "otp_" in address:
            return 1
        if name == "pk":
            return self.template.pk
        if name == "object_id":
            models = {"dockerhost": DockerHost, "containertemplate": ContainerTemplate}
            model = next((model for part, model in models.items() if part in address), ContainerJob)
            return getattr(model.objects.first(), "pk", "1")
        return {"kind": "csv", "app_label": "jobs", "content_type_id": 1, "path": "nothing"}.get(name, "x")


@pytest.mark.parametrize("share", range(SHARES))
def test_every_page_answers_whatever_it_is_sent(share: int) -> None:
    site = Site()
    for address, parts in ADDRESSES[share::SHARES]:
        _fuzz(site, reverse(address, kwargs={part: site.value_of(address, part) for part in parts}))


def _fuzz(site: Site, url: str) -> None:
    names = st.sampled_from(sorted(Fields(_text(site.client.get(url))).names))
    sent = st.dictionaries(names, st.lists(nasty.words, min_size=1, max_size=2), max_size=4)

    @fuzzed
    @given(query=sent, form=sent, htmx=st.booleans())
    def answers(query: dict[str, list[str]], form: dict[str, list[str]], htmx: bool) -> None:
        note(url)
        headers = {"hx-request": "true"} if htmx else {}
        with transaction.atomic():
            _read(site.client.get(url, query, headers=headers))
            if "logout" not in url:
                _read(site.client.post(url, form, query_params=query, headers=headers))
            transaction.set_rollback(True)

    answers()


def _text(answer: Any) -> str:
    return _read(answer).decode(errors="replace")


def _read(answer: Any) -> bytes:
    """All of it: what streams is made only now."""
    assert answer.status_code != 500
    return b"".join(answer.streaming_content) if answer.streaming else bytes(answer.content)
