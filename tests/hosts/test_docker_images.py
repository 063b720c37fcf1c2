"""Pulling images from a registry, and what its refusals mean."""

from __future__ import annotations

import json
import time

import pytest

from hosts.errors import ContainerExecutionError, DockerConnectionError
from hosts.executors.docker import DockerExecutor
from hosts.executors.docker.images import split_reference
from hosts.executors.docker.pull_errors import refusal
from hosts.executors.docker.pull_progress import PullProgress
from hosts.executors.frames import STDOUT
from tests.support.containers import host_view, job_view, read_log, run, written
from tests.support.engines import free_port
from tests.support.registry import Registry
from tests.support.relay import Relay
from tests.support.requirements import missing


@pytest.fixture(scope="module")
def registry():
    with Registry() as registry:
        yield registry


@pytest.fixture(scope="module", params=["basic", "bearer"])
def private_registry(request):
    with Registry(login=("user", "secret"), bearer=request.param == "bearer") as registry:
        yield registry


@pytest.fixture
def host(docker_engine):
    """Makes executors of the engine with settings of their own."""
    made = []

    def make(**config):
        made.append(DockerExecutor(host_view(docker_engine.url, **config)))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


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

    assert texts[-1].startswith("2 of 2 layers")
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
@pytest.mark.parametrize(
    ("image", "failure_class", "words"),
    [
        ("busy/image:v1", "rate_limited", "rate limit is reached"),
        ("broken/image:v1", "registry_unreachable", "503"),
    ],
)
def test_a_registry_that_cannot_serve_now_is_tried_again_later(
    executor, registry, image, failure_class, words
):
    with pytest.raises(DockerConnectionError, match=words) as caught:
        _pull(executor, f"{registry.address}/{image}")

    assert (caught.value.failure_class, "was not pulled" in str(caught.value)) == (failure_class, True)
    assert caught.value.hint


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
@pytest.mark.parametrize(
    ("image", "setting", "failure_class", "words"),
    [
        ("mute/image:v1", "pull_connect_timeout", "registry_unreachable", "did not answer the engine"),
        ("stuck/image:v1", "pull_idle_timeout", "image_pull", "did not get on for 0.5 s"),
        ("slow/image:v1", "pull_total_timeout", "image_pull", "took longer than 0.5 s"),
    ],
)
def test_a_pull_that_takes_longer_than_its_host_allows_is_given_up(
    host, registry, image, setting, failure_class, words
):
    started = time.monotonic()

    with pytest.raises(DockerConnectionError, match=words) as caught:
        _pull(host(**{setting: 0.5}), f"{registry.address}/{image}")

    assert time.monotonic() - started < 3
    assert caught.value.failure_class == failure_class
    assert setting in caught.value.hint


@pytest.mark.docker
def test_a_pull_whose_engine_goes_away_is_no_success(docker_engine, registry):
    if not docker_engine.url.startswith("unix://"):
        missing("docker", "the engine that answers has no socket on this machine")
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        executor = DockerExecutor(host_view(relay.url))

        with pytest.raises(DockerConnectionError, match="cut off") as caught:
            executor.pull(
                f"{registry.address}/held/image:v1", progress=lambda _: relay.cut(), cancelled=lambda: False
            )

    assert not caught.value.failure_class


@pytest.mark.docker
def test_a_registry_that_is_not_there_is_tried_again_later(executor):
    with pytest.raises(DockerConnectionError, match=r"was not pulled: .*refused") as caught:
        executor.pull(f"localhost:{free_port()}/some/image", progress=print, cancelled=lambda: False)

    assert caught.value.failure_class == "registry_unreachable"


@pytest.mark.docker
def test_a_private_image_is_pulled_with_the_hosts_own_login(host, private_registry, pulled):
    image = f"{private_registry.address}/private/image:v1"
    login = {"username": "user", "password": "secret"}

    _pull(host(registries={private_registry.address: login}), image)

    pulled.append(image)


@pytest.mark.docker
def test_a_private_image_is_pulled_with_the_login_of_this_machine(
    host, private_registry, pulled, tmp_path, monkeypatch
):
    auths = {private_registry.address: {"auth": "dXNlcjpzZWNyZXQ="}}  # user:secret, as `docker login` writes
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    image = f"{private_registry.address}/private/image:v1"

    _pull(host(), image)

    pulled.append(image)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("login", "words"),
    [({}, "No login is set"), ({"username": "user", "password": "wrong-one"}, "was refused")],
)
def test_a_login_that_is_missing_or_wrong_is_final_and_says_how_to_set_it(
    host, private_registry, tmp_path, monkeypatch, login, words
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    address = private_registry.address

    with pytest.raises(ContainerExecutionError) as caught:
        _pull(host(registries={address: login} if login else {}), f"{address}/private/image:v1")

    error = caught.value
    assert (error.failure_class, words in error.hint) == ("image_denied", True)
    assert f"manage_docker_host registry-login testhost {address} --username" in error.hint
    assert "wrong-one" not in f"{error}{error.hint}"


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
    ],
)
def test_what_a_registry_refuses_for_good_is_final(words, expected):
    error = refusal("image", words)

    assert isinstance(error, ContainerExecutionError)
    assert error.failure_class == expected
    assert words in str(error)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("open /data/image: permission denied", "image_pull"),
        ("toomanyrequests: You have reached your pull rate limit. unauthorized", "rate_limited"),
        ('Get "https://r.example/v2/": dial tcp: lookup r.example: no such host', "registry_unreachable"),
        ('Get "https://r.example/v2/": net/http: TLS handshake timeout', "registry_unreachable"),
        ("http: server gave HTTP response to HTTPS client", "registry_unreachable"),
        ("x509: certificate signed by unknown authority", "registry_unreachable"),
        ("received unexpected HTTP status: 502 Bad Gateway", "registry_unreachable"),
        ("write /data/layer: no space left on device", "disk_full"),
        ("failed to register layer: Error processing tar file(exit status 1): ", "image_pull"),
    ],
)
def test_what_may_be_over_the_next_time_is_no_refusal_and_says_who_is_to_blame(words, expected):
    error = refusal("image", words)

    assert isinstance(error, DockerConnectionError)
    assert error.failure_class == expected
    assert words in str(error)


def _said(*lines):
    texts = []
    report = PullProgress(texts.append)
    for status, layer, *amounts in lines:
        detail = dict(zip(("current", "total"), amounts, strict=False))
        report.take({"status": status, "id": layer, "progressDetail": detail})
    return texts


def test_the_progress_of_a_pull_counts_layers_and_bytes():
    texts = _said(
        ("Pulling from some/image", "v1"),
        ("Pulling fs layer", "a"),
        ("Already exists", "b"),
        ("Pulling fs layer", "c"),
        ("Downloading", "a", 10_000_000, 80_000_000),
        ("Downloading", "c", 1_000_000, 40_000_000),
        ("Download complete", "c"),
        ("Extracting", "c", 5_000_000, 40_000_000),
        ("Pull complete", "c"),
    )
    assert texts == [
        "0 of 1 layers",
        "1 of 2 layers",
        "1 of 3 layers",
        "1 of 3 layers, 10 MB of at least 80 MB",
        "1 of 3 layers, 11 MB of 120 MB",
        "1 of 3 layers, 50 MB of 120 MB",
        "2 of 3 layers, 50 MB of 120 MB",
    ]


def test_an_engine_that_names_no_layers_is_quoted():
    assert _said(("Trying to pull", ""), ("Trying to pull", ""), ("Status: done", "")) == ["Trying to pull"]


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
