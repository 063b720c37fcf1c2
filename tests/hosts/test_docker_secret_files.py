"""Secrets as files in memory, on a real engine: who can read them, and that nothing of them is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.errors import ContainerExecutionError, DockerConnectionError
from hosts.executors import option_reader
from hosts.executors.contract import JobView
from hosts.executors.docker import DockerExecutor, secret_files, secret_mounts
from hosts.executors.frames import STDOUT
from tests.support import certificates
from tests.support.containers import host_view, launch, read_log, run, script, until_exited, written
from tests.support.relay import Relay

pytestmark = pytest.mark.docker

SECRET = "hunter2-planted-secret"
PLANTED = {"PASSWORD": SECRET, "KEY_PEM": f"-----BEGIN X-----\n{SECRET}\n", "PLAIN": "p"}


def job(text: str, **options: object) -> JobView:
    fields = {"options": option_reader.read(options)} if options else {}
    names = frozenset({"PASSWORD", "KEY_PEM"})
    return script(text, template=fields, environment=PLANTED, secret_names=names, secret_files=names)


@pytest.fixture
def volumes(docker_engine) -> Iterator[None]:
    """No volume is left that was not there before."""
    before = {one["Name"] for one in docker_engine.api.volumes()["Volumes"] or []}
    yield
    after = {one["Name"] for one in docker_engine.api.volumes()["Volumes"] or []}
    assert after == before


def said(executor: DockerExecutor, container_id: str) -> str:
    return written(read_log(executor, container_id), STDOUT).decode()


def output(executor: DockerExecutor, view: JobView) -> str:
    seen = run(executor, view)
    text = said(executor, seen.container_id)
    executor.remove(seen.container_id)
    return text


def test_a_container_finds_its_secrets_in_files_and_not_in_its_environment(executor, volumes):
    text = output(
        executor,
        job("cd /run/secrets; cat PASSWORD; echo; cat KEY_PEM; env; stat -c '%n %a %u' $PWD/*"),
    )
    lines = text.splitlines()
    assert lines[:3] == [SECRET, "-----BEGIN X-----", SECRET]
    assert {"PASSWORD_FILE=/run/secrets/PASSWORD", "KEY_PEM_FILE=/run/secrets/KEY_PEM", "PLAIN=p"} <= set(
        lines
    )
    assert not any(line.startswith(("PASSWORD=", "KEY_PEM=")) for line in lines)
    assert {"/run/secrets/PASSWORD 400 0", "/run/secrets/KEY_PEM 400 0"} <= set(lines)


def test_the_folder_is_in_memory_and_runs_nothing(executor, volumes):
    text = output(executor, job("grep ' /run/secrets ' /proc/mounts"))
    place, folder, kind, options = text.split()[:4]
    assert (place, folder, kind) == ("tmpfs", "/run/secrets", "tmpfs")
    assert {"nosuid", "nodev", "noexec"} <= set(options.split(","))


@pytest.mark.parametrize("user", ["nobody", "65534", "1000:100"])
def test_the_files_are_the_containers_users_own_and_nobody_elses(executor, volumes, user):
    number = {"nobody": "65534"}.get(user, user.partition(":")[0])
    text = output(
        executor,
        job("id -u; cat /run/secrets/PASSWORD; echo; stat -c '%a %u' /run/secrets/PASSWORD", user=user),
    )
    assert text.split() == [number, SECRET, "400", number]


def test_another_user_of_the_container_cannot_read_them(executor, volumes):
    text = output(
        executor,
        job("chown 1000 /run/secrets/PASSWORD; cat /run/secrets/KEY_PEM || echo refused", user="1000"),
    )
    assert SECRET in text
    other = script(
        "cat /run/secrets/PASSWORD || echo refused",
        template={"options": option_reader.read({"security": {"cap_drop": ["ALL"]}})},
        environment=PLANTED,
        secret_names=frozenset({"PASSWORD"}),
        secret_files=frozenset({"PASSWORD"}),
    )
    container = executor.create(other).container_id
    executor._secret_files[container] = secret_mounts.Files(
        {"PASSWORD": SECRET}, executor._secret_files[container].labels
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret_files, "_owner", lambda *_args: (1000, 100))
        executor.start(container)
    until_exited(executor, container)
    assert said(executor, container).endswith("refused\n")
    executor.remove(container)


def test_a_read_only_container_with_a_tmpfs_around_finds_them_too(executor, volumes):
    options = {"security": {"read_only": True, "cap_drop": ["ALL"]}, "tmpfs": {"/run": "size=1m"}}
    assert output(executor, job("cat /run/secrets/PASSWORD", **options)) == SECRET


def test_while_it_runs_and_after_it_ended_no_disk_of_the_engine_has_them(executor, docker_engine, volumes):
    if not hasattr(docker_engine, "folder"):
        pytest.skip("the engine's disk cannot be looked at")
    container = launch(executor, job("cat /run/secrets/PASSWORD >/dev/null; sleep 60"))
    data = Path(docker_engine.folder) / "data"
    mounted = [
        line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if str(data) in line
    ]
    mine = [one for one in mounted if "/volumes/" in one]
    assert len(mine) == 1
    found = subprocess.run(
        ["grep", "-rIls", "--exclude-dir=_data", "-e", SECRET, str(data), str(docker_engine.folder / "log")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout == ""
    inspected = docker_engine.api.inspect_container(container)
    assert SECRET not in repr(inspected)
    executor.signal(container, "KILL")
    until_exited(executor, container)
    after = Path("/proc/self/mounts").read_text()
    assert mine[0] not in after
    assert list(Path(mine[0]).iterdir()) == []
    executor.remove(container)


def test_no_helper_is_left_nor_shown(executor, docker_engine, volumes):
    container = launch(executor, job("sleep 60"))
    assert [seen.container_id for seen in executor.list_containers()] == [container]
    assert len(docker_engine.api.containers(all=True, filters={"label": secret_mounts.HELPER})) == 0
    executor.remove(container, force=True)


def test_a_helper_of_a_start_that_was_cut_off_is_not_in_the_way(executor, docker_engine, volumes):
    view = job("cat /run/secrets/PASSWORD")
    container = executor.create(view).container_id
    files = executor._secret_files[container]
    client = executor._client
    image = docker_engine.api.inspect_container(container)["Image"]
    secret_files._make_helper(client, f"{view.container_name}-secrets", container, image, files.labels)
    assert [seen.container_id for seen in executor.list_containers()] == [container]
    executor.start(container)
    until_exited(executor, container)
    assert said(executor, container) == SECRET
    executor.remove(container)


def test_a_helper_that_was_left_behind_is_removed_when_containers_are_listed(
    executor, docker_engine, volumes, monkeypatch
):
    view = job("true")
    container = executor.create(view).container_id
    files = executor._secret_files[container]
    image = docker_engine.api.inspect_container(container)["Image"]
    name = f"{view.container_name}-secrets"
    secret_files._make_helper(executor._client, name, container, image, files.labels)
    executor.remove(container)
    assert executor.list_containers() == []
    assert len(docker_engine.api.containers(all=True, filters={"name": name})) == 1
    monkeypatch.setattr(secret_mounts, "LEFT_BEHIND_SECONDS", -1.0)
    executor.list_containers()
    assert docker_engine.api.containers(all=True, filters={"name": name}) == []


def test_a_stranger_with_the_helpers_name_is_left_alone(executor, docker_engine, volumes):
    view = job("true")
    container = executor.create(view).container_id
    stranger = docker_engine.api.create_container(
        "busybox:latest", "true", name=f"{view.container_name}-secrets"
    )
    with pytest.raises(ContainerExecutionError, match="not ours"):
        executor.start(container)
    seen = executor.observe(container)
    assert seen is not None
    assert seen.state == "created"
    docker_engine.api.remove_container(stranger["Id"], v=True)
    executor.remove(container)


def test_a_user_that_the_image_does_not_know_is_refused_before_anything_starts(executor, volumes):
    container = executor.create(job("true", user="stranger")).container_id
    with pytest.raises(ContainerExecutionError, match="no user 'stranger'"):
        executor.start(container)
    seen = executor.observe(container)
    assert seen is not None
    assert seen.started_at is None
    executor.remove(container)


@pytest.mark.parametrize("taken", [{"tmpfs": {"/run/secrets": ""}}, {"volumes": ["v:/run/secrets/x"]}])
def test_a_template_that_mounts_something_there_is_refused(executor, taken):
    with pytest.raises(ContainerExecutionError, match="/run/secrets"):
        executor.create(job("true", **taken))


def test_files_that_do_not_stay_are_never_started_with(executor, volumes, monkeypatch):
    import contextlib

    monkeypatch.setattr(secret_files, "_mounted", lambda *_args: contextlib.nullcontext())
    quick = DockerExecutor(host_view(executor.host.base_url, timeout=0.5))
    container = quick.create(job("true")).container_id
    with pytest.raises(DockerConnectionError, match="do not stay"):
        quick.start(container)
    seen = quick.observe(container)
    assert seen is not None
    assert seen.started_at is None
    quick.remove(container)


def test_a_far_engine_hands_them_over_as_well(docker_engine, volumes, tmp_path):
    """By TLS, with a key of ours that is no file on any disk."""
    files = certificates.make(tmp_path)
    key = files.key.read_text()
    trust = {"tls_ca_cert": str(files.ca), "tls_client_cert": str(files.certificate)}
    socket = docker_engine.url.removeprefix("unix://")
    with Relay(socket, tls=files.server_context()) as relay:
        files.key.unlink()
        far = DockerExecutor(host_view(relay.url, tls_client_key_pem=key, **trust))
        assert output(far, job("cat /run/secrets/PASSWORD")) == SECRET
        assert key not in repr(far._endpoint)
        far.close()
        # Without it, the engine lets nobody in.
        stranger = DockerExecutor(host_view(relay.url, tls_ca_cert=str(files.ca)))
        with pytest.raises(DockerConnectionError):
            stranger.check()
        stranger.close()


def test_on_podman_they_are_refused(monkeypatch):
    from hosts.executors.docker import podman, spec

    host = host_view("unix:///nowhere")
    body = spec.create_body(host, job("true"))
    with pytest.raises(ContainerExecutionError, match="Podman cannot be handed secrets as files"):
        podman.adapt(body)
