"""Whose value of an environment variable a container gets, for any mixture of sources. No database."""

from __future__ import annotations

import contextlib
import json
import uuid
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import JobView
from jobs import spec
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable

NUMBER = 3
ADDED = {"TALLYMAN_JOB_ID", "TALLYMAN_ATTEMPT"}

# Few names, so that sources meet; none that is reserved.
names = st.sampled_from(["A", "B", "PATH", "a", "_x", "with.dot-and_dash"])
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
values = texts | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
reserved = st.tuples(
    st.sampled_from(["TALLYMAN_", "tallyman_", "Tallyman_"]), st.text("AZ_9", max_size=8)
).map("".join)
a_source = st.sampled_from(["template", "template's secret", "job", "job's secret"])


def merged(
    template: dict[str, str], template_secrets: dict[str, str], job: Any, job_secrets: Any
) -> tuple[dict[str, Any], JobView]:
    """The frozen spec as a database gives it back, and what an executor is handed for it."""
    made = ContainerTemplate(name="t", docker_image="app:1", command="", working_directory="")
    variables = [EnvironmentVariable(key=key, value=value) for key, value in template.items()]
    variables += [
        EnvironmentVariable(key=key, value=value, is_secret=True) for key, value in template_secrets.items()
    ]
    bare = ContainerJob(
        template=made,
        name="",
        override_image="",
        override_command="",
        override_environment=job,
        secret_environment=job_secrets,
    )
    frozen = json.loads(json.dumps(spec.freeze(bare, made, variables, []), allow_nan=False))
    attempt = Attempt(job_id=uuid.uuid4(), number=NUMBER, epoch=1, spec=frozen, container_name="n")
    return frozen, spec.thaw(attempt, template_secrets=template_secrets, job_secrets=job_secrets)


@given(
    template=st.dictionaries(names, texts),
    template_secrets=st.dictionaries(names, texts),
    job=st.dictionaries(names, values),
    job_secrets=st.dictionaries(names, texts),
)
def test_the_later_source_wins_and_ours_come_on_top(template, template_secrets, job, job_secrets):
    assume(not template.keys() & template_secrets.keys())  # one row a key
    _, view = merged(template, template_secrets, job, job_secrets)
    as_texts = {key: spec.text(value) for key, value in job.items()}
    added = {"TALLYMAN_JOB_ID": str(view.id), "TALLYMAN_ATTEMPT": str(NUMBER)}
    assert dict(view.environment) == {**template, **template_secrets, **as_texts, **job_secrets, **added}


@given(job=st.dictionaries(names, values, min_size=1))
def test_a_value_is_the_text_that_json_has_for_it(job):
    _, view = merged({}, {}, job, {})
    for key, value in job.items():
        text = view.environment[key]
        assert text == value if isinstance(value, str) else json.loads(text) == value


@given(
    secrets=st.dictionaries(names, texts.map(lambda text: f"planted-{text}"), min_size=1),
    of_job=st.booleans(),
    job=st.dictionaries(names, texts),
)
def test_a_frozen_spec_holds_no_secret_and_thaws_to_it(secrets, of_job, job):
    frozen, view = merged({}, {} if of_job else secrets, job, secrets if of_job else {})
    assert "planted-" not in json.dumps(frozen, ensure_ascii=False)
    seen = {**job, **secrets} if of_job else {**secrets, **job}
    assert {key: view.environment[key] for key in seen} == seen
    assert "planted-" not in repr(view)


@given(name=reserved, source=a_source, value=texts)
def test_a_reserved_name_is_refused_whoever_gives_it(name, source, value):
    sources: dict[str, dict[str, str]] = {
        "template": {},
        "template's secret": {},
        "job": {},
        "job's secret": {},
    }
    sources[source] = {name: value}
    with pytest.raises(ContainerExecutionError) as caught:
        merged(*sources.values())
    assert caught.value.failure_class == "bad_spec"
    assert name in str(caught.value)


@given(job=any_json, job_secrets=any_json)
def test_any_json_is_merged_to_texts_or_refused(job, job_secrets):
    with contextlib.suppress(ContainerExecutionError):
        _, view = merged({"A": "a"}, {"B": "b"}, job, job_secrets)
        assert all(isinstance(text, str) for text in view.environment.values())
        assert {"A", "B", *ADDED} <= view.environment.keys()
