"""What hosts may be: said by full_clean to people, and by the database to everybody else."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from hosts.models import Availability, DockerHost, HostState, Installation
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db

LIMITS = [
    ("weight", 0),
    ("weight", 1001),
    ("max_concurrent_jobs", 0),
    ("max_concurrent_jobs", 1001),
]


def host(**fields) -> DockerHost:
    return DockerHost(**{"name": "host-a", "connection_string": "unix:///run/docker.sock", **fields})


@pytest.mark.parametrize(("field", "value"), LIMITS)
def test_a_value_beyond_a_limit_is_explained(field, value):
    with pytest.raises(ValidationError) as caught:
        host(**{field: value}).full_clean()
    assert list(caught.value.message_dict) == [field]


@pytest.mark.parametrize(("field", "value"), [*LIMITS, ("weight", -1), ("max_concurrent_jobs", -1)])
def test_a_value_beyond_a_limit_does_not_get_past_the_database(field, value):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_host(**{field: value})
    there = make_host()
    with pytest.raises(IntegrityError), transaction.atomic():
        DockerHost.objects.filter(pk=there.pk).update(**{field: value})


@pytest.mark.parametrize("field", ["weight", "max_concurrent_jobs"])
@pytest.mark.parametrize("value", [1, 1000])
def test_the_limits_themselves_are_allowed(field, value):
    host(**{field: value}).full_clean()
    make_host(**{field: value})


@pytest.mark.parametrize("name", ["a", "9", "Host-1.example_com"])
def test_a_name_may_be(name):
    host(name=name).full_clean()


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "a\n", "x" * 101])
def test_a_name_may_not_be(name):
    with pytest.raises(ValidationError) as caught:
        host(name=name).full_clean()
    assert list(caught.value.message_dict) == ["name"]


@pytest.mark.parametrize("field", ["name", "engine_id"])
def test_names_and_engines_belong_to_one_host_each(field):
    make_host(**{"name": "one", field: "same"})
    with pytest.raises(IntegrityError), transaction.atomic():
        make_host(**{"name": "other", field: "same"})


def test_hosts_that_were_never_seen_do_not_share_an_engine():
    assert make_host("one").engine_id is make_host("other").engine_id is None


def test_the_address_may_stand_in_either_field():
    url = "unix:///run/docker.sock"
    assert host(connection_string=url).base_url == url
    assert host(connection_string="", executor_config={"base_url": url}).base_url == url
    host(connection_string="", executor_config={"base_url": url}).full_clean()
    host(connection_string=url, executor_config={"base_url": url}).full_clean()


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("connection_string", {"executor_config": {"base_url": "unix:///run/other.sock"}}),
        ("executor_config", {"executor_config": ["base_url"]}),
        ("executor_config", {"executor_config": {"timeout": "soon"}}),
        ("executor_config", {"connection_string": "gopher://engine"}),
        ("executor_type", {"executor_type": "abacus"}),
    ],
)
def test_settings_that_no_executor_can_work_with_are_explained(field, fields):
    with pytest.raises(ValidationError) as caught:
        host(**fields).full_clean()
    assert field in caught.value.message_dict


def test_credentials_reach_the_executor_and_are_not_printed():
    installation = Installation.objects.create(database_identity="here")
    view = host(executor_config={"timeout": 5}, secret_config={"password": "s3cret"}).view(installation.id)
    assert view.config == {"timeout": 5, "password": "s3cret"}
    assert view.installation == installation.id
    assert "s3cret" not in repr(view)


@pytest.mark.parametrize(
    ("fields", "is_active", "is_claiming"),
    [
        ({}, True, True),
        ({"availability": Availability.CORDONED}, True, False),
        ({"availability": Availability.DRAINING}, True, False),
        ({"is_active": False}, False, False),
        ({"archived_at": "2026-01-01T00:00:00Z"}, False, False),
        ({"state": HostState.UNREACHABLE}, True, True),
    ],
)
def test_operators_say_which_hosts_shall_have_a_worker_and_which_jobs(fields, is_active, is_claiming):
    make_host(**fields)
    assert DockerHost.objects.active().exists() is is_active
    assert DockerHost.objects.claiming().exists() is is_claiming


def test_a_host_is_known_by_its_name():
    assert str(make_host("berlin-1")) == "berlin-1"
