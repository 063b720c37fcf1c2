"""What may reach a container."""

from __future__ import annotations

import contextlib
import shlex

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from jobs import validators

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.parametrize(
    "name", ["A", "_", "a1", "with.dots-and-dashes", "X" * 1000, "TALLY", "MY_TALLYMAN_"]
)
def test_a_name_may_be(name):
    validators.validate_environment_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "1A", "A B", "A=B", "A\n", "A\x00", "ü", "-A", "TALLYMAN_", "TALLYMAN_JOB_ID", "tallyman_attempt"],
)
def test_a_name_may_not_be(name):
    with pytest.raises(ValidationError):
        validators.validate_environment_name(name)


@pytest.mark.parametrize("value", ["", "text", 0, 1, -1.5, True, False, "ü\n\t"])
def test_a_value_may_be(value):
    validators.validate_environment({"A": value})


@pytest.mark.parametrize(
    "value", [None, [], {}, "a\x00b", "\ud800", float("nan"), float("inf"), -float("inf")], ids=repr
)
def test_a_value_may_not_be(value):
    with pytest.raises(ValidationError):
        validators.validate_environment({"A": value})


@pytest.mark.parametrize("value", [None, [], ["A"], "A=1", 5, True])
def test_an_environment_is_an_object(value):
    with pytest.raises(ValidationError, match="JSON object"):
        validators.validate_environment(value)


def test_a_refused_value_is_not_repeated():
    with pytest.raises(ValidationError) as caught:
        validators.validate_environment({"A": ["hunter2"]})
    assert "hunter2" not in str(caught.value)


@given(anything)
def test_any_json_is_accepted_or_refused_but_breaks_nothing(value):
    for validate in (
        validators.validate_environment,
        validators.validate_aliases,
        validators.validate_retry_on,
    ):
        with contextlib.suppress(ValidationError):
            validate(value)


@pytest.mark.parametrize("command", ["", "ls -l", "sh -c 'a && b'", 'echo "ü"', "a # not a comment"])
def test_a_command_may_be(command):
    validators.validate_command(command)


@pytest.mark.parametrize("command", ["echo 'unclosed", 'echo "', "echo \\", "a\x00b", "\ud800"])
def test_a_command_may_not_be(command):
    with pytest.raises(ValidationError):
        validators.validate_command(command)


@given(st.text())
def test_a_command_that_is_accepted_can_be_split(command):
    try:
        validators.validate_command(command)
    except ValidationError:
        return
    shlex.split(command)


@pytest.mark.parametrize("aliases", [[], ["db"], ["db", "cache"]])
def test_aliases_may_be(aliases):
    validators.validate_aliases(aliases)


@pytest.mark.parametrize("aliases", [None, "db", [""], [1], ["a\x00"], {"db": 1}])
def test_aliases_may_not_be(aliases):
    with pytest.raises(ValidationError):
        validators.validate_aliases(aliases)


@pytest.mark.parametrize("outcomes", [[], ["user"], ["user", "oom", "timeout", "interrupted", "lost"]])
def test_outcomes_may_be_run_again(outcomes):
    validators.validate_retry_on(outcomes)


@pytest.mark.parametrize("outcomes", [None, "user", ["succeeded"], ["rejected"], ["cancelled"], [["user"]]])
def test_outcomes_may_not_be_run_again(outcomes):
    with pytest.raises(ValidationError):
        validators.validate_retry_on(outcomes)


LIMIT = validators.LONGEST_WORD_BYTES


@pytest.mark.parametrize("word", ["x" * LIMIT, "ü" * (LIMIT // 2)], ids=["letters", "umlauts"])
def test_the_longest_word_that_linux_takes_is_taken(word):
    validators.validate_command(f"echo {word}")
    validators.validate_environment({"A": word[: LIMIT // 2 - 2]})
    validators.validate_environment({"A": "x" * (LIMIT - 2)})


def test_a_word_that_no_program_can_be_started_with_is_refused_with_its_place():
    with pytest.raises(ValidationError, match=r"Word 2 of the command has 131072 bytes"):
        validators.validate_command("echo " + "x" * (LIMIT + 1))
    with pytest.raises(ValidationError, match=r"Word 1 of the command"):
        validators.validate_command("ü" * (LIMIT // 2 + 1))


def test_a_variable_counts_with_its_name_and_is_not_repeated():
    with pytest.raises(
        ValidationError, match=r"The variable LONG, with its name, has 131072 bytes"
    ) as caught:
        validators.validate_environment({"LONG": "s" * (LIMIT + 1 - len("LONG="))})
    assert "sss" not in str(caught.value)
