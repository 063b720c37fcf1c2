"""Which executors there are, whoever declares them, and what becomes of a broken one."""

from __future__ import annotations

import sys
import uuid
from dataclasses import fields
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from django.core.checks import run_checks

from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.executors.capabilities import WISHES, Capabilities, cannot, lacks
from hosts.executors.contract import HostView
from hosts.executors.docker import DockerExecutor
from hosts.executors.process import ProcessExecutor
from hosts.models import DockerHost


class OurExecutor(ProcessExecutor):
    kind: ClassVar[str] = "ours"
    label: ClassVar[str] = "Ours"


class BrokenWhenMade(ProcessExecutor):
    def __init__(self, host: HostView) -> None:
        raise KeyError("region")


class BrokenWhenAsked(ProcessExecutor):
    @classmethod
    def validate_config(cls, base_url: str, config: object) -> list[str]:
        raise RuntimeError("no such luck")


NO_EXECUTOR = object()
HERE = __name__


@pytest.fixture
def declare(settings):
    """Declare executors by the setting."""

    def declare(**paths: str) -> None:
        settings.TALLYMAN_EXECUTORS = paths

    return declare


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Declare executors as installed packages do."""

    def install(*points: tuple[str, str]) -> None:
        found = EntryPoints(EntryPoint(name, value, registry.GROUP) for name, value in points)
        monkeypatch.setattr(registry, "entry_points", lambda group: found.select(group=group))
        registry._installed.cache_clear()

    yield install
    registry._installed.cache_clear()


def view(kind: str) -> HostView:
    return HostView(id=uuid.uuid4(), name="h", executor_type=kind, base_url="", installation=uuid.uuid4())


def test_an_executor_is_declared_by_the_setting(declare):
    declare(ours=f"{HERE}.OurExecutor")
    assert registry.executor_class("ours") is OurExecutor
    assert isinstance(registry.executor_for(view("ours")), OurExecutor)
    assert "ours" in registry.kinds()


def test_an_executor_is_declared_by_an_installed_package(install):
    install(("ours", f"{HERE}:OurExecutor"))
    assert registry.executor_class("ours") is OurExecutor


def test_the_setting_decides_which_class_a_kind_is(install, declare):
    install(("docker", f"{HERE}:OurExecutor"))
    assert registry.executor_class("docker") is DockerExecutor
    assert ["built in" in problem for problem in registry.problems()] == [True]
    declare(docker=f"{HERE}.OurExecutor")
    assert registry.executor_class("docker") is OurExecutor
    assert registry.problems() == []


def test_two_packages_that_offer_one_kind_are_both_named(install, declare):
    install(("ours", f"{HERE}:OurExecutor"), ("ours", f"{HERE}:BrokenWhenMade"))
    with pytest.raises(ConfigurationError, match="Several installed packages offer an executor 'ours'"):
        registry.executor_class("ours")
    declare(ours=f"{HERE}.OurExecutor")
    assert registry.executor_class("ours") is OurExecutor


@pytest.mark.parametrize("kind", ["Our Executor", "o" * 21, ""])
def test_a_name_that_no_host_can_have_is_reported_and_not_offered(install, kind):
    install((kind, f"{HERE}:OurExecutor"))
    assert kind not in registry.kinds()
    assert [check.id for check in run_checks(tags=["executors"])] == ["hosts.W001"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no.such.module.Executor", "cannot be loaded: No module named 'no'"),
        (f"{HERE}.NoSuchClass", "cannot be loaded"),
        (f"{HERE}.NO_EXECUTOR", "is no subclass of ContainerExecutor"),
        ("a_module_that_raises.Executor", "failed when it was imported: ZeroDivisionError"),
        ("a_module_that_exits.Executor", "failed when it was imported: SystemExit"),
    ],
)
def test_what_cannot_be_loaded_is_a_sentence(declare, tmp_path: Path, monkeypatch, path, words):
    (tmp_path / "a_module_that_raises.py").write_text("1 / 0")
    (tmp_path / "a_module_that_exits.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    declare(broken=path)
    with pytest.raises(ConfigurationError, match=words):
        registry.executor_class("broken")
    assert words in registry.lacking("broken", frozenset())[0]
    assert words in registry.settings_problems("broken", "", {})[0]
    assert registry.label("broken") == "broken"


def test_a_library_that_is_absent_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(registry.EXECUTORS, "fargate", "executor_without_its_library.FargateExecutor")
    module = ModuleType("executor_without_its_library")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    class FargateExecutor(ProcessExecutor):
        def __init__(self, host: HostView) -> None:
            raise ModuleNotFoundError("No module named 'boto3'", name="boto3")

    module.FargateExecutor = FargateExecutor  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=r"No module named 'boto3'.*tallyman\[fargate\]"):
        registry.executor_for(view("fargate"))


def test_an_executor_that_cannot_be_made_is_a_sentence(declare):
    declare(broken=f"{HERE}.BrokenWhenMade")
    with pytest.raises(ConfigurationError, match="failed when it was made: KeyError: 'region'"):
        registry.executor_for(view("broken"))


def test_settings_that_an_executor_fails_to_look_at_are_refused_with_its_words(declare):
    declare(broken=f"{HERE}.BrokenWhenAsked")
    (problem,) = registry.settings_problems("broken", "", {})
    assert "RuntimeError: no such luck" in problem


@pytest.mark.django_db
def test_a_host_offers_every_kind_without_a_migration(declare):
    field = DockerHost._meta.get_field("executor_type")
    assert "ours" not in dict(field.flatchoices)
    declare(ours=f"{HERE}.OurExecutor")
    assert "ours" in dict(field.flatchoices)
    DockerHost(name="h", executor_type="ours").full_clean()


def test_what_an_executor_lacks_is_a_sentence_each():
    can = Capabilities(networks=True)
    assert lacks(can, {"networks"}, label="It") == []
    assert lacks(can, {"tty", "networks", "ports"}, label="It") == [
        "It cannot publish ports.",
        "It cannot give a container a terminal (tty).",
    ]


def test_nobody_can_what_he_does_not_say():
    assert set(WISHES.values()) < set(cannot(Capabilities()))
    assert "tell what a job wrote" in cannot(Capabilities())
    assert cannot(Capabilities(**{one.name: True for one in fields(Capabilities)})) == []


@pytest.mark.parametrize("kind", ["docker", "process"])
def test_executors_that_are_built_in_say_what_they_are(kind):
    assert registry.executor_class(kind).kind == kind
    assert registry.label(kind)
    assert registry.capabilities(kind).stop
