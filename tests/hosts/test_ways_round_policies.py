"""Every field by which a template or a job could get more than a host's policy allows. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from hosts import policy, sensitive
from hosts.executors import option_reader
from hosts.executors.docker import spec
from hosts.executors.option_reader import OptionError
from tests.support.containers import host_view, job_view

ENGINE = "/srv/engine.sock"


def against(rules: dict[str, Any], *, image: str = "busybox", networks=(), **options: Any) -> str:
    """What such a policy has against a container with these options, as a template writes them."""
    read = option_reader.read(options)
    return " ".join(policy.refusals(rules, image, read, networks, socket=ENGINE))


# The field, what it says, the words of the refusal, and the policy that allows it all the same (None: none).
FORBIDDEN: tuple[tuple[str, Any, str, dict[str, Any] | None], ...] = (
    ("user", "0", "root", {"root": True}),
    ("user", "00:100", "root", {"root": True}),
    ("user", "root", "root", {"root": True}),
    ("user", "app", "by another name", {"root": True}),
    ("volumes", ["/srv/data:/data"], "/srv/data", {"paths": ["/srv"]}),
    ("volumes", ["/srv/data:/data"], "for writing", None),
    ("volumes", ["/var/run/docker.sock:/s"], "docker.sock", {"paths": ["/var/run/docker.sock"]}),
    ("volumes", ["/run/docker.sock:/s:ro"], "docker.sock", {"paths": ["/run/docker.sock:ro"]}),
    ("volumes", [f"{ENGINE}:/s"], ENGINE, {"paths": [ENGINE]}),
    ("volumes", ["/proc/1/root/srv:/x:ro"], "/proc", {"paths": ["/proc/1/root"]}),
    ("volumes", ["/etc:/x:ro"], "/etc", {"paths": ["/etc:ro"]}),
    ("volumes", ["/var/lib/docker/volumes:/x:ro"], "/var/lib/docker", {"paths": ["/var/lib/docker:ro"]}),
    ("security", {"privileged": True}, "privileged", {"privileged": True}),
    ("security", {"host_pid": True}, "host_pid", {"host_pid": True}),
    ("security", {"no_new_privileges": False}, "gain privileges", {"new_privileges": True}),
    ("security", {"cap_add": ["SYS_ADMIN"]}, "SYS_ADMIN", {"capabilities": ["CAP_SYS_ADMIN"]}),
    ("security", {"cap_add": ["cap_sys_admin"]}, "SYS_ADMIN", {"capabilities": ["sys_admin"]}),
    ("security", {"cap_add": ["ALL"]}, "capability ALL", {"capabilities": ["ALL"]}),
    ("security", {"devices": ["/dev/sda:/dev/null:r"]}, "/dev/sda", {"devices": ["/dev/sda"]}),
    ("resources", {"gpus": "all"}, "GPUs", {"gpus": True}),
    ("resources", {"gpus": ["0"]}, "GPUs", {"gpus": True}),
    ("resources", {"pids": 4097}, "4096 processes", {"pids": 4097}),
    ("resources", {"ulimits": {"rtprio": 99}}, "rtprio", {"ulimits": ["rtprio"]}),
    ("resources", {"ulimits": {"nice": 40}}, "nice", {"ulimits": ["nice"]}),
    ("networks", ["host"], "own network", {"host_network": True}),
    ("networks", ["none", "host"], "own network", {"host_network": True}),
    ("networks", ["container:db"], "somebody else's", None),
    ("networks", ["ns:/proc/1/ns/net"], "somebody else's", None),
    ("networks", ["slirp4netns:allow_host_loopback=true"], "somebody else's", None),
    ("networks", ["pasta:--map-gw"], "somebody else's", None),
    ("networks", ["0123456789ab"], "no name of a network", None),
)


@pytest.mark.parametrize(("field", "value", "words", "allowing"), FORBIDDEN)
def test_it_is_refused_unless_the_policy_allows_it(field, value, words, allowing):
    reading_only = {"paths": ["/srv:ro"]} if words == "for writing" else {}

    assert words in against(reading_only, **{field: value})
    # All that other keys allow is no help.
    flags = ("root", "privileged", "host_pid", "host_network", "gpus", "new_privileges")
    others = dict.fromkeys(flags, True)
    for key in allowing or {}:
        others.pop(key, None)
    assert words in against({**others, **reading_only}, **{field: value})
    if allowing is not None:
        assert against(allowing, **{field: value}) == ""


# What a policy narrows down only if it says so.
LISTED: tuple[tuple[str, Any, str, dict[str, Any], dict[str, Any]], ...] = (
    ("image", "evil/app", "evil/app", {"images": ["busybox"]}, {"images": ["evil/*"]}),
    ("volumes", ["db:/x"], "volume db", {"volumes": ["cache"]}, {"volumes": ["d*"]}),
    ("networks", ["intern"], "network intern", {"networks": ["jobs-*"]}, {"networks": ["jobs-*", "intern"]}),
    ("container_labels", {"ofelia.job": "x"}, "ofelia.job", {"labels": ["team.*"]}, {"labels": ["ofelia.*"]}),
)


@pytest.mark.parametrize(("field", "value", "words", "narrow", "wide"), LISTED)
def test_it_is_refused_where_a_list_leaves_it_out(field, value, words, narrow, wide):
    assert words in against(narrow, **{field: value})
    assert against(wide, **{field: value}) == against({}, **{field: value}) == ""


# Fields that give nothing of the machine away, whatever they say; all words of templates are in a table here.
HARMLESS: dict[str, Any] = {
    "entrypoint": "sh -c",  # of the image
    "user": "1000:0",
    "container_labels": {"team": "billing"},
    "volumes": ["cache:/cache"],  # plain ones only: see tests/hosts/test_docker_policy.py
    "tmpfs": {"/tmp": "dev,suid,exec"},  # no device without the capability, no privileges by set-uid
    "extra_hosts": {"metadata": "169.254.169.254", "machine": "host-gateway"},  # names, not ways
    "ports": ["0.0.0.0:22:22"],  # a port that is free
    "resources": {"pids": 4096, "shm_mb": 1, "swap_mb": -1, "ulimits": {"nofile": 1024, "core": -1}},
    "security": {"read_only": True, "cap_drop": [], "cap_add": ["CHOWN", "NET_RAW"], "init": False},
}


def test_every_field_of_a_template_is_thought_of():
    assert HARMLESS.keys() == set(option_reader.FIELDS)
    for field, value in HARMLESS.items():
        assert against({}, **{field: value}) == ""
    named = {field for field, *_ in FORBIDDEN} | {field for field, *_ in LISTED}
    assert named >= {"image", "networks", "user", "volumes", "security", "resources", "container_labels"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("security", {"security_opt": ["seccomp=unconfined"]}),
        ("security", {"userns_mode": "host"}),
        ("security", {"ipc_mode": "host"}),
        ("security", {"cgroup_parent": "/"}),
        ("security", {"sysctls": {"kernel.core_pattern": "|/x"}}),
        ("security", {"runtime": "other"}),
        ("security", {"group_add": ["docker"]}),
        ("security", {"device_cgroup_rules": ["a *:* rwm"]}),
        ("resources", {"oom_kill_disable": True}),
        ("resources", {"cgroup_parent": "/"}),
        ("volumes", [{"type": "bind", "source": "/"}]),
        ("volumes", ["/srv/../etc:/x"]),
        ("volumes", ["/srv/./x:/x"]),
        ("volumes", ["//etc:/x"]),
        ("volumes", ["/srv/:/x"]),
        ("volumes", ["/:/x"]),
        ("volumes", ["../etc:/x"]),
        ("volumes", ["~root:/x"]),
        ("volumes", ["/srv:/x:rshared"]),
        ("volumes", ["cache:/x:volume-opt=device=/"]),
        ("container_labels", {"tallyman.job": "x"}),
        ("container_labels", {"Tallyman.job": "x"}),
        ("security", {"devices": ["/dev/../dev/sda"]}),
        ("security", {"devices": ["nvidia.com/gpu=all"]}),
        ("security", {"cap_add": ["NET_ADMIN,ALL"]}),
        ("user", "1000 root"),
        ("user", "-1"),
        ("tmpfs", {"/x": "source=/etc"}),
        ("log_config", {"type": "syslog"}),
        ("network_mode", "host"),
    ],
)
def test_what_no_field_can_say_cannot_be_said_in_another(field, value):
    if field not in option_reader.FIELDS:
        assert option_reader.read({field: value}) == option_reader.read({})
        return
    with pytest.raises(OptionError, match=field):
        option_reader.read({field: value})


def test_what_nobody_asks_for_is_as_safe_as_can_be():
    how = spec.create_body(host_view("", policy={}), job_view("true"))["HostConfig"]

    assert (how["CapDrop"], how["CapAdd"]) == (["ALL"], [])
    assert how["SecurityOpt"] == ["no-new-privileges"]
    assert (how["PidsLimit"], how["Init"], how["Privileged"], how["PidMode"]) == (4096, True, False, "")
    assert (how["Mounts"], how["Devices"], how["NetworkMode"]) == ([], [], "default")
    few = spec.create_body(host_view("", policy={"pids": 10}), job_view("true"))["HostConfig"]
    assert few["PidsLimit"] == 10


@pytest.mark.parametrize(
    ("entries", "source", "shown"),
    [
        (["/"], "/srv/data", []),
        (["/"], "/etc", ["/etc"]),
        (["/etc"], "/etc/ssl", []),
        (["/etc/ssl/"], "/etc/ssl/certs", []),
        (["/var"], "/var/lib/docker/overlay2", ["/var/lib/docker"]),
        (["/var/lib"], "/var/lib/app", []),
        (["/run"], "/run/app", []),
        (["/run"], "/run/docker.sock", ["/run/docker.sock"]),
        (["/srv"], "/srv", ["/srv/engine.sock"]),
        (["/srv", "/srv/engine.sock"], "/srv", []),
        (["/etcetera"], "/etcetera/x", []),
    ],
)
def test_a_sensitive_path_has_to_be_named_itself(entries, source, shown):
    assert list(sensitive.uncovered(source, entries, sockets=[ENGINE])) == shown


def test_a_folder_above_all_of_them_shows_them_all():
    shown = set(sensitive.uncovered("/var", ["/", "/var"]))

    assert shown >= {"/var/run", "/var/run/docker.sock", "/var/lib/docker", "/var/spool/cron"}
    assert "/etc" not in shown


@pytest.mark.parametrize(
    ("user", "words"),
    [("", "runs as root"), ("0:0", "runs as root"), ("root", "runs as root"), ("nobody", "write a number")],
)
def test_an_image_may_not_run_as_root_by_itself_either(user, words):
    assert words in policy.user_refusal({}, user, "busybox")
    assert policy.user_refusal({"root": True}, user, "busybox") == ""
    assert policy.user_refusal({}, "65534:0", "busybox") == ""


def test_a_volume_of_the_engine_may_be_a_folder_of_the_machine_in_disguise():
    disguise = {"type": "none", "o": "bind", "device": "/etc"}

    assert "/etc" in policy.volume_refusal({}, "cache", "local", disguise)
    assert "sshfs" in policy.volume_refusal({}, "cache", "sshfs", {})
    assert policy.volume_refusal({}, "cache", "local", {}) == ""
    assert policy.volume_refusal({"volumes": ["cache"]}, "cache", "local", disguise) == ""


@pytest.mark.parametrize("broken", [None, [], {"images": 1}, {"pids": "many"}, {"rooot": True}])
def test_a_policy_that_cannot_be_read_allows_nothing(broken):
    assert "cannot be read" in against(broken, user="1000")
