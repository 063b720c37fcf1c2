"""What services, tasks and events of a swarm mean, told by what real ones said."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from hosts.errors import ContainerExecutionError
from hosts.executors.docker.client import Reply
from hosts.executors.swarm import SwarmExecutor, lifetime, refusals, spec
from hosts.executors.swarm.news import News
from hosts.executors.swarm.tasks import Task, observation, task_of
from tests.support.containers import host_view, job_view


def told(state: str, *, desired: str = "running", at: str = "10", code: int | None = None, **more: Any):
    container = {} if code is None else {"ContainerID": "c1", "ExitCode": code}
    status = {
        "State": state,
        "Timestamp": "2026-11-23T11:39:17.622855425Z",
        "Message": more.pop("message", ""),
        "Err": more.pop("error", ""),
        "ContainerStatus": container,
    }
    created = f"2026-11-23T11:39:{at}.228484744Z"
    return {
        "ID": f"t{at}",
        "ServiceID": "s1",
        "NodeID": "n1",
        "CreatedAt": created,
        "DesiredState": desired,
        "Status": status,
        **more,
    }


def service(replicas: int = 1, **labels: str) -> dict[str, Any]:
    host, job = host_view("unix:///nowhere", kind="swarm"), job_view("true")
    body = spec.create_body(host, job, [])
    body["Mode"]["Replicated"]["Replicas"] = replicas
    body["Labels"] |= labels
    return {"ID": "s1", "Version": {"Index": 7}, "Spec": body}


@pytest.mark.parametrize(
    ("task", "state", "code"),
    [
        (told("running", code=0), "running", None),
        (told("preparing"), "starting", None),
        (told("complete", desired="shutdown", code=0), "exited", 0),
        (told("failed", desired="shutdown", code=3), "exited", 3),
        (told("shutdown", desired="shutdown", code=137), "exited", 137),
        (told("rejected", desired="shutdown"), "exited", None),
        # Its node has lost the container: the 0 is not its own.
        (told("failed", desired="shutdown", code=0, error="No such container: x"), "exited", None),
        (told("shutdown", desired="shutdown", code=-1), "exited", None),
        (told("pending", NodeID=""), "starting", None),
        (told("pending", NodeID="", desired="shutdown"), "exited", None),
        (told("assigned", desired="shutdown"), "starting", None),
        (told("orphaned", desired="shutdown", code=0), "exited", None),
    ],
)
def test_a_tasks_state_is_told_in_the_words_of_the_contract(
    task: dict[str, Any], state: str, code: int | None
) -> None:
    seen = observation(service(), Task.of(task))
    assert (seen.state, seen.exit_code) == (state, code)


def test_a_service_is_created_until_a_task_is_asked_for_and_starting_from_then_on() -> None:
    assert observation(service(0), None).state == "created"
    assert observation(service(1), None).state == "starting", "its task may come to be at any moment"


def test_what_keeps_a_task_from_running_is_told() -> None:
    waits = observation(service(), Task.of(told("pending", NodeID="", error="no suitable node")))
    pulls = observation(service(), Task.of(told("preparing", message="preparing")))
    runs = observation(service(), Task.of(told("running", message="started")))
    assert [waits.error, pulls.error, runs.error] == ["no suitable node", "preparing", ""]


def test_the_jobs_task_is_the_first_and_not_the_one_that_stopping_it_makes() -> None:
    tasks = [told("pending", at="20", NodeID=""), told("shutdown", at="10", code=5)]
    task = task_of(tasks)
    assert task is not None
    assert (task.id, task.exit_code) == ("t10", 5)


def test_started_at_is_told_only_of_what_has_started() -> None:
    never = Task.of(told("failed", desired="shutdown", code=127, message="starting"))
    ran = Task.of(told("failed", desired="shutdown", code=3, message="started"))
    assert observation(service(), never).started_at is None
    assert observation(service(), ran).started_at is not None


def test_the_own_labels_of_a_service_are_not_the_containers() -> None:
    seen = observation(service(**{spec.DISCARDED: "1"}), None)
    assert set(seen.labels) == {
        f"tallyman.{key}" for key in ("installation", "host", "job", "attempt", "epoch", "protocol")
    }
    assert seen.name.startswith("tallyman-test-")


def test_a_task_that_was_refused_says_why() -> None:
    refused = "starting container failed: OCI runtime create failed: exec: no such file: unknown"
    missing = refusals.refused_task(Task.of(told("rejected", error="No such image: foo:1")), None)
    broken = refusals.refused_task(Task.of(told("failed", code=127, message="starting", error=refused)), None)
    assert missing is not None
    assert broken is not None
    assert (missing.failure_class, broken.failure_class) == ("image_missing", "command_not_found")


def test_a_task_that_ran_was_not_refused() -> None:
    for task in (told("failed", code=127, message="started"), told("complete", code=0, message="finished")):
        assert refusals.refused_task(Task.of(task), None) is None


def test_news_are_told_once_and_of_changes_only() -> None:
    news = News()
    assert news.take([told("running", at="10", code=0)]) == []
    assert news.take([told("running", at="10", code=0)]) == []
    hints = news.take([told("complete", at="10", code=0), told("assigned", at="20"), told("failed", at="30")])
    assert [(hint.container_id, hint.action) for hint in hints] == [("s1", "die"), ("s1", "die")]
    assert news.over == {"t10", "t30"}


def event(action: str, **attributes: str) -> dict[str, Any]:
    return {"Action": action, "Actor": {"Attributes": attributes}}


STARTED = event("update", **{"replicas.old": "0", "replicas.new": "1"})


@pytest.mark.parametrize(
    ("events", "is_proved"),
    [
        ([event("create"), event("update"), event("remove")], True),
        ([event("create"), event("remove")], True),
        ([event("update"), event("remove")], False),
        ([event("create"), STARTED, event("remove")], False),
        ([STARTED, event("update"), event("remove")], False),
        ([event("remove")], False),
        ([event("create")], False),
        ([], False),
    ],
)
def test_that_a_service_never_started_is_proved_by_what_its_manager_remembers(
    events: list[dict[str, Any]], is_proved: bool
) -> None:
    assert lifetime.proved(events) is is_proved


def test_an_answer_that_proves_nothing_refuses_nothing() -> None:
    assert refusals.refused_create(Reply(500, None, "rpc error: code = Unavailable desc = no leader")) is None
    assert refusals.refused_create(Reply(409, None, "desc = name conflicts with an existing object")) is None
    refused = refusals.refused_create(Reply(400, None, "rpc error: code = InvalidArgument desc = bad image"))
    assert isinstance(refused, ContainerExecutionError)


def test_secrets_are_no_part_of_a_service() -> None:
    environment = {"PLAIN": "a", "PASSWORD": "hunter2", "EMPTY": ""}
    job = job_view("true", environment=environment, secret_names=frozenset({"PASSWORD", "EMPTY"}))
    body = spec.create_body(host_view("unix:///nowhere", kind="swarm"), job, [])
    told_variables = set(body["TaskTemplate"]["ContainerSpec"]["Env"])
    assert told_variables == {"PASSWORD_FILE=/run/secrets/PASSWORD", "PLAIN=a", "EMPTY="}


def test_a_secret_that_cannot_be_a_file_is_refused() -> None:
    job = job_view("true", environment={"../x": "1"}, secret_names=frozenset({"../x"}))
    with pytest.raises(ContainerExecutionError, match="cannot be a file"):
        spec.secrets_of(job)


def test_a_variable_that_the_job_sets_itself_wins_over_the_one_that_tells_of_a_file() -> None:
    environment = {"KEY": str(uuid4()), "KEY_FILE": "/elsewhere"}
    job = job_view("true", environment=environment, secret_names=frozenset({"KEY"}))
    body = spec.create_body(host_view("unix:///nowhere", kind="swarm"), job, [])
    assert body["TaskTemplate"]["ContainerSpec"]["Env"] == ["KEY_FILE=/elsewhere"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"constraints": "node.role==worker"}, "list of texts"),
        ({"constraints": ["somewhere"]}, "== or !="),
        ({"reserve": 1}, "true or false"),
        ({"tiemout": 3}, "not a setting"),
    ],
)
def test_settings_that_are_wrong_are_said(config: dict[str, Any], words: str) -> None:
    (problem,) = SwarmExecutor.validate_config("unix:///var/run/docker.sock", config)
    assert words in problem


def test_settings_that_are_right_are_taken() -> None:
    config = {"constraints": ["node.labels.disk==ssd"], "reserve": False, "timeout": 5}
    assert SwarmExecutor.validate_config("tcp://manager:2375", config) == []
