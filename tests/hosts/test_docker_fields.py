"""Each field that describes a container, as a real container shows it."""

from __future__ import annotations

import pytest

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import Network, labels_for
from hosts.executors.docker import DockerExecutor
from hosts.executors.frames import STDERR, STDOUT
from tests.support.containers import host_view, job_view, read_log, run, script, written

pytestmark = pytest.mark.docker


@pytest.fixture
def networks(docker_engine, executor):
    """Two networks of users; whoever is in them leaves first."""
    made = [docker_engine.api.create_network(f"net-{name}-{executor.host.id}") for name in ("a", "b")]
    names = [docker_engine.api.inspect_network(network["Id"])["Name"] for network in made]
    yield names
    for seen in executor.list_containers():
        executor.remove(seen.container_id, force=True)
    for name in names:
        docker_engine.api.remove_network(name)


def _inspected(executor, docker_engine, job):
    return docker_engine.api.inspect_container(executor.create(job).container_id)


def _output(executor, job):
    return written(read_log(executor, run(executor, job).container_id), STDOUT)


def test_image(executor, docker_engine):
    docker_engine.api.tag("busybox:latest", "localhost/other", "v2", force=True)

    made = _inspected(
        executor, docker_engine, script("true", template={"docker_image": "localhost/other:v2"})
    )

    assert made["Config"]["Image"] == "localhost/other:v2"
    docker_engine.api.remove_image("localhost/other:v2")


def test_command_is_the_argv_word_by_word(executor):
    words = ["", "two words", "$HOME", "'quoted'", "ünï", "line\nbreak"]

    told = _output(
        executor, job_view("sh", "-c", 'for word in "$@"; do printf "[%s]" "$word"; done', "sh", *words)
    )

    assert told.decode() == "".join(f"[{word}]" for word in words)


def test_an_empty_command_is_the_images_own(executor, docker_engine):
    assert _inspected(executor, docker_engine, job_view())["Config"]["Cmd"] == ["sh"]


def test_working_directory(executor):
    assert _output(executor, script("pwd", template={"working_directory": "/var/work"})) == b"/var/work\n"
    assert _output(executor, script("pwd")) == b"/\n"


def test_environment(executor):
    values = {"PLAIN": "1", "EMPTY": "", "ODD": "a=b 'c' \"d\" $e ünï", "LINES": "one\ntwo"}

    told = _output(
        executor, script('printf "%s|" "$PLAIN" "$EMPTY" "$ODD" "$LINES"; env | wc -l', environment=values)
    )

    assert told.decode().startswith("".join(f"{value}|" for value in values.values()))


def test_memory_limit_leaves_no_swap(executor, docker_engine):
    job = script("true", template={"memory_limit": 128})

    limits = _inspected(executor, docker_engine, job)["HostConfig"]

    assert (limits["Memory"], limits["MemorySwap"]) == (128 * 2**20, 128 * 2**20)


def test_cpu_limit(executor, docker_engine):
    job = script("true", template={"cpu_limit": 0.75})

    assert _inspected(executor, docker_engine, job)["HostConfig"]["NanoCpus"] == 750_000_000


def test_without_limits_there_are_none(executor, docker_engine):
    limits = _inspected(executor, docker_engine, script("true"))["HostConfig"]

    assert (limits["Memory"], limits["NanoCpus"]) == (0, 0)


def test_networks_and_aliases(executor, docker_engine, networks):
    one, other = networks
    job = script(
        "sleep 60", networks=(Network(name=one, aliases=("web", "db")), Network(name=other, aliases=("x",)))
    )

    container_id = executor.create(job).container_id
    executor.start(container_id)

    joined = docker_engine.api.inspect_container(container_id)["NetworkSettings"]["Networks"]
    assert set(joined) == {one, other}
    assert set(joined[one]["Aliases"]) >= {"web", "db"}
    assert "x" in joined[other]["Aliases"]
    assert all(network["IPAddress"] for network in joined.values())
    assert executor.observe(container_id).metadata["network"] == one


def test_a_network_without_aliases(executor, networks):
    job = script("ip -4 -o addr show scope global | wc -l", networks=(Network(name=networks[0]),))

    assert _output(executor, job) == b"1\n"


def test_without_a_network_it_joins_the_engines_default(executor, docker_engine):
    made = _inspected(executor, docker_engine, script("true"))

    assert made["HostConfig"]["NetworkMode"] == "default"
    assert run(executor, script("ip link show lo")).exit_code == 0


def test_a_missing_network_starts_nothing(executor):
    container_id = executor.create(script("true", networks=(Network(name="nowhere"),))).container_id

    with pytest.raises(ContainerExecutionError, match="nowhere") as caught:
        executor.start(container_id)

    assert caught.value.failure_class == "network_missing"
    assert executor.observe(container_id).started_at is None


def test_a_network_that_cannot_be_joined_leaves_no_container(docker_engine, networks):
    executor = DockerExecutor(host_view(docker_engine.url, policy={"root": True, "host_network": True}))
    job = script("true", networks=(Network(name="host"), Network(name=networks[0])))

    with pytest.raises(ContainerExecutionError) as caught:
        executor.create(job)

    assert caught.value.failure_class == "create_refused"
    assert executor.observe(job.container_name) is None


def test_a_first_process_buries_orphans_unless_the_host_says_no(executor, docker_engine):
    assert _inspected(executor, docker_engine, script("true"))["HostConfig"]["Init"] is True
    assert _output(executor, script("cat /proc/1/comm")) == b"docker-init\n"

    bare = DockerExecutor(host_view(docker_engine.url, init=False))
    made = bare.create(script("true"))
    assert docker_engine.api.inspect_container(made.container_id)["HostConfig"]["Init"] is False
    bare.remove(made.container_id)
    bare.close()


def test_log_driver_is_said_and_never_rotates(executor, docker_engine):
    options = {"max-size": "2g", "max-file": "2", "compress": "false"}
    log = _inspected(executor, docker_engine, script("true"))["HostConfig"]["LogConfig"]
    assert log == {"Type": "local", "Config": options}

    roomy = DockerExecutor(host_view(docker_engine.url, log_max_size="5g"))
    made = roomy.create(script("true"))
    log = docker_engine.api.inspect_container(made.container_id)["HostConfig"]["LogConfig"]
    assert log["Config"] == {**options, "max-size": "5g"}
    roomy.remove(made.container_id)
    roomy.close()


def test_labels(executor, docker_engine):
    job = script("true", attempt=3, epoch=14)

    labels = _inspected(executor, docker_engine, job)["Config"]["Labels"]

    assert labels == labels_for(executor.host, job)
    assert (labels["tallyman.attempt"], labels["tallyman.epoch"]) == ("3", "14")


def test_it_is_neither_restarted_nor_removed_by_the_engine(executor, docker_engine):
    how = _inspected(executor, docker_engine, script("true"))["HostConfig"]

    assert how["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert how["AutoRemove"] is False


def test_safe_defaults(executor, docker_engine):
    how = _inspected(executor, docker_engine, script("true"))["HostConfig"]

    assert how["SecurityOpt"] == ["no-new-privileges"]
    assert how["PidsLimit"] == 4096
    assert how["Privileged"] is False


def test_how_it_is_to_be_stopped(executor, docker_engine):
    job = job_view("true", template={"stop_signal": "SIGUSR1", "stop_grace_seconds": 7})
    config = _inspected(executor, docker_engine, job)["Config"]
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGUSR1", 7)


def test_a_signal_that_is_none_keeps_no_container_from_being_made(executor, docker_engine):
    job = job_view("true", template={"stop_signal": "SIGNONE"})
    assert "StopSignal" not in _inspected(executor, docker_engine, job)["Config"]


def test_a_terminal_is_given(executor, docker_engine):
    assert _inspected(executor, docker_engine, job_view("true", tty=True))["Config"]["Tty"] is True


def test_no_terminal_and_both_streams_apart(executor, docker_engine):
    job = script("echo out; echo err >&2; test -t 0 || echo no terminal")
    made = _inspected(executor, docker_engine, job)["Config"]
    assert (made["Tty"], made["OpenStdin"]) == (False, False)

    executor.start(executor.observe(job.container_name).container_id)
    log = read_log(executor, job.container_name, follow=True)

    assert written(log, STDOUT) == b"out\nno terminal\n"
    assert written(log, STDERR) == b"err\n"
