"""The form of a new host: fields of its kind, secrets that only go in."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from hosts.executors.config_fields import ConfigField
from hosts.executors.contract import ContainerExecutor
from hosts.models import DockerHost, RequestVerb
from tests.admin_ui.host_pages import page
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


def test_the_wizard_offers_every_kind_and_a_field_for_each_declared_setting(operator: Client) -> None:
    text = page(operator, "admin:host_new")
    for kind in ("docker", "swarm", "process", "cloudrun", "fargate"):
        assert f"?kind={kind}" in text
    named = {"docker": "tls_ca_cert", "process": "root", "cloudrun": "project", "fargate": "subnets"}
    for kind, name in named.items():
        assert f'name="setting-{name}"' in page(operator, "admin:host_new", query=f"?kind={kind}")


def typed(**values: object) -> dict[str, object]:
    return {
        "name": "new",
        "weight": 100,
        "max_concurrent_jobs": 10,
        "labels": "{}",
        "setting-init": "on",
        **values,
    }


def test_a_new_host_is_saved_switched_off_and_a_test_is_asked_for(operator: Client) -> None:
    url = f"{reverse('admin:host_new')}?kind=docker"
    values = typed(
        **{"setting-base_url": "unix:///run/x.sock", "setting-timeout": "20", "labels": '{"gpu": "a"}'}
    )
    answer = operator.post(url, values)
    host = DockerHost.objects.get(name="new")
    assert answer["Location"] == reverse("admin:host_test", args=[host.pk])
    assert (host.is_active, host.connection_string, host.labels) == (
        False,
        "unix:///run/x.sock",
        {"gpu": "a"},
    )
    assert host.executor_config == {"timeout": 20}, "what is as usual is not stored"
    assert host.requests.get().verb == RequestVerb.EXAMINE
    assert "added" in page(operator, "admin:host", host.pk)


def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_saved(operator: Client) -> None:
    url = f"{reverse('admin:host_new')}?kind=docker"
    answer = operator.post(url, typed(**{"setting-base_url": "gopher://x"}))
    form = answer.context["form"]
    assert "must start with unix://" in str(form.errors["setting-base_url"])
    answer = operator.post(
        url, typed(**{"setting-tls_ca_cert": "/nowhere/ca.pem", "setting-base_url": "tcp://h:1"})
    )
    assert "there is no file" in str(answer.context["form"].errors["setting-tls_ca_cert"])
    for others in ("[1]", '{"timeout": 3}', "{"):
        answer = operator.post(url, typed(others=others))
        assert "others" in answer.context["form"].errors, others
    secret = operator.post(
        url, typed(others='{"registries": {"r": {"username": "u", "password": "hidden"}}}')
    )
    assert secret.context["form"].errors
    assert not DockerHost.objects.exists()
    needed = operator.post(f"{reverse('admin:host_new')}?kind=fargate", typed())
    assert {"setting-cluster", "setting-subnets"} <= set(needed.context["form"].errors)


def test_a_secret_goes_in_and_never_comes_out(operator: Client) -> None:
    values = typed(
        **{
            "setting-cluster": "c",
            "setting-subnets": "subnet-1\nsubnet-2",
            "setting-aws_access_key_id": "AKIA",
            "setting-aws_secret_access_key": "very-hidden",
            "setting-assign_public_ip": "DISABLED",
        }
    )
    operator.post(f"{reverse('admin:host_new')}?kind=fargate", values)
    host = DockerHost.objects.get(name="new")
    assert host.secret_config == {"aws_secret_access_key": "very-hidden"}
    assert host.executor_config["subnets"] == ["subnet-1", "subnet-2"]
    assert "aws_secret_access_key" not in host.executor_config
    edit = reverse("admin:host_edit", args=[host.pk])
    for url in (edit, reverse("admin:host", args=[host.pk]), reverse("admin:host_test", args=[host.pk])):
        assert "very-hidden" not in operator.get(url).content.decode()
    assert "set, not shown" in page(operator, "admin:host", host.pk)
    values |= {"setting-aws_secret_access_key": "", "setting-cluster": "d"}
    operator.post(edit, values)
    host = DockerHost.objects.get(pk=host.pk)
    assert (host.executor_config["cluster"], host.secret_config) == (
        "d",
        {"aws_secret_access_key": "very-hidden"},
    )
    values |= {"forget-aws_secret_access_key": "on", "setting-aws_access_key_id": ""}
    operator.post(edit, values)
    assert DockerHost.objects.get(pk=host.pk).secret_config == {}


def test_an_edit_keeps_what_others_wrote_meanwhile_and_what_has_no_field(operator: Client) -> None:
    host = make_host(
        "alpha", executor_config={"tls_verify": False, "base_url": "tcp://h:1"}, connection_string=""
    )
    edit = reverse("admin:host_edit", args=[host.pk])
    text = operator.get(edit).content.decode()
    assert 'value="tcp://h:1"' in text
    DockerHost.objects.filter(pk=host.pk).update(availability="cordoned", state="online")
    values = typed(**{"name": "alpha", "setting-base_url": "tcp://h:2", "setting-tls_verify": "False"})
    assert operator.post(edit, values).status_code == 302
    host.refresh_from_db()
    assert (host.availability, host.state) == ("cordoned", "online")
    assert (host.connection_string, host.executor_config) == ("tcp://h:2", {"tls_verify": False})


class Declaring(ContainerExecutor):
    """Somebody else's executor, with settings of its own."""

    config_fields = (
        ConfigField(name="region", label="Region", required=True, kind="choice", choices=("north", "south")),
        ConfigField(name="key", label="Key", kind="secret"),
    )
    secret_settings = frozenset({"key"})

    def launch_job(self, job: object) -> tuple[bool, str]:
        return False, "never"


class Silent(ContainerExecutor):
    """One that declares nothing."""

    def launch_job(self, job: object) -> tuple[bool, str]:
        return False, "never"


def test_executors_of_others_get_a_form_too(operator: Client, settings: object) -> None:
    settings.TALLYMAN_EXECUTORS = {
        "declaring": f"{__name__}.Declaring",
        "silent": f"{__name__}.Silent",
    }
    operator.post(
        f"{reverse('admin:host_new')}?kind=declaring",
        typed(**{"name": "one", "setting-region": "south", "setting-key": "hidden"}),
    )
    one = DockerHost.objects.get(name="one")
    assert (one.executor_config, one.secret_config) == ({"region": "south"}, {"key": "hidden"})
    operator.post(
        f"{reverse('admin:host_new')}?kind=silent",
        typed(**{"name": "two", "setting-base_url": "mine://x", "others": '{"any": [1]}'}),
    )
    two = DockerHost.objects.get(name="two")
    assert (two.connection_string, two.executor_config) == ("mine://x", {"any": [1]})
