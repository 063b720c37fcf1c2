"""`docker run` as a job's page writes it: a real client takes it, and the container is as the job's."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest

from admin_ui.pages.job import equivalents
from jobs import spec
from jobs.models import ContainerTemplate, EnvironmentVariable
from tests.support.factories import make_job
from tests.support.requirements import missing

pytestmark = pytest.mark.django_db
SAYS = 'echo "$0 $1 $COLOUR $KEY $(id -u) $(pwd) $(cat /etc/hosts | grep -c wiki)"; touch /nowhere || mount'


def line(template: ContainerTemplate, **fields: object) -> list[str]:
    template.full_clean()
    template.save()
    job = make_job(template, **fields)
    variables = template.environment_variables.all()
    return equivalents.run(spec.freeze(job, template, variables, []))


@pytest.mark.docker
def test_a_real_client_runs_what_the_page_shows(docker_engine):
    client = shutil.which("docker")
    if client is None:
        missing("docker", "there is no docker command")
    template = ContainerTemplate(
        name="all",
        docker_image="busybox:latest",
        entrypoint=f"sh -c {shlex.quote(SAYS)}",
        command="zero 'a b'",
        user="1000",
        working_directory="/tmp",
        memory_limit=64,
        cpu_limit="0.5",
        stop_signal="SIGINT",
        tmpfs={"/scratch": "size=1m"},
        extra_hosts={"wiki": "10.0.0.5"},
        container_labels={"team": "billing"},
        resources={"pids": 64, "shm_mb": 8, "ulimits": {"nofile": [128, 256]}},
        security={"read_only": True, "cap_drop": ["ALL"], "init": True},
    )
    words = line(template, override_environment={"COLOUR": "light blue"}, secret_environment={"KEY": "k3y"})
    assert "k3y" not in words
    done = subprocess.run(
        [str(client), "--host", docker_engine.url, *words],
        env={**os.environ, "KEY": "k3y"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[0] == "zero a b light blue k3y 1000 /tmp 1", done.stderr
    assert "Read-only file system" in done.stderr
    assert "on /scratch type tmpfs (rw,nosuid,nodev,noexec,relatime,size=1024k" in done.stdout
    assert done.returncode == 0, done.stderr


def test_what_the_template_leaves_open_is_left_open():
    words = line(ContainerTemplate(name="bare", docker_image="busybox"))
    assert words == ["run", "--rm", "--security-opt", "no-new-privileges", "busybox"]


def test_mounts_ports_and_gpus_are_written_as_the_client_reads_them():
    template = ContainerTemplate(
        name="more",
        docker_image="busybox",
        volumes=["cache:/cache", "/srv/data:/data:ro"],
        ports=["127.0.0.1:9000:80/udp"],
        tty=True,
        resources={"gpus": ["0", "1"]},
    )
    text = shlex.join(line(template))
    assert "--tty" in text
    assert "--volume cache:/cache --volume /srv/data:/data:ro" in text
    assert "--publish 127.0.0.1:9000:80/udp" in text
    assert "--gpus '\"device=0,1\"'" in text


def test_a_variable_under_a_telling_name_is_named_only():
    template = ContainerTemplate(name="telling", docker_image="busybox")
    template.save()
    EnvironmentVariable.objects.create(template=template, key="DB_PASSWORD", value="hunter2")
    words = line(template)
    assert words[2:4] == ["--env", "DB_PASSWORD"]
