"""How templates write container options, and what is said of what cannot be used. No engine, no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.executors import option_reader
from hosts.executors.container_options import ContainerOptions, Device, Port, Ulimit, Volume
from hosts.executors.option_reader import FIELDS, OptionError, read

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_nothing_said_is_as_usual():
    empty = {"entrypoint": "", "user": "", "volumes": [], "tmpfs": {}, "resources": {}, "security": None}

    assert read({}) == read(empty) == ContainerOptions()
    assert ContainerOptions().security.no_new_privileges


def test_short_forms_are_read():
    options = read(
        {
            "entrypoint": "sh -c 'a b'",
            "volumes": ["cache:/c", "/srv/a b:/d:ro", "v:/e:rw"],
            "ports": ["80", "9000:80", "127.0.0.1::53/udp", "[::1]:81:81/sctp"],
            "resources": {"ulimits": {"nofile": [1, -1], "core": 0}, "gpus": ["0"], "swap_mb": 2.0},
            "security": {"devices": ["/dev/a", "/dev/a:r", "/dev/a:/dev/b", "/dev/a:/dev/b:rw"]},
        }
    )

    assert options.entrypoint == ("sh", "-c", "a b")
    assert options.volumes == (
        Volume("cache", "/c"),
        Volume("/srv/a b", "/d", read_only=True),
        Volume("v", "/e"),
    )
    assert options.ports == (
        *(Port(80), Port(80, host_port=9000), Port(53, "udp", host_ip="127.0.0.1")),
        Port(81, "sctp", 81, "::1"),
    )
    assert options.resources.ulimits == (Ulimit("nofile", 1, -1), Ulimit("core", 0, 0))
    assert (options.resources.gpus, options.resources.swap_mb) == (("0",), 2)
    assert options.security.devices == (
        *(Device("/dev/a", "/dev/a"), Device("/dev/a", "/dev/a", "r")),
        *(Device("/dev/a", "/dev/b"), Device("/dev/a", "/dev/b", "rw")),
    )


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("entrypoint", "sh 'x", "cannot be split"),
        ("entrypoint", ["sh"], "must be text, not a list"),
        ("user", "a b", "1000:100"),
        ("container_labels", ["a"], "JSON object of texts"),
        ("container_labels", {"a": 1}, "JSON object of texts"),
        ("container_labels", {"Tallyman.job": "x"}, "another prefix"),
        ("container_labels", {"": "x"}, "as in team"),
        ("container_labels", {"a": "\x00"}, "NUL"),
        ("volumes", {"a": "/b"}, "JSON list of texts"),
        ("volumes", ["/data"], "SOURCE:TARGET"),
        ("volumes", ["a:/b:rwx"], "SOURCE:TARGET"),
        ("volumes", ["../a:/b"], "whole path"),
        ("volumes", ["/srv/../etc:/b"], "without .."),
        ("volumes", ["/srv/:/b"], "slash at its end"),
        ("volumes", ["//srv:/b"], "whole path"),
        ("volumes", ["/:/b"], "other than /"),
        ("volumes", ["a:b"], "whole path"),
        ("volumes", ["a:/"], "other than /"),
        ("tmpfs", {"tmp": ""}, "whole path"),
        ("tmpfs", {"/tmp": "size=1m,bind"}, "'bind' is no option"),
        ("extra_hosts", {"a b": "10.0.0.1"}, "no name of a host"),
        ("extra_hosts", {"db": "elsewhere"}, "host-gateway"),
        ("ports", ["http"], "9000:8080"),
        ("ports", ["0"], "no port"),
        ("ports", ["70000:80"], "no port"),
        ("ports", ["999.0.0.1:80:80"], "no port"),
        ("ports", ["80", "80/tcp"], "twice"),
        ("ports", [80], "JSON list of texts"),
        ("resources", {"swap": 1}, "swap_mb, pids"),
        ("resources", {"swap_mb": -2}, "from -1 to"),
        ("resources", {"pids": True}, "whole number"),
        ("resources", {"shm_mb": 1.5}, "whole number"),
        ("resources", {"ulimits": {"files": 1}}, "nofile"),
        ("resources", {"ulimits": {"nofile": [2, 1]}}, "must not be above"),
        ("resources", {"ulimits": {"nofile": [-1, 1]}}, "must not be above"),
        ("resources", {"ulimits": {"nofile": [1, 2, 3]}}, "soft and hard"),
        ("resources", {"ulimits": 5}, "JSON object"),
        ("resources", {"gpus": 0}, '"all"'),
        ("resources", {"gpus": []}, '"all"'),
        ("security", {"privileges": True}, "privileged, host_pid"),
        ("security", {"privileged": "yes"}, "true or false"),
        ("security", {"cap_add": "ALL"}, "JSON list"),
        ("security", {"cap_add": ["NET ADMIN"]}, "NET_ADMIN"),
        ("security", {"devices": ["fuse"]}, "/dev/fuse"),
        ("security", {"devices": ["/dev/../etc/shadow"]}, "/dev/fuse"),
    ],
)
def test_what_cannot_be_used_names_its_field_and_says_what_to_write(field, value, words):
    with pytest.raises(OptionError) as caught:
        read({field: value})

    assert str(caught.value).startswith(field)
    assert words in str(caught.value)


def test_fields_that_do_not_go_together_are_named():
    assert "memory_limit" in option_reader.together(read({"resources": {"swap_mb": 5}}), None)
    assert option_reader.together(read({"resources": {"swap_mb": 5}}), 64) == ""
    twice = read({"volumes": ["a:/x"], "tmpfs": {"/x": ""}})
    assert "twice" in option_reader.together(twice, None)


@given(st.sampled_from(FIELDS), anything)
def test_whatever_stands_in_a_field_it_is_read_or_refused(field, value):
    try:
        read({field: value})
        refusal = field
    except OptionError as exc:
        refusal = str(exc)

    assert refusal.startswith(field)
