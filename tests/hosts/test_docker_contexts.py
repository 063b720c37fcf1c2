"""What Docker's own configuration says, as a host whose address is empty or context://NAME understands it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts.errors import ConfigurationError
from hosts.executors.docker import DockerExecutor, contexts
from hosts.executors.docker.endpoint import endpoint_from
from tests.support import certificates
from tests.support.containers import host_view
from tests.support.docker_contexts import make_context
from tests.support.relay import Relay


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration of this test."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def url_of(base_url: str = "") -> str:
    return contexts.locate(base_url).url


def test_without_any_configuration_it_is_the_usual_socket():
    assert url_of() == url_of("context://default") == "unix:///var/run/docker.sock"


def test_docker_host_wins_over_the_context_in_use_and_that_over_the_file(folder, monkeypatch):
    make_context(folder, "one", Host="unix:///one.sock")
    make_context(folder, "two", Host="unix:///two.sock")
    (folder / "config.json").write_text('{"currentContext": "one", "auths": {}}')
    assert url_of() == "unix:///one.sock"

    monkeypatch.setenv("DOCKER_CONTEXT", "two")
    assert url_of() == "unix:///two.sock"

    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    assert url_of() == url_of("context://default") == "unix:///mine.sock"
    assert url_of("context://one") == "unix:///one.sock"


def test_certificates_of_a_context_are_used_and_its_engine_is_verified(folder):
    tls = make_context(folder, "far", Host="tcp://127.0.0.1:2376")
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tls / name).touch()

    found = endpoint_from("h", "context://far", {}).tls

    assert found is not None
    assert (found.verify, found.ca_cert, found.client_cert, found.client_key) == (
        *(True, str(tls / "ca.pem"), str(tls / "cert.pem"), str(tls / "key.pem")),
    )


def test_a_context_that_skips_verification_is_taken_at_its_word_and_plain_tcp_stays_plain(folder):
    make_context(folder, "lax", Host="tcp://127.0.0.1:2376", SkipTLSVerify=True)
    make_context(folder, "plain", Host="tcp://127.0.0.1:2375", SkipTLSVerify=False)

    lax = endpoint_from("h", "context://lax", {}).tls

    assert lax is not None
    assert not lax.verify
    assert endpoint_from("h", "context://plain", {}).tls is None


def test_dockers_variables_for_tls_are_understood(folder, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    (folder / "ca.pem").touch()

    found = endpoint_from("h", "", {"timeout": 5})

    assert found.tls is not None
    assert (found.tls.verify, found.tls.ca_cert, found.timeout) == (True, str(folder / "ca.pem"), 5)


def test_a_context_may_be_behind_ssh(folder):
    make_context(folder, "far", Host="ssh://me@far.example")

    found = endpoint_from("h", "context://far", {}).ssh

    assert found is not None
    assert (found.user, found.host) == ("me", "far.example")


@pytest.mark.parametrize(
    ("name", "meta", "words"),
    [
        ("gone", None, "There is no Docker context 'gone'"),
        ("broken", "{", "cannot be read"),
        ("list", "[]", "no JSON object"),
        (
            "pipe",
            '{"Endpoints": {"docker": {"Host": "npipe:////./pipe/x"}}}',
            "by the context 'pipe'.*must start",
        ),
    ],
)
def test_a_context_that_cannot_be_used_is_said_when_the_host_is_taken(folder, name, meta, words):
    if meta is not None:
        make_context(folder, name)
        (path,) = folder.glob("contexts/meta/*/meta.json")
        path.write_text(meta)

    with pytest.raises(ConfigurationError, match=f"testhost.*{words}"):
        DockerExecutor(host_view(f"context://{name}"))


@pytest.mark.docker
def test_an_engine_is_reached_by_a_context_with_real_certificates(docker_engine, folder, tmp_path):
    socket = docker_engine.url.removeprefix("unix://")
    (tmp_path / "made").mkdir()
    files = certificates.make(tmp_path / "made")
    with Relay(socket, tls=files.server_context()) as relay:
        tls = make_context(folder, "far", Host=relay.url)
        for source, name in ((files.ca, "ca"), (files.certificate, "cert"), (files.key, "key")):
            source.rename(tls / f"{name}.pem")
        (folder / "config.json").write_text('{"currentContext": "far"}')
        executor = DockerExecutor(host_view(""))

        assert executor.check().engine_id == DockerExecutor(host_view(docker_engine.url)).check().engine_id
        executor.close()
