"""Freezing a job's container when it is claimed, and thawing it for the executor. No database."""

from __future__ import annotations

import contextlib
import json
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.errors import ContainerExecutionError
from hosts.executors import option_reader
from hosts.executors.capabilities import WISHES, Capabilities, lacks
from hosts.executors.container_options import ContainerOptions, Port
from hosts.executors.contract import JobView, Network
from hosts.executors.docker import DockerExecutor
from jobs import needs, spec
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable, NetworkAssignment

SECRET = "hunter2-planted-secret"
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def frozen(
    variables: list[EnvironmentVariable] | None = None,
    networks: list[NetworkAssignment] | None = None,
    template: dict | None = None,
    **job,
) -> dict:
    # What the database would fill in is given here: these rows are never stored.
    usual = {"name": "t", "docker_image": "app:1", "command": "", "working_directory": ""}
    made = ContainerTemplate(**{**usual, **(template or {})})
    bare = {"name": "", "override_image": "", "override_command": ""}
    value = spec.freeze(ContainerJob(template=made, **{**bare, **job}), made, variables or [], networks or [])
    return json.loads(json.dumps(value, allow_nan=False))  # as a database gives it back


def thawed(value: dict, template_secrets=None, job_secrets=None) -> JobView:
    attempt = Attempt(job_id=uuid.uuid4(), number=2, epoch=7, spec=value, container_name="n")
    return spec.thaw(attempt, template_secrets=template_secrets or {}, job_secrets=job_secrets or {})


def refusal(value: dict, **secrets) -> str:
    with pytest.raises(ContainerExecutionError) as caught:
        thawed(value, **secrets)
    assert caught.value.failure_class == "bad_spec"
    return str(caught.value)


def variable(key: str, value: str, *, is_secret: bool = False) -> EnvironmentVariable:
    return EnvironmentVariable(key=key, value=value, is_secret=is_secret)


def test_a_name_is_the_installations_and_the_jobs_and_no_attempts():
    one, other = uuid.UUID(int=1), uuid.UUID(int=2)
    assert spec.container_name(one, other) == f"tallyman-{one}-{other}"


def test_a_spec_has_what_the_template_says():
    limits = {
        "memory_limit": 64,
        "cpu_limit": Decimal("0.50"),
        "timeout_seconds": 9,
        "working_directory": "/w",
    }
    networks = [NetworkAssignment(network_name="lan", aliases=["db", "cache"])]
    view = thawed(frozen(networks=networks, template={"command": "ls -l", **limits}, name="nightly"))
    assert (view.name, view.template.name, view.template.docker_image) == ("nightly", "t", "app:1")
    assert (view.attempt, view.epoch, view.container_name) == (2, 7, "n")
    assert view.command == ("ls", "-l")
    assert {name: getattr(view.template, name) for name in limits} == {**limits, "cpu_limit": 0.5}
    assert view.networks == (Network(name="lan", aliases=("db", "cache")),)


def test_the_jobs_image_and_command_replace_the_templates():
    view = thawed(
        frozen(template={"command": "false"}, override_image="app:2", override_command="echo 'a b' c")
    )
    assert view.template.docker_image == "app:2"
    assert view.command == ("echo", "a b", "c")


def test_no_command_at_all_is_the_images_own():
    assert thawed(frozen()).command == ()


def test_the_jobs_secret_wins_over_its_plain_value_and_that_over_the_templates():
    variables = [variable("A", "template"), variable("B", "template"), variable("C", "template")]
    value = frozen(
        variables, override_environment={"B": "job", "C": "job"}, secret_environment={"C": "secret"}
    )
    environment = thawed(value, job_secrets={"C": "secret"}).environment
    assert [environment[key] for key in "ABC"] == ["template", "job", "secret"]


def test_a_plain_value_of_the_job_replaces_a_secret_of_the_template():
    value = frozen([variable("A", SECRET, is_secret=True)], override_environment={"A": "job"})
    assert thawed(value).environment["A"] == "job"


def test_a_container_is_told_which_job_and_attempt_it_is():
    view = thawed(frozen())
    assert view.environment == {"TALLYMAN_JOB_ID": str(view.id), "TALLYMAN_ATTEMPT": "2"}


def test_no_secret_stands_anywhere_in_a_frozen_spec():
    value = frozen([variable("A", SECRET, is_secret=True)], secret_environment={"B": SECRET})
    assert SECRET not in json.dumps(value)
    view = thawed(value, template_secrets={"A": SECRET}, job_secrets={"B": SECRET})
    assert view.environment["A"] == view.environment["B"] == SECRET
    assert SECRET not in repr(view)


@pytest.mark.parametrize("source", ["template", "job"])
def test_a_secret_that_was_removed_since_is_a_refusal(source):
    secrets = {"template": {"variables": [variable("A", "x", is_secret=True)]}, "job": {}}[source]
    value = frozen(**secrets, **({"secret_environment": {"A": "x"}} if source == "job" else {}))
    assert f"secret A of the {source} was removed" in refusal(value)


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), ("", ""), (5, "5"), (1.5, "1.5"), (True, "true"), (False, "false")]
)
def test_values_become_the_text_that_json_writes(value, text):
    assert thawed(frozen(override_environment={"A": value})).environment["A"] == text
    secret = frozen(secret_environment={"A": value})
    assert thawed(secret, job_secrets={"A": value}).environment["A"] == text


@pytest.mark.parametrize("rubbish", [[], ["A"], "A=1", "", 0, 5, 1.5, True, False], ids=repr)
def test_an_environment_that_is_no_object_is_frozen_and_refused(rubbish):
    refusal(frozen(override_environment=rubbish))
    refusal(frozen(secret_environment=rubbish), job_secrets=rubbish)


@pytest.mark.parametrize("rubbish", [None, [], ["x"], {}, {"a": 1}, "a\x00b", "\ud800"], ids=repr)
def test_a_value_that_is_no_text_is_frozen_and_refused(rubbish):
    refusal(frozen(override_environment={"A": rubbish}))
    refusal(frozen(secret_environment={"A": rubbish}), job_secrets={"A": rubbish})


def test_no_environment_is_none():
    assert set(thawed(frozen(override_environment=None)).environment) == {
        "TALLYMAN_JOB_ID",
        "TALLYMAN_ATTEMPT",
    }


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1", "A\x00", "TALLYMAN_JOB_ID", "tallyman_x"])
def test_a_name_that_no_container_can_have_is_refused_wherever_it_comes_from(name):
    assert repr(name) in refusal(frozen(override_environment={name: "x"}))
    refusal(frozen([variable(name, "x")]))
    refusal(frozen(secret_environment={name: "x"}), job_secrets={name: "x"})


@pytest.mark.parametrize("command", ["echo 'unclosed", 'say "', "back\\", "a\x00b"])
def test_a_command_that_cannot_be_split_is_refused(command):
    refusal(frozen(override_command=command))
    refusal(frozen(template={"command": command}))


@pytest.mark.parametrize("field", ["docker_image", "working_directory"])
def test_a_nul_in_the_template_is_refused(field):
    refusal(frozen(template={field: "a\x00b"}))


@pytest.mark.parametrize(
    "aliases", [None, 5, "db", {"db": 1}, [1], [""], ["a\x00"], [float("inf")]], ids=repr
)
def test_aliases_that_are_no_list_of_names_are_frozen_and_refused(aliases):
    refusal(frozen(networks=[NetworkAssignment(network_name="lan", aliases=aliases)]))


@pytest.mark.parametrize("retry_on", [None, 5, "user", {"user": 1}, [1], [float("inf")]], ids=repr)
def test_what_may_run_again_is_nothing_if_it_is_no_list_of_names(retry_on):
    assert frozen(template={"retry_on": retry_on})["retry_on"] == []
    assert frozen(template={"retry_on": ["user"]})["retry_on"] == ["user"]


def test_a_refusal_shows_no_secret():
    value = frozen(secret_environment={"A": "x"})
    assert SECRET not in refusal(value, job_secrets={"A": f"{SECRET}\x00"})


def test_what_is_too_long_for_any_program_is_refused_wherever_it_comes_from():
    long = "s" * 128 * 1024
    assert "Word 2 of the command" in refusal(frozen(template={"command": f"echo {long}"}))
    assert "variable LONG" in refusal(frozen([variable("LONG", long)]))
    assert "sss" not in refusal(frozen(secret_environment={"LONG": "x"}), job_secrets={"LONG": long})


@given(environment=anything, secrets=anything, aliases=anything, retry_on=anything, command=st.text())
def test_whatever_a_bare_row_holds_is_frozen_and_runs_or_is_refused(
    environment, secrets, aliases, retry_on, command
):
    value = frozen(
        networks=[NetworkAssignment(network_name="lan", aliases=aliases)],
        template={"retry_on": retry_on},
        override_environment=environment,
        secret_environment=secrets,
        override_command=command,
    )
    with contextlib.suppress(ContainerExecutionError):
        view = thawed(value, job_secrets=secrets)
        assert all(isinstance(text, str) for text in view.environment.values())


OPTIONS = {
    "entrypoint": "tini -- 'a b'",
    "user": "app",
    "container_labels": {"team": "billing"},
    "volumes": ["cache:/cache:ro"],
    "tmpfs": {"/tmp": "size=1m"},
    "extra_hosts": {"db": "10.0.0.5"},
    "ports": ["9000:80"],
    "resources": {"pids": 7, "swap_mb": 16},
    "security": {"read_only": True},
}


def test_every_container_option_of_the_template_reaches_the_executor():
    assert set(OPTIONS) == set(option_reader.FIELDS)

    view = thawed(frozen(template={**OPTIONS, "memory_limit": 64}))

    assert view.template.options == option_reader.read(OPTIONS)
    assert view.template.options.entrypoint == ("tini", "--", "a b")
    assert view.template.options.ports == (Port(80, host_port=9000),)


def test_only_the_options_that_are_given_are_frozen():
    assert frozen()["options"] == {}
    assert frozen(template={"user": "app"})["options"] == {"user": "app"}


def test_a_spec_frozen_before_there_were_options_thaws_with_the_usual_ones():
    earlier = frozen(template={"command": "ls"})
    del earlier["options"]

    view = thawed(earlier)

    assert view.template.options == ContainerOptions()
    assert view.command == ("ls",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"volumes": "all"}, "volumes must be a JSON list"),
        ({"security": [1]}, "security must be a JSON object"),
        ({"entrypoint": "x" * 140_000}, "140000 bytes"),
        ({"resources": {"swap_mb": 5}}, "memory_limit"),
    ],
)
def test_options_of_a_bare_row_that_cannot_be_used_are_a_refusal(options, words):
    assert words in refusal(frozen(template=options))


def test_what_the_options_ask_for_is_what_a_docker_host_can():
    asked = needs.needs(frozen(template={**OPTIONS, "memory_limit": 64}))

    assert {"entrypoint", "user", "labels", "mounts", "tmpfs", "extra_hosts", "ports"} <= asked
    assert {"pids_limit", "swap_limit", "read_only"} <= asked
    assert all(getattr(DockerExecutor.capabilities, name) for name in asked)


@pytest.mark.parametrize(
    ("template", "networks", "flag"),
    [
        ({}, ["host"], "host_network"),
        ({"security": {"host_pid": True}}, [], "host_pid"),
        ({"security": {"devices": ["/dev/fuse"]}}, [], "devices"),
        ({"security": {"no_new_privileges": True}}, [], "no_new_privileges"),
        ({"security": {"no_new_privileges": False}}, [], "no_new_privileges"),
    ],
)
def test_what_weakens_isolation_is_asked_of_the_executor(template, networks, flag):
    asked = needs.needs({**frozen(template=template), "networks": [[name, []] for name in networks]})
    assert flag in asked
    (sentence,) = lacks(Capabilities(networks=True), asked, label="This one")
    assert sentence == f"This one cannot {WISHES[flag]}."


def test_nobody_asks_for_what_is_not_said():
    plain = {**frozen(template={"security": {"host_pid": False, "devices": []}}), "networks": [["jobs", []]]}
    assert needs.needs(plain) == {"networks"}


def test_every_wish_can_be_asked_for():
    assert set(WISHES) == needs.ASKABLE
