"""Which API version is spoken with which engine."""

from __future__ import annotations

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.docker import versions


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [
        ("1.41", "1.12", "1.41"),  # Docker 20.10
        ("1.41", "1.24", "1.41"),  # Podman 4
        ("1.43", "1.12", "1.43"),
        ("1.44", "1.24", "1.44"),
        ("1.52", "1.44", "1.44"),  # Docker 29
        ("1.60", "1.50", "1.50"),  # it has forgotten ours
        ("1.41", "", "1.41"),
        ("2.0", "1.44", "1.44"),
    ],
)
def test_the_newest_version_that_both_know_is_spoken(newest, oldest, spoken):
    assert versions.agreed("h", newest, oldest) == spoken


@pytest.mark.parametrize(
    ("newest", "words"), [("1.40", "upgrade the engine"), ("new", "API version is 'new'")]
)
def test_an_engine_that_we_cannot_speak_with_is_said(newest, words):
    with pytest.raises(DockerConnectionError, match=f"h: .*{words}"):
        versions.agreed("h", newest, "1.12")


@pytest.mark.docker
def test_a_real_engine_is_spoken_to_in_the_agreed_version(executor, docker_engine):
    facts = docker_engine.api.version(api_version=False)

    executor.check()

    agreed = versions.agreed("h", facts["ApiVersion"], facts["MinAPIVersion"])
    assert executor._client.version() == agreed
