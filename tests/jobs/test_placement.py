"""The pure decision: tables of hosts and jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError

from hosts.labels import validate_labels, validate_wanted_labels
from jobs import placement
from jobs.placement import Candidate, HostFacts, JobNeeds

GIB = 1024**3
HERE, THERE = UUID(int=1), UUID(int=2)
LABELS = {"gpu": "a100", "zone": "eu"}


def host(name: str = "here", **fields: Any) -> HostFacts:
    usual = {"id": HERE, "labels": LABELS, "memory_bytes": 8 * GIB, "cpu_millis": 4000}
    return HostFacts(name=name, **{**usual, **fields})


def needs(**fields: Any) -> JobNeeds:
    return JobNeeds(**fields)


TABLE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, ""),
    ({}, {"pinned_to": HERE}, ""),
    ({}, {"pinned_to": THERE}, "is not the one it is pinned to"),
    ({}, {"executor": "docker"}, ""),
    ({}, {"executor": "cloudrun"}, "is a docker host, not cloudrun"),
    ({"executor_type": "cloudrun"}, {"executor": "cloudrun"}, ""),
    ({}, {"required_labels": {"gpu": "a100"}}, ""),
    ({}, {"required_labels": {"gpu": "h100"}}, "lacks the label gpu=h100"),
    ({}, {"required_labels": {"gpu": ["h100", "a100"]}}, ""),
    ({}, {"required_labels": {"zone": ["uk", "us"]}}, "lacks the label zone=uk|us"),
    ({}, {"required_labels": {"a": "1", "zone": "eu", "b": "2"}}, "lacks the labels a=1, b=2"),
    ({"labels": {}}, {"required_labels": {"gpu": "a100"}}, "lacks the label gpu=a100"),
    ({"labels": ["gpu"]}, {"required_labels": {"gpu": "a100"}}, "lacks the label gpu=a100"),
    ({"labels": {"gpu": 1}}, {"required_labels": {"gpu": "1"}}, "lacks the label gpu=1"),
    ({}, {"required_labels": ["gpu"]}, "lacks the label (these are no labels: an object of names"),
    ({}, {"required_labels": {"gpu": {"not": "a text"}}}, "lacks the label gpu={'not': 'a text'}"),
    ({}, {"preferred_labels": {"gpu": "h100"}}, ""),
    ({}, {"memory_bytes": 8 * GIB, "cpu_millis": 4000}, ""),
    ({}, {"memory_bytes": 8 * GIB + 1}, "has 8.0 GiB of memory for jobs, 8.0 GiB needed"),
    ({}, {"cpu_millis": 4100}, "has 4 CPUs for jobs, 4.1 CPUs needed"),
    ({"memory_reserved": 6 * GIB}, {"memory_bytes": 2 * GIB}, ""),
    (
        {"memory_reserved": 6 * GIB},
        {"memory_bytes": 3 * GIB},
        "has 2.0 GiB of memory left, 3.0 GiB needed",
    ),
    ({"memory_reserved": 9 * GIB}, {"memory_bytes": 1}, "has 0 MiB of memory left, 0 MiB needed"),
    ({"memory_reserved": 9 * GIB}, {}, ""),
    ({"cpu_reserved": 3500}, {"cpu_millis": 500}, ""),
    ({"cpu_reserved": 3500}, {"cpu_millis": 1000}, "has 0.5 CPUs left, 1 CPU needed"),
    ({"memory_bytes": None, "cpu_millis": None}, {"memory_bytes": 99 * GIB, "cpu_millis": 32000}, ""),
    ({"policy": {"images": ["team/**"]}}, {"image": "team/tool:1"}, ""),
    ({"policy": {"images": ["team/**"]}}, {"image": "busybox"}, "does not allow the image busybox"),
    ({"policy": {"images": ["team/**"]}}, {"image": "busybox", "pinned_to": HERE}, ""),
    ({"policy": "broken"}, {"image": "busybox"}, "does not allow the image busybox"),
    ({"obstacle": "is cordoned"}, {}, "is cordoned"),
    ({"obstacle": "is full"}, {"required_labels": {"gpu": "no"}}, "lacks the label gpu=no"),
    ({"obstacle": "is full", "memory_reserved": 8 * GIB}, {"memory_bytes": GIB}, "is full"),
    ({}, {"asks": frozenset({"tty", "networks"})}, ""),
    (
        {"executor_type": "process"},
        {"asks": frozenset({"tty"})},
        "cannot give a container a terminal (tty)",
    ),
    ({"executor_type": "process"}, {"asks": frozenset({"tty"}), "pinned_to": HERE}, ""),
    ({"executor_type": "gone"}, {"asks": frozenset({"tty"})}, "has no usable executor: There is no executor"),
    ({"labels": {}}, {"pinned_to": HERE, "required_labels": {"gpu": "a100"}, "executor": "x"}, ""),
    ({}, {"pinned_to": HERE, "memory_bytes": 9 * GIB}, "has 8.0 GiB of memory for jobs, 9.0 GiB needed"),
]


@pytest.mark.parametrize(("there", "wanted", "why"), TABLE)
def test_why_a_host_does_not_take_a_job(there: dict[str, Any], wanted: dict[str, Any], why: str) -> None:
    said = placement.why_not(host(**there), needs(**wanted))
    assert said.startswith(why)
    assert bool(said) is bool(why)


@pytest.mark.parametrize(
    ("mine", "other", "wanted", "better"),
    [
        ({}, {"weight": 101}, {}, True),
        ({}, {"weight": 100}, {}, False),
        ({"free_slots": 2}, {"free_slots": 3}, {}, True),
        ({"free_slots": 2}, {"free_slots": 2}, {}, False),
        ({}, {"weight": 500, "free_slots": 0}, {}, False),
        ({}, {"weight": 500, "obstacle": "is draining"}, {}, False),
        ({}, {"weight": 500, "labels": {}}, {"required_labels": {"gpu": "a100"}}, False),
        ({}, {"weight": 500, "memory_bytes": GIB}, {"memory_bytes": 2 * GIB}, False),
        ({}, {"weight": 500, "memory_reserved": 7 * GIB}, {"memory_bytes": 2 * GIB}, False),
        ({}, {"weight": 500, "executor_type": "cloudrun"}, {"executor": "docker"}, False),
        ({}, {"weight": 500, "labels": {}}, {"preferred_labels": {"zone": "eu"}}, False),
        ({"labels": {}, "weight": 500}, {"weight": 1}, {"preferred_labels": {"zone": "eu"}}, True),
        ({"labels": {"zone": "eu"}}, {"weight": 1}, {"preferred_labels": LABELS}, True),
        ({}, {"weight": 101}, {"preferred_labels": ["no", "labels"]}, True),
    ],
)
def test_which_other_host_is_better(
    mine: dict[str, Any], other: dict[str, Any], wanted: dict[str, Any], better: bool
) -> None:
    there = host("there", id=THERE, **other)
    assert placement.better(host(**mine), [there], needs(**wanted)) == ([there] if better else [])


# ── several jobs at once ──────────────────────────────────────────────────────────────────────────────────


def candidate(key: str, *, waited: float = 0, **wanted: Any) -> Candidate:
    created = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=waited)
    return Candidate(key=key, needs=needs(**wanted), priority=0, created_at=created, waited_seconds=waited)


def chosen(
    candidates: list[Candidate], room: int = 10, free: dict[str, int] | None = None, **there: Any
) -> str:
    return "".join(one.key for one in placement.choose(candidates, host(**there), room, free or {}))


def test_a_host_is_not_given_more_memory_than_it_has() -> None:
    some = [candidate(key, memory_bytes=3 * GIB) for key in "abcd"]
    assert chosen(some) == "ab"
    assert chosen(some, memory_reserved=5 * GIB) == "a"
    assert chosen(some, memory_reserved=6 * GIB) == ""
    assert chosen(some, memory_bytes=None) == "abcd"


def test_nor_more_cpus_and_a_job_without_limits_counts_as_nothing() -> None:
    some = [candidate("a", cpu_millis=3000), candidate("b", cpu_millis=1500), candidate("c"), candidate("d")]
    assert chosen(some) == "acd"
    assert chosen(some, room=2) == "ac"


def test_a_limit_is_shared_by_all_that_belong_to_it() -> None:
    some = [candidate("a", limits=("x",)), candidate("b", limits=("x", "y")), candidate("c", limits=("y",))]
    assert chosen(some) == "abc"
    assert chosen(some, free={"x": 1}) == "ac"
    assert chosen(some, free={"x": 2, "y": 1}) == "ab"
    assert chosen(some, free={"x": 0, "y": 0}) == ""


def test_a_small_job_passes_a_large_one_until_that_has_waited_long() -> None:
    small, plain = candidate("s", memory_bytes=GIB), candidate("p")
    for waited, expected in ((59, "sp"), (60, "p")):
        large = candidate("l", waited=waited, memory_bytes=8 * GIB)
        assert chosen([large, small, plain], memory_reserved=GIB) == expected
    assert chosen([large, small, plain]) == "lp", "there is room for it now"


def test_hosts_with_the_same_reason_are_named_together() -> None:
    reasons = dict.fromkeys("abcde", "is full") | {"f": "is cordoned"}
    assert placement.together(reasons) == "a, b, c and 2 more: is full; f: is cordoned"


# ── labels as people write them ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [{}, {"gpu": "a100"}, {"empty": ""}])
def test_labels_are_texts_by_name(value: Any) -> None:
    validate_labels(value)
    validate_wanted_labels(value)


@pytest.mark.parametrize(
    "value", [["gpu"], "gpu", None, {"gpu": 1}, {"gpu": None}, {" ": "x"}, {"a": "x" * 101}, {"a": "\x00"}]
)
def test_what_is_no_label_is_refused(value: Any) -> None:
    for validate in (validate_labels, validate_wanted_labels):
        with pytest.raises(ValidationError):
            validate(value)


def test_one_of_several_values_may_be_wanted_but_not_had() -> None:
    validate_wanted_labels({"zone": ["eu", "uk"]})
    with pytest.raises(ValidationError):
        validate_labels({"zone": ["eu", "uk"]})
    with pytest.raises(ValidationError):
        validate_wanted_labels({"zone": []})
