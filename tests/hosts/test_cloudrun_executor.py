"""Jobs on Cloud Run's API, by Google's own client library: created, started, stopped, removed, refused."""

from __future__ import annotations

import json
import sys
import threading
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hosts.errors import (
    ConfigurationError,
    ContainerBusy,
    ContainerExecutionError,
    DockerConnectionError,
    LaunchFailed,
)
from hosts.executors.cloudrun import naming
from tests.support.cloudrun import CloudBench, shell
from tests.support.fake_cloudrun import PROJECT, REGION, Fault
from tests.support.waiting import wait_until

FOREVER = shell("exec sleep 1000")


def test_the_job_that_is_made_says_all_that_host_and_template_say(cloud: CloudBench):
    cloud.executor = cloud.another_executor(
        service_account="runner@my-gcp-project.iam.gserviceaccount.com",
        vpc_connector=f"projects/{PROJECT}/locations/{REGION}/connectors/my-vpc",
        cpu_limit="2",
        memory_limit="2Gi",
        max_retries=3,
        task_timeout="3600s",
    )
    view = cloud.view("python -c 'print(1)'", working_directory="/srv")
    made = cloud.executor.create(view)
    task = cloud.api_job(made.container_id)["template"]["template"]
    assert task["containers"] == [
        {
            "image": "us-docker.pkg.dev/my-gcp-project/images/job:1",
            "args": ["python", "-c", "print(1)"],
            "env": [{"name": "TALLYMAN_JOB_ID", "value": str(view.id)}],
            "workingDir": "/srv",
            "resources": {"limits": {"cpu": "2", "memory": "2048Mi"}},
        }
    ]
    assert (task["maxRetries"], task["timeout"]) == (0, "120s")
    assert task["serviceAccount"] == "runner@my-gcp-project.iam.gserviceaccount.com"
    assert task["vpcAccess"] == {"connector": f"projects/{PROJECT}/locations/{REGION}/connectors/my-vpc"}
    assert "startExecutionToken" not in cloud.api_job(made.container_id)


def test_the_template_wins_over_the_hosts_limits_and_the_hosts_time_over_the_templates(cloud: CloudBench):
    cloud.executor = cloud.another_executor(cpu_limit="1", memory_limit="1Gi", task_timeout="100s")
    view = cloud.view(cpu_limit=2.5, memory_limit=6000, timeout_seconds=7200)
    task = cloud.api_job(cloud.executor.create(view).container_id)["template"]["template"]
    assert task["containers"][0]["resources"]["limits"] == {"cpu": "4", "memory": "6000Mi"}
    assert task["timeout"] == "100s"


def test_more_than_cloud_run_has_is_refused_before_anything_is_made(cloud: CloudBench):
    with pytest.raises(ContainerExecutionError, match="8 CPUs and 32768 MB") as refused:
        cloud.executor.create(cloud.view(memory_limit=40_000))
    assert (refused.value.failure_class, cloud.fake.jobs) == ("too_large", {})


def test_the_metadata_are_the_specifications(cloud: CloudBench):
    view = cloud.view()
    made = cloud.executor.create(view)
    name = naming.job_name(view.container_name)
    assert view.saved_metadata == {
        "job_name": name,
        "execution_name": made.container_id,
        "region": REGION,
        "project": PROJECT,
        "service_url": f"https://console.cloud.google.com/run/jobs/executions/details/{REGION}/"
        f"{made.container_id}?project={PROJECT}",
        "revision": f"{name}-00001-{cloud.api_job(made.container_id)['uid'][:3]}",
        "generation": 1,
    }
    assert made.container_id.startswith(f"{name}-x")


def test_a_start_that_is_sent_again_starts_nothing_again(cloud: CloudBench):
    container_id = cloud.start("true")
    cloud.executor.start(container_id)
    cloud.another_executor().start(container_id)
    assert cloud.ended(container_id).exit_code == 0
    assert (sum(cloud.fake.started.values()), cloud.fake.count("PATCH", "/jobs/")) == (1, 1)


@pytest.mark.parametrize("status", [0, 503, 504])
def test_a_start_whose_answer_is_lost_is_unknown_and_seen_to_run(cloud: CloudBench, status: int):
    cloud.fake.faults.append(Fault("PATCH", "/jobs/", status=status, after=True))
    container_id = cloud.executor.create(cloud.view(FOREVER)).container_id
    with pytest.raises(DockerConnectionError):
        cloud.executor.start(container_id)
    wait_until(lambda: cloud.observe(container_id).state == "running", what="it to run")


def test_a_start_waits_until_cloud_run_is_done_with_making_the_job(cloud: CloudBench):
    cloud.fake.lag, cloud.fake.lag_of_read = 0.4, 0.2
    assert cloud.run(shell("exit 4")).exit_code == 4


def test_a_job_that_is_started_in_between_is_not_discarded(cloud: CloudBench):
    container_id = cloud.executor.create(cloud.view(FOREVER)).container_id
    held = Fault("DELETE", "/jobs/", status=200, gate=threading.Event())
    cloud.fake.faults.append(held)
    answers: list[Any] = []

    def discard() -> None:
        try:
            answers.append(cloud.another_executor().discard(container_id))
        except DockerConnectionError as exc:
            answers.append(exc)

    thread = threading.Thread(target=discard)
    thread.start()
    wait_until(lambda: held.hits, what="the deletion to be on its way")
    cloud.executor.start(container_id)
    assert held.gate is not None
    held.gate.set()
    thread.join(10)
    assert isinstance(answers[0], DockerConnectionError)
    seen = cloud.executor.discard(container_id)
    assert seen is not None
    assert seen.state in ("starting", "running")


def test_a_job_of_the_same_name_that_was_made_anew_is_another_container(cloud: CloudBench):
    view = cloud.view()
    first = cloud.executor.create(view).container_id
    assert cloud.executor.discard(first) is None
    second = cloud.executor.create(view).container_id
    assert first != second
    assert cloud.executor.observe(first) is None
    assert cloud.observe(view.container_name).container_id == second
    with pytest.raises(DockerConnectionError, match="gone before it could start"):
        cloud.executor.start(first)
    assert not cloud.fake.started


@pytest.mark.parametrize("ended", [True, False])
def test_only_force_removes_what_runs(cloud: CloudBench, ended: bool):
    container_id = cloud.start("true" if ended else FOREVER)
    if ended:
        cloud.ended(container_id)
    else:
        wait_until(lambda: cloud.observe(container_id).started_at, what="the start")
        with pytest.raises(ContainerBusy):
            cloud.executor.remove(container_id)
    cloud.executor.remove(container_id, force=not ended)
    assert cloud.executor.observe(container_id) is None
    cloud.executor.remove(container_id)


def test_a_cancel_ends_it_and_one_by_somebody_else_is_told(cloud: CloudBench):
    container_id = cloud.start(FOREVER)
    wait_until(lambda: cloud.observe(container_id).started_at, what="the start")
    cloud.executor.signal(container_id, "INT")
    seen = cloud.ended(container_id)
    assert (seen.ended_by, seen.exit_code) == ("outside", 143)
    assert cloud.fake.count("POST", ":cancel") == 1


def test_a_cancel_before_there_is_anything_to_cancel_is_to_be_tried_again(cloud: CloudBench):
    container_id = cloud.executor.create(cloud.view(FOREVER)).container_id
    cloud.fake.lag = 0.6
    cloud.executor.start(container_id)
    with pytest.raises(DockerConnectionError, match="about to start"):
        cloud.executor.signal(container_id, "TERM")


def test_its_own_time_limit_is_told_as_one(cloud: CloudBench):
    cloud.executor = cloud.another_executor(task_timeout="1s")
    seen = cloud.run(shell("exec sleep 30"))
    assert (seen.ended_by, seen.error) == ("timeout", "The configured timeout was reached.")


def test_what_ran_out_of_memory_is_told_so(cloud: CloudBench):
    container_id = cloud.executor.create(cloud.view(shell("sleep 0.3; kill -9 $$"))).container_id
    cloud.executor.start(container_id)
    (process,) = cloud.fake.jobs[container_id.rpartition("-")[0]].executions.values()
    process.out_of_memory = True
    seen = cloud.ended(container_id)
    assert (seen.oom_killed, seen.exit_code) == (True, 137)
    assert "Memory limit of 512 MiB exceeded" in seen.error


@pytest.mark.parametrize(
    ("attribute", "error", "failure_class"),
    [
        ("missing_images", ContainerExecutionError, "image_not_found"),
        ("denied_images", ContainerExecutionError, "image_denied"),
    ],
)
def test_an_image_that_cannot_be_had_is_refused_at_the_start(
    cloud: CloudBench, attribute: str, error: type[Exception], failure_class: str
):
    getattr(cloud.fake, attribute).add("gcr.io/p/none")
    container_id = cloud.executor.create(cloud.view(docker_image="gcr.io/p/none")).container_id
    with pytest.raises(error) as refused:
        cloud.executor.start(container_id)
    assert not isinstance(refused.value, LaunchFailed)
    assert refused.value.failure_class == failure_class  # type: ignore[attr-defined]
    assert not cloud.fake.started


@pytest.mark.parametrize(
    ("said", "error", "failure_class", "exit_code"),
    [
        (
            "Application failed to start: exec format error",
            ContainerExecutionError,
            "start_refused",
            126,
        ),
        ("Quota exceeded for total allowable CPU per project per region.", LaunchFailed, "quota", None),
        ("Image 'gcr.io/p/i' not found.", ContainerExecutionError, "image_not_found", None),
        ("Something that nobody has heard of.", LaunchFailed, "not_started", None),
    ],
)
def test_what_never_ran_is_refused_with_its_reason(
    cloud: CloudBench, said: str, error: type[Exception], failure_class: str, exit_code: int | None
):
    cloud.fake.starts_refused["gcr.io/p/odd"] = said
    seen = cloud.run("true", docker_image="gcr.io/p/odd")
    assert seen.refusal is not None
    assert type(seen.refusal) is error
    assert (seen.refusal.failure_class, seen.refusal.exit_code) == (failure_class, exit_code)
    assert said in str(seen.refusal)
    assert (seen.ended_by, seen.error, seen.started_at) == ("", said, None)


def test_what_waits_for_room_or_its_image_is_starting_and_runs_once_it_has_them(cloud: CloudBench):
    cloud.fake.lag_of_start = 0.8
    container_id = cloud.start(FOREVER)
    seen = cloud.observe(container_id)
    assert (seen.state, seen.started_at) == ("starting", None)
    assert [one.state for one in cloud.executor.list_containers()] == ["starting"]
    wait_until(lambda: cloud.observe(container_id).error, what="a word on what it waits for")
    assert cloud.observe(container_id).error == "Waiting for resources."
    with pytest.raises(ContainerBusy):
        cloud.executor.remove(container_id)
    wait_until(lambda: cloud.observe(container_id).state == "running", what="it to run")
    seen = cloud.observe(container_id)
    assert (seen.error, seen.started_at is None) == ("", False)


def test_a_cancel_ends_what_does_not_run_yet(cloud: CloudBench):
    cloud.fake.lag_of_start = 1.0
    container_id = cloud.start("true")
    wait_until(lambda: cloud.observe(container_id).error, what="the execution")
    cloud.executor.signal(container_id, "TERM")
    assert cloud.ended(container_id).started_at is None


@pytest.mark.parametrize(
    ("status", "error", "failure_class"),
    [
        (400, ContainerExecutionError, "create_refused"),
        (403, LaunchFailed, "permission_denied"),
        (503, DockerConnectionError, ""),
        (0, DockerConnectionError, ""),
    ],
)
def test_refusals_of_a_create_say_whether_it_is_worth_another_try(
    cloud: CloudBench, status: int, error: type[Exception], failure_class: str
):
    cloud.fake.faults.append(Fault("POST", "/jobs$", status=status))
    with pytest.raises(error) as refused:
        cloud.executor.create(cloud.view())
    assert type(refused.value) is error
    assert refused.value.failure_class == failure_class  # type: ignore[attr-defined]


def test_too_many_calls_are_made_again_and_then_unknown(cloud: CloudBench):
    cloud.fake.faults.append(Fault("POST", "/jobs$", status=429, times=2))
    assert cloud.executor.create(cloud.view()).fresh
    assert cloud.fake.count("POST", "/jobs$") == 3
    cloud.fake.faults.append(Fault("GET", "/jobs", status=429, times=99))
    impatient = cloud.another_executor(timeout=0.6)
    with pytest.raises(DockerConnectionError, match="Quota exceeded") as refused:
        impatient.list_containers()
    assert refused.value.failure_class == "throttled"


def test_a_job_that_is_being_deleted_is_neither_there_nor_gone(cloud: CloudBench):
    container_id = cloud.run("true").container_id
    cloud.fake.lag = 0.5
    threading.Thread(target=cloud.another_executor().remove, args=(container_id,)).start()
    wait_until(lambda: cloud.fake.count("DELETE", "/jobs/"), what="the deletion")
    assert cloud.observe(container_id).state == "exited"
    wait_until(lambda: cloud.executor.observe(container_id) is None, what="it to be gone")


def test_many_jobs_of_others_hide_none_of_ours(cloud: CloudBench):
    for number in range(450):
        cloud.fake.make_foreign(f"other-{number}")
    ours = cloud.executor.create(cloud.view()).container_id
    assert [seen.container_id for seen in cloud.executor.list_containers()] == [ours]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_host_that_may_not_be_used_is_a_setting_to_mend(cloud: CloudBench, status: int):
    cloud.fake.faults.append(Fault("GET", "/jobs$", status=status, times=9))
    with pytest.raises(ConfigurationError, match="cloud: Cloud Run cannot be used"):
        cloud.executor.check()
    cloud.fake.faults.clear()
    assert cloud.executor.check().engine_id == f"cloudrun:{PROJECT}/{REGION}"


def test_credentials_that_cannot_be_read_are_named(cloud: CloudBench):
    with pytest.raises(ConfigurationError, match=r"/no/such/key\.json"):
        cloud.another_executor(credentials_file="/no/such/key.json").check()


def test_another_account_is_not_let_in(cloud: CloudBench):
    cloud.fake.public_key = ""
    with pytest.raises(ConfigurationError, match="invalid authentication credentials"):
        cloud.executor.check()


def test_without_googles_libraries_the_extra_is_named(cloud: CloudBench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "hosts.executors.cloudrun.client", raising=False)
    monkeypatch.setitem(sys.modules, "google.cloud.run_v2", None)
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tallyman\[cloudrun\]'"):
        cloud.another_executor().check()


def test_names_are_such_as_cloud_run_takes():
    name = f"tallyman-{uuid.uuid4()}-{uuid.uuid4()}"
    job = naming.job_name(name)
    container_id = naming.container_id(job, str(uuid.uuid4()))
    assert (len(job), len(container_id)) == (49, 62)
    assert naming.split_id(container_id) == (job, container_id[50:])
    assert naming.split_id(name) is None
    assert len({job, naming.job_name(name[:-1] + "g"), naming.job_name("tallyman-" + name[-36:])}) == 3


def test_a_provider_limit_leaves_our_own_deadline_the_first_word(cloud: CloudBench):
    made = cloud.executor.create(cloud.view(timeout_seconds=30))
    seconds = float(cloud.api_job(made.container_id)["template"]["template"]["timeout"].removesuffix("s"))
    assert timedelta(seconds=seconds) > timedelta(seconds=30)


def test_credentials_are_taken_from_the_encrypted_settings_too(cloud: CloudBench):
    key = Path(cloud.config["credentials_file"]).read_text()
    assert cloud.another_executor(credentials_file="", credentials_json=key).check().engine_id
    changed = json.dumps({**json.loads(key), "private_key": "none"})
    with pytest.raises(ConfigurationError, match="credentials_json: ") as caught:
        cloud.another_executor(credentials_file="", credentials_json=changed).check()
    assert json.loads(key)["client_email"] not in str(caught.value)
