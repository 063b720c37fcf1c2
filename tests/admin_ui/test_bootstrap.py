"""bootstrap: what it makes where nothing is, and that it leaves alone what is there."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User

from hosts.errors import DockerConnectionError
from hosts.executors.contract import EngineFacts
from hosts.executors.docker import DockerExecutor
from hosts.models import DockerHost
from jobs.models import ContainerJob, ContainerTemplate
from tests.admin_ui.commands import manage
from tests.support.docker_contexts import make_context
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_docker(monkeypatch, tmp_path):
    """No engine answers, unless a test says that one does; Docker's own configuration is empty."""

    def refuse(_self):
        raise DockerConnectionError("nothing there")

    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(DockerExecutor, "check", refuse)


@pytest.fixture
def docker(monkeypatch):
    """An engine answers wherever it is asked; the list of timeouts it was asked with."""
    timeouts = []

    def answer(self):
        timeouts.append(self.config["timeout"])
        return EngineFacts(engine_id="e", version="27.1")

    monkeypatch.setattr(DockerExecutor, "check", answer)
    return timeouts


def everything():
    return [
        list(model.objects.order_by("pk").values())
        for model in (User, DockerHost, ContainerTemplate, ContainerJob)
    ]


def test_the_password_is_printed_once_and_works():
    first = manage("bootstrap").text
    (password,) = re.findall(r"Password: (\S+)", first)
    user = authenticate(username="admin", password=password)
    assert user == User.objects.get(is_superuser=True)
    assert "Password" not in manage("bootstrap").text


def test_a_second_run_changes_nothing():
    assert manage("bootstrap").code == 0
    before = everything()
    assert manage("bootstrap").code == 0
    assert everything() == before


def test_without_an_engine_jobs_are_processes_of_this_machine():
    text = manage("bootstrap").text
    host = DockerHost.objects.get()
    assert (host.name, host.executor_type, host.base_url) == ("local", "process", "")
    assert "nothing there" in text
    assert "without containers" in text


def test_where_processes_are_not_allowed_there_is_no_host(settings):
    settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR = False
    assert "manage_docker_host add" in manage("bootstrap").text
    assert not DockerHost.objects.exists()


def test_the_local_engine_is_asked_for_two_seconds(docker):
    text = manage("bootstrap").text
    host = DockerHost.objects.get()
    assert (host.name, host.executor_type) == ("local", "docker")
    assert host.base_url == "unix:///var/run/docker.sock"
    assert host.executor_config == {}
    assert docker == [2]
    assert "Docker engine at unix:///var/run/docker.sock" in text


def test_docker_host_and_its_certificates_are_used(docker, monkeypatch, tmp_path):
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine.example:2376")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    manage("bootstrap")
    host = DockerHost.objects.get()
    assert host.base_url == "tcp://engine.example:2376"
    assert host.executor_config["tls_ca_cert"] == str(tmp_path / "ca.pem")


def test_the_context_in_use_is_followed_with_its_certificates(docker, tmp_path):
    tls = make_context(tmp_path / "docker", "far", Host="tcp://engine.example:2376")
    files = {"tls_ca_cert": "ca.pem", "tls_client_cert": "cert.pem", "tls_client_key": "key.pem"}
    for name in files.values():
        (tls / name).touch()
    (tmp_path / "docker/config.json").write_text('{"currentContext": "far"}')
    text = manage("bootstrap").text
    host = DockerHost.objects.get()
    assert (host.executor_type, host.base_url) == ("docker", "https://engine.example:2376")
    paths = {key: str(tls / name) for key, name in files.items()}
    assert host.executor_config == {"tls_verify": True, **paths}
    assert "by the context 'far'" in text


def test_a_context_that_is_not_there_is_said_and_jobs_are_processes(docker, tmp_path):
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text('{"currentContext": "gone"}')
    assert "There is no Docker context 'gone'" in manage("bootstrap").text
    assert DockerHost.objects.get().executor_type == "process"


def test_an_address_at_which_nobody_answers_is_said(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://somebody@engine.invalid")
    assert "No Docker engine answers at ssh://somebody@engine.invalid" in manage("bootstrap").text
    assert DockerHost.objects.get().executor_type == "process"


def test_what_exists_is_left_alone():
    make_host("mine")
    User.objects.create_superuser("root", password="x")
    ContainerTemplate.objects.create(name="hello", docker_image="mine:1")
    text = manage("bootstrap").text
    assert DockerHost.objects.get().name == "mine"
    assert User.objects.get().username == "root"
    assert ContainerTemplate.objects.get().docker_image == "mine:1"
    assert ContainerJob.objects.get().template.name == "hello"
    assert "Password" not in text


def test_a_user_called_admin_is_not_made_a_superuser():
    User.objects.create_user("admin")
    assert "createsuperuser" in manage("bootstrap").text
    assert not User.objects.get().is_superuser
