"""Which kinds of engine there are: those built in, those of installed packages, and those of the settings.

A package declares its executor by an entry point of the group `tallyman.executors`, an installation by the
setting `TALLYMAN_EXECUTORS` (`{"kind": "dotted.path.of.TheClass"}`), which wins over both others. Modules are
imported on first use, so a library that one kind needs costs nothing (and breaks nothing) where that kind is
not used. Whatever is wrong with an executor is a ConfigurationError, which its host shows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from hosts.errors import ConfigurationError, ExecutorFailed, TallymanError
from hosts.executors.capabilities import Capabilities, cannot, lacks
from hosts.executors.config_fields import ConfigField
from hosts.executors.contract import ContainerExecutor, EngineFacts, HostView
from hosts.executors.launching import completed
from hosts.masking import mask_text

GROUP = "tallyman.executors"
LONGEST_KIND = 20
_KIND = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{LONGEST_KIND - 1}}}")

EXECUTORS = {
    "docker": "hosts.executors.docker.DockerExecutor",
    "process": "hosts.executors.process.ProcessExecutor",
    "swarm": "hosts.executors.swarm.SwarmExecutor",
    "cloudrun": "hosts.executors.cloudrun.CloudRunExecutor",
    "fargate": "hosts.executors.fargate.FargateExecutor",
}
# What has to be installed for those that need more than the rest of the program.
_EXTRAS = {"cloudrun": "tallyman[cloudrun]", "fargate": "tallyman[fargate]"}


def paths() -> dict[str, str]:
    """The dotted path of each executor's class, by its kind; names that cannot be stored are left out."""
    named = (_installed()[0], EXECUTORS, _configured())
    return dict(_usable(*(frozenset(one.items()) for one in named)))


@lru_cache(maxsize=16)
def _usable(*named: frozenset[tuple[str, str]]) -> Mapping[str, str]:
    """Those whose names can be stored; claims ask for each host and kind of job. The last ones win."""
    found = {kind: path for some in named for kind, path in some}
    return {kind: path for kind, path in found.items() if _KIND.fullmatch(kind)}


def kinds() -> list[str]:
    """Every kind there is, in the order of the alphabet."""
    return sorted(paths())


def choices() -> list[tuple[str, str]]:
    """The kinds as choices of `DockerHost.executor_type`; asked anew each time, so no migration follows."""
    return [(kind, kind) for kind in kinds()]


def problems() -> list[str]:
    """Sentences on declarations that are not used; empty when all are."""
    named = {**_installed()[0], **_configured()}
    found = [
        f"The executor name {kind!r} is not used: it may have {LONGEST_KIND} characters at most, of lower "
        "case letters, digits, dashes and underscores."
        for kind in sorted(named)
        if not _KIND.fullmatch(kind)
    ]
    if not isinstance(settings.TALLYMAN_EXECUTORS, Mapping):
        found.append('TALLYMAN_EXECUTORS must be a mapping of kinds to dotted paths: {"kind": "a.b.C"}.')
    shadowed = _installed()[0].keys() & EXECUTORS.keys() - _configured().keys()
    found += [
        f"An installed package offers an executor {kind!r}, which is built in, so the package's is not used. "
        "To use it, name its class in TALLYMAN_EXECUTORS."
        for kind in sorted(shadowed)
    ]
    return found


def is_built_in(kind: str) -> bool:
    """Whether it is this program's own class that is used for the kind."""
    return paths().get(kind) == EXECUTORS.get(kind, kind)


def executor_class(kind: str) -> type[ContainerExecutor]:
    """The class for `executor_type`; ConfigurationError if there is none, or it cannot be imported."""
    rivals = _installed()[1].get(kind)
    if rivals and kind not in EXECUTORS and kind not in _configured():
        raise ConfigurationError(
            f"Several installed packages offer an executor {kind!r} ({', '.join(rivals)}). "
            "Say which one in TALLYMAN_EXECUTORS, or remove the others."
        )
    known = paths()
    if kind not in known:
        raise ConfigurationError(f"There is no executor {kind!r}; known are: {', '.join(sorted(known))}.")
    return _load(kind, known[kind])


def executor_for(host: HostView) -> ContainerExecutor:
    """A new executor for the host; no engine is called yet. ConfigurationError if it cannot be made."""
    executor = executor_class(host.executor_type)
    try:
        return executor(host)
    except TallymanError:
        raise
    except ImportError as exc:
        raise _not_loaded(host.executor_type, exc) from exc
    except Exception as exc:  # somebody else's code
        raise ConfigurationError(f"The executor {host.executor_type!r} {_failed('made', exc)}") from exc


def capabilities(kind: str) -> Capabilities:
    """What executors of this kind can; ConfigurationError as of `executor_class`."""
    return executor_class(kind).capabilities


def label(kind: str) -> str:
    """What people call this kind of engine; the kind itself where it says nothing, or cannot be loaded."""
    try:
        return str(executor_class(kind).label or kind)
    except ConfigurationError:
        return kind


def lacking(kind: str, needs: frozenset[str]) -> list[str]:
    """What of `needs` (`jobs.needs`) no host of this kind can do, a sentence each; what is wrong with the
    executor if it cannot be loaded."""
    try:
        return lacks(capabilities(kind), needs, label=label(kind))
    except ConfigurationError as exc:
        return [str(exc)]


def limits(kind: str) -> list[str]:
    """All that executors of this kind cannot do, in a few words each; or what is wrong with the executor."""
    try:
        return cannot(capabilities(kind))
    except ConfigurationError as exc:
        return [str(exc)]


def settings_problems(kind: str, base_url: str, config: Mapping[str, Any]) -> list[str]:
    """Sentences that say what is wrong with a host's settings, or with its executor."""
    try:
        return list(executor_class(kind).validate_config(base_url, config))
    except ConfigurationError as exc:
        return [str(exc)]
    except Exception as exc:  # noqa: BLE001 (somebody else's code)
        return [f"The executor {kind!r} {_failed('asked about its settings', exc)}"]


def config_fields(kind: str) -> tuple[ConfigField, ...]:
    """The settings that executors of this kind declare; ConfigurationError as of `executor_class`."""
    declared = executor_class(kind).config_fields
    if isinstance(declared, tuple) and all(isinstance(one, ConfigField) for one in declared):
        return declared
    raise ExecutorFailed(f"The executor {kind!r} has config_fields that are no tuple of ConfigField.")


def configured_retries(kind: str, config: object) -> int | None:
    """How often a host's settings have a failed launch tried again; None where they do not say."""
    try:
        executor = executor_class(kind)
    except ConfigurationError:
        return None
    return executor.configured_retries(config) if isinstance(config, Mapping) else None


def check_engine(view: HostView, timeout_seconds: float) -> EngineFacts:
    """What the engine says of itself; raises as an executor's `check` does. The host's own timeout wins."""
    view = dataclasses.replace(view, config={"timeout": timeout_seconds, **view.config})
    with contextlib.closing(executor_for(view)) as executor:
        try:
            facts = executor.check()
        except TallymanError:
            raise
        except Exception as exc:  # somebody else's code
            raise ExecutorFailed(f"The executor {view.executor_type!r} {_failed('asked', exc)}") from exc
    if not isinstance(facts, EngineFacts):
        raise ExecutorFailed(f"The executor {view.executor_type!r} gave {facts!r}, which is no EngineFacts.")
    return facts


def configured_log_limit(kind: str, config: Mapping[str, Any]) -> int | None:
    """As an executor's; None too where it cannot be asked."""
    try:
        return executor_class(kind).configured_log_limit(config)
    except Exception:  # noqa: BLE001 (somebody else's code; its host shows what is wrong with it)
        return None


def _configured() -> dict[str, str]:
    named = settings.TALLYMAN_EXECUTORS
    return {str(kind): str(path) for kind, path in named.items()} if isinstance(named, Mapping) else {}


@lru_cache(maxsize=1)
def _installed() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Of installed packages: the path of each kind, and who offers a kind that several do."""
    found: dict[str, str] = {}
    offers: dict[str, list[str]] = {}
    for point in entry_points(group=GROUP):
        found[point.name] = point.value.replace(":", ".")
        offers.setdefault(point.name, []).append(point.dist.name if point.dist else point.value)
    return found, {kind: sorted(names) for kind, names in offers.items() if len(names) > 1}


def _load(kind: str, path: str) -> type[ContainerExecutor]:
    try:
        found = import_string(path)
    except ImportError as exc:
        raise _not_loaded(kind, exc) from exc
    except (Exception, SystemExit) as exc:  # somebody else's code
        raise ConfigurationError(f"The executor {kind!r} ({path}) {_failed('imported', exc)}") from exc
    if not (isinstance(found, type) and issubclass(found, ContainerExecutor)):
        raise ConfigurationError(f"The executor {kind!r} ({path}) is no subclass of ContainerExecutor.")
    if not isinstance(found.capabilities, Capabilities):
        raise ConfigurationError(f"The executor {kind!r} ({path}) has capabilities that are no Capabilities.")
    return completed(found)


def _not_loaded(kind: str, error: ImportError) -> ConfigurationError:
    extra = _EXTRAS.get(kind)
    hint = f" It needs what `pip install '{extra}'` installs." if extra else ""
    return ConfigurationError(f"The executor {kind!r} cannot be loaded: {error}.{hint}")


def _failed(what: str, error: BaseException) -> str:
    return mask_text(f"failed when it was {what}: {type(error).__name__}: {error}")
