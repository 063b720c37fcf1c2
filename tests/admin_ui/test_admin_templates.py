"""Container options in the form of a template."""

from __future__ import annotations

import pytest

from hosts.executors import option_reader
from jobs.models import ContainerTemplate
from tests.admin_ui.test_admin_pages import template_form, url

pytestmark = pytest.mark.django_db

OPTIONS = {
    "entrypoint": "tini --",
    "user": "app",
    "container_labels": '{"team": "billing"}',
    "volumes": '["cache:/cache"]',
    "tmpfs": '{"/tmp": "size=1m"}',
    "extra_hosts": '{"db": "10.0.0.5"}',
    "ports": '["8080"]',
    "resources": '{"pids": 9}',
    "security": '{"read_only": true}',
}


def test_every_option_is_edited_in_the_form_and_emptied_again(admin_client):
    assert set(OPTIONS) == set(option_reader.FIELDS)
    admin_client.post(url(ContainerTemplate, "add"), template_form(**OPTIONS))
    template = ContainerTemplate.objects.get()
    assert (template.entrypoint, template.user, template.volumes) == ("tini --", "app", ["cache:/cache"])
    assert (template.resources, template.security) == ({"pids": 9}, {"read_only": True})

    empty = template_form(**dict.fromkeys(OPTIONS, ""), retry_on="")
    response = admin_client.post(url(ContainerTemplate, "change", template.pk), empty)

    template.refresh_from_db()
    assert response.status_code == 302
    assert [getattr(template, name) for name in OPTIONS] == ["", "", {}, [], {}, {}, [], {}, {}]
    assert template.retry_on == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"volumes": '["/data"]'}, "write SOURCE:TARGET"),
        ({"security": '{"privilege": true}'}, "write some of: read_only"),
        ({"container_labels": '{"tallyman.job": "x"}'}, "use another prefix"),
        ({"resources": '{"swap_mb": 64}'}, "give the template a memory_limit"),
        ({"ports": "8080"}, "must be a JSON list of texts"),
    ],
)
def test_what_cannot_be_used_is_said_in_the_form_and_nothing_is_stored(admin_client, fields, words):
    response = admin_client.post(url(ContainerTemplate, "add"), template_form(**fields))

    assert words in response.content.decode()
    assert not ContainerTemplate.objects.exists()
