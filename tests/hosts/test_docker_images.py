"""Pulling images from a registry, and what its refusals mean."""

from __future__ import annotations

import time

import pytest

from hosts.errors import ContainerExecutionError, DockerConnectionError
from hosts.executors.docker import images
from hosts.executors.docker.images import refusal, split_reference
from hosts.executors.frames import STDOUT
from tests.support.containers import job_view, read_log, run, written
from tests.support.engines import free_port
from tests.support.registry import Registry


@pytest.fixture(scope="module")
def registry():
    with Registry() as registry:
        yield registry


@pytest.fixture
def pulled(docker_engine):
    """Names of images to remove when the test ends."""
    names: list[str] = []
    yield names
    for name in names:
        docker_engine.api.remove_image(name, force=True)


def _pull(executor, image):
    texts: list[str] = []
    executor.pull(image, progress=texts.append, cancelled=lambda: False)
    return texts


@pytest.mark.docker
def test_a_pulled_image_runs_and_is_known_by_its_registrys_digest(executor, docker_engine, registry, pulled):
    image = f"{registry.address}/some/image:v1"
    pulled.append(image)

    texts = _pull(executor, image)

    assert texts[0] == "Pulling from some/image"
    assert "1 of 1 layers" in texts
    seen = run(executor, job_view("sh", "-c", "echo $FROM_IMAGE", template={"docker_image": image}))
    assert written(read_log(executor, seen.container_id), STDOUT) == b"yes\n"
    (digest,) = docker_engine.api.inspect_image(image)["RepoDigests"]
    assert digest.endswith(seen.image_digest)
    executor.remove(seen.container_id)


@pytest.mark.docker
def test_an_image_can_be_pulled_by_digest(executor, docker_engine, registry, pulled):
    _pull(executor, f"{registry.address}/by/tag:v1")
    pulled.append(f"{registry.address}/by/tag:v1")
    (digest,) = docker_engine.api.inspect_image(pulled[0])["RepoDigests"]

    _pull(executor, digest)

    assert docker_engine.api.inspect_image(digest)["Id"]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("image", "failure_class"),
    [
        ("some/image:v2", "image_not_found"),
        ("denied/image:v1", "image_denied"),
        ("No/Image", "image_invalid"),
    ],
)
def test_what_a_registry_refuses_for_good(executor, registry, image, failure_class):
    with pytest.raises(ContainerExecutionError) as caught:
        _pull(executor, f"{registry.address}/{image}")

    assert caught.value.failure_class == failure_class
    assert image in str(caught.value)


@pytest.mark.docker
def test_a_registry_that_is_busy_is_tried_again_later(executor, registry):
    with pytest.raises(DockerConnectionError, match="was not pulled"):
        _pull(executor, f"{registry.address}/busy/image:v1")


@pytest.mark.docker
def test_a_pull_that_hangs_is_given_up_when_told(executor, registry):
    started = time.monotonic()

    with pytest.raises(DockerConnectionError, match="given up"):
        executor.pull(
            f"{registry.address}/stuck/image:v1",
            progress=print,
            cancelled=lambda: time.monotonic() > started + 0.5,
        )

    assert time.monotonic() - started < 2


@pytest.mark.docker
def test_a_pull_that_falls_silent_is_tried_again_later(executor, registry, monkeypatch):
    monkeypatch.setattr(images, "IDLE_SECONDS", 0.5)

    with pytest.raises(DockerConnectionError, match="fell silent"):
        _pull(executor, f"{registry.address}/stuck/image:v1")


@pytest.mark.docker
def test_a_registry_that_is_not_there_is_tried_again_later(executor):
    with pytest.raises(DockerConnectionError, match=r"was not pulled: .*refused"):
        executor.pull(f"localhost:{free_port()}/some/image", progress=print, cancelled=lambda: False)


@pytest.mark.docker
def test_a_pull_of_something_that_is_no_reference_is_final(executor):
    with pytest.raises(ContainerExecutionError) as caught:
        executor.pull("Not/A Reference", progress=print, cancelled=lambda: False)

    assert caught.value.failure_class == "image_invalid"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("manifest for busybox:nope not found: manifest unknown: manifest unknown", "image_not_found"),
        (
            "pull access denied for nope, repository does not exist or may require 'docker login'",
            "image_denied",
        ),
        ("Get https://r.example/v2/x: unauthorized: authentication required", "image_denied"),
        ("denied: requested access to the resource is denied", "image_denied"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "image_platform"),
        ("invalid reference format: repository name must be lowercase", "image_invalid"),
        ("denied", "image_denied"),
        ("Get https://r.example/v2/: no basic auth credentials", "image_denied"),
        ("name unknown: repository name not known to registry", "image_not_found"),
        ("open /data/image: permission denied", None),
        ("toomanyrequests: You have reached your pull rate limit. unauthorized", None),
        ('Get "https://r.example/v2/": dial tcp: lookup r.example: no such host', None),
        ("write /data/layer: no space left on device", None),
    ],
)
def test_what_a_registry_says_is_final_or_not(words, expected):
    error = refusal("image", words)

    assert getattr(error, "failure_class", None) == expected
    assert isinstance(error, ContainerExecutionError if expected else DockerConnectionError)
    assert words in str(error)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("busybox", ("busybox", "latest")),
        ("busybox:1.36", ("busybox", "1.36")),
        ("localhost:5000/a/b", ("localhost:5000/a/b", "latest")),
        ("localhost:5000/a/b:v1", ("localhost:5000/a/b", "v1")),
        ("a/b@sha256:" + "0" * 64, ("a/b", "sha256:" + "0" * 64)),
        ("r.example:5000/a:v1@sha256:" + "0" * 64, ("r.example:5000/a", "sha256:" + "0" * 64)),
    ],
)
def test_image_references_are_split_at_the_right_colon(reference, parts):
    assert split_reference(reference) == parts
