"""Which settings of a host can be worked with, and what is said of the others."""

from __future__ import annotations

import pytest

from hosts.errors import ConfigurationError
from hosts.executors.docker import DockerExecutor
from tests.support.containers import host_view


def test_settings_that_work_have_no_problems(tmp_path):
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    tls = {"tls_ca_cert": "ca", "tls_client_cert": "cert", "tls_client_key": "key"}
    config = {key: str(tmp_path / name) for key, name in tls.items()}

    assert DockerExecutor.validate_config("unix:///var/run/docker.sock", {"timeout": 30}) == []
    assert DockerExecutor.validate_config("unix:///a", {"pull_total_timeout": 60, "registries": {}}) == []
    assert DockerExecutor.validate_config("tcp://host:2375", {"base_url": "tcp://host:2375"}) == []
    assert DockerExecutor.validate_config("tcp://[::1]:2376", {"tls_verify": True, **config}) == []
    assert DockerExecutor.validate_config("https://host:443/engine", {}) == []
    assert DockerExecutor.validate_config("ssh://user@host:22/run/docker.sock", {}) == []
    assert DockerExecutor.validate_config("", {}) == DockerExecutor.validate_config("context://a", {}) == []


@pytest.mark.parametrize(
    ("url", "config", "words"),
    [
        ("ftp://host:1", {}, "must start with unix://"),
        ("tcp://[::1", {}, "cannot be read"),
        ("unix://", {}, "needs the path of a socket"),
        ("unix:///" + "x" * 120, {}, "longer than 107 bytes"),
        ("tcp://host", {}, "needs a port"),
        ("tcp://host:99999", {}, "port must be a number"),
        ("tcp://:2375", {}, "needs a host"),
        ("tcp://user:secret@host:2375", {}, "must not hold a user or a password"),
        ("context://", {}, "needs a name"),
        ("", {"tls_verify": True}, "the context says it"),
        ("ssh://", {}, "needs a host"),
        ("ssh://user:secret@host", {}, "must not hold a password"),
        ("ssh://-oProxyCommand=x", {}, "needs a host"),
        ("ssh://host:99999", {}, "port must be a number"),
        ("ssh://host?x", {}, "end after its path"),
        ("ssh://host", {"tls_verify": True}, "no meaning with ssh://"),
        ("ssh://host", {"ssh_identity_file": "/no/such/key"}, "there is no file"),
        ("tcp://host:1", {"ssh_known_hosts": "/etc/hosts"}, "no meaning with tcp://"),
        ("unix:///a", {"base_url": "unix:///b"}, "differ"),
        ("unix:///a", {"timeout": 0}, "above 0"),
        ("unix:///a", {"timeout": "30"}, "number of seconds"),
        ("unix:///a", {"timeout": float("nan")}, "above 0"),
        ("unix:///a", {"pull_idle_timeout": -1}, "pull_idle_timeout must be a number of seconds above 0"),
        ("unix:///a", {"pull_total_timeout": 1e9}, "604800 at most"),
        ("unix:///a", {"pull_idle_timeout": 90, "pull_total_timeout": 60}, "must not be above pull_total"),
        ("unix:///a", {"registries": []}, "must be an object"),
        ("unix:///a", {"registries": {"r.example": {"username": "u"}}}, "a username and a password"),
        ("unix:///a", {"registries": {"r.example": {"username": "", "password": "p"}}}, "not empty"),
        ("unix:///a", {"tls_verify": "yes"}, "true or false"),
        ("unix:///a", {"tls_verify": True}, "no meaning with unix://"),
        ("tcp://host:1", {"tls_ca_cert": 5}, "must be text"),
        ("tcp://host:1", {"tls_client_cert": "/etc/hosts"}, "belong together"),
        ("tcp://host:1", {"tls_ca_cert": "/no/such/file"}, "there is no file"),
        ("unix:///a", {"tiemout": 5}, "tiemout is not a setting"),
    ],
)
def test_what_is_wrong_with_settings_is_said(url, config, words):
    problems = DockerExecutor.validate_config(url, config)

    assert len(problems) == 1
    assert words in problems[0]


def test_an_executor_is_not_made_of_wrong_settings():
    with pytest.raises(ConfigurationError, match=r"testhost.*ssh:// needs a host"):
        DockerExecutor(host_view("ssh://"))


KEY = "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"tls_client_key": KEY}, "as the secret tls_client_key_pem"),
        ({"tls_client_key": "/etc/hosts", "tls_client_key_pem": KEY}, "give one of them"),
        ({"tls_client_key_pem": "planted"}, "must be a key in PEM"),
        ({"tls_client_key_pem": ["planted"]}, "must be a key in PEM"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_without_the_key(config, words):
    problems = DockerExecutor.validate_config("tcp://host:1", {"tls_client_cert": "/etc/hosts", **config})

    assert any(words in one for one in problems)
    assert "planted" not in " ".join(problems)


def test_a_key_that_is_kept_encrypted_needs_no_file():
    config = {"tls_client_cert": "/etc/hosts", "tls_client_key_pem": KEY}
    assert DockerExecutor.validate_config("tcp://host:1", config) == []
    endpoint = DockerExecutor(host_view("tcp://host:1", **config))._endpoint
    assert endpoint.tls is not None
    with open(endpoint.tls.client_key_file) as file:
        assert file.read() == KEY
    assert "planted" not in repr(endpoint)
