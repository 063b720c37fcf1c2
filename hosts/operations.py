"""What people may ask of hosts. Pages and commands call these; a worker carries them out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from hosts import policy, registries, wakeups
from hosts.audited import HOST, WISHES
from hosts.errors import ConfigurationError, TallymanError
from hosts.executors.registry import executor_class, settings_problems
from hosts.models import Availability, DockerHost, DrainThen, HostRequest, RequestVerb
from hosts.secret_marks import marked

REQUEST_LASTS = timedelta(seconds=60)
_NO_DEADLINE: dict[str, object] = {"drain_deadline_at": None, "drain_then": DrainThen.WAIT}
_REMOVED = "This host was removed; add it again first."


class HostRefused(TallymanError):
    """The operation does not fit the host as it is; the text says why."""


@HOST.act("cordon", fields=WISHES)
def cordon(host_id: UUID) -> None:
    """Take no new jobs on the host; the running ones go on."""
    _want(host_id, availability=Availability.CORDONED, **_NO_DEADLINE)


@HOST.act("drain", fields=WISHES, says=("deadline_seconds",))
def drain(host_id: UUID, *, deadline_seconds: float | None = None, then: DrainThen = DrainThen.WAIT) -> None:
    """Take no new jobs on the host, and wait for the running ones to end.

    After `deadline_seconds`, if given, those that still run are stopped, or waited for as before.
    """
    deadline = None if deadline_seconds is None else Now() + timedelta(seconds=deadline_seconds)
    _want(host_id, availability=Availability.DRAINING, drain_deadline_at=deadline, drain_then=then)


@HOST.act("activate", fields=WISHES)
def activate(host_id: UUID) -> None:
    """Let the host take jobs again, if it was cordoned, draining or switched off."""
    _want(host_id, availability=Availability.ACTIVE, is_active=True, **_NO_DEADLINE)
    wakeups.notify_supervisors()  # one that was switched off has no worker to be woken


@HOST.act("switch_off", fields=WISHES)
def switch_off(host_id: UUID) -> None:
    """Take the host out of use: no new jobs, and no worker once the running ones have ended."""
    _want(host_id, is_active=False)
    wakeups.notify_supervisors()


@HOST.act("switch_on", fields=WISHES)
def switch_on(host_id: UUID) -> None:
    """Let the host have a worker again; whether it takes jobs is as it was before."""
    _want(host_id, is_active=True)
    wakeups.notify_supervisors()


@HOST.act("set_weight", fields=("weight",))
def set_weight(host_id: UUID, weight: int) -> None:
    """Let jobs without a host prefer this one to lighter ones; HostRefused unless it is 1 to 1000."""
    try:
        DockerHost._meta.get_field("weight").run_validators(weight)
    except ValidationError as exc:
        raise HostRefused(" ".join(exc.messages)) from exc
    _want(host_id, weight=weight)


@HOST.act("test")
def request_test(host_id: UUID, *, by: str) -> HostRequest:
    """Ask the worker that holds the host to test its connection; the answer comes into the row."""
    return _request(host_id, RequestVerb.TEST, by)


@HOST.act("examine")
def request_examination(host_id: UUID, *, by: str, among: int = 1) -> HostRequest:
    """Ask any supervisor to test the host's connection step by step, whether the host is in use or not.

    What it finds comes into the row's `steps`, one by one. `among` is how many are asked for at once: they
    take their turns, so it lasts longer until the last of them is taken.
    """
    lasts = REQUEST_LASTS + timedelta(seconds=10) * (among - 1)
    request = _request(host_id, RequestVerb.EXAMINE, by, lasts=lasts)
    wakeups.notify_supervisors()
    return request


@HOST.act("restart_worker")
def request_restart(host_id: UUID, *, by: str) -> HostRequest:
    """Ask the host's supervisor for another worker process; containers run on."""
    request = _request(host_id, RequestVerb.RESTART, by)
    wakeups.notify_supervisors()
    return request


@HOST.act("remove_containers", says=("containers",))
def request_removal(host_id: UUID, containers: Sequence[str], *, by: str) -> HostRequest:
    """Ask the worker that holds the host to remove these containers, by id, of which no row tells.

    Those that run are asked to end first. One is kept if by then there is a row of its job.
    """
    return _request(host_id, RequestVerb.REAP, by, args={"containers": list(containers)})


@HOST.act("pause", fields=WISHES)
def pause(host_id: UUID, *, by: str) -> HostRequest:
    """Take no new jobs on the host; its worker answers when it knows."""
    with transaction.atomic():
        cordon(host_id)
        return _request(host_id, RequestVerb.PAUSE, by)


@HOST.act("resume", fields=WISHES)
def resume(host_id: UUID, *, by: str) -> HostRequest:
    """Take jobs again on a host that was paused, cordoned or draining; its worker answers when it knows."""
    with transaction.atomic():
        _want(host_id, availability=Availability.ACTIVE, **_NO_DEADLINE)
        return _request(host_id, RequestVerb.RESUME, by)


def _request(
    host_id: UUID,
    verb: RequestVerb,
    by: str,
    *,
    lasts: timedelta = REQUEST_LASTS,
    args: dict[str, Any] | None = None,
) -> HostRequest:
    asked = {"host_id": host_id, "verb": verb, "by": by, "args": args or {}}
    request = HostRequest.objects.create(**asked, expires_at=Now() + lasts)
    wakeups.notify(host_id)
    return request


@HOST.act("set_policy", fields=("policy",))
def set_policy(host_id: UUID, wanted: dict[str, Any]) -> None:
    """Let the host's new containers have this, and no more; ConfigurationError if it cannot be read."""
    if wrong := policy.problems(wanted):
        raise ConfigurationError(" ".join(wrong))
    _want(host_id, policy=wanted)


@HOST.act("set_registry_login", says=("registry", "username"))
def set_registry_login(host_id: UUID, registry: str, *, username: str, password: str, by: str = "") -> None:
    """Let the host's pulls from the registry use this login; it replaces one that was set before."""
    login = {"username": username, "password": password}
    if problem := next(registries.problems({registries.KEY: {registry: login}}), ""):
        raise ConfigurationError(problem)
    with transaction.atomic():
        host = _locked(host_id)
        if registries.KEY not in executor_class(host.executor_type).secret_settings:
            raise HostRefused(f"Host {host.name} pulls no images, so it needs no login.")
        _store_logins(host, {**host.secret_config.get(registries.KEY, {}), registry: login}, by=by)


@HOST.act("forget_registry_login", says=("registry",))
def forget_registry_login(host_id: UUID, registry: str) -> None:
    """Use no login of the host's own for the registry any more; HostRefused if none is set."""
    with transaction.atomic():
        host = _locked(host_id)
        logins = dict(host.secret_config.get(registries.KEY, {}))
        if registry not in logins:
            known = ", ".join(sorted(logins)) or "none"
            raise HostRefused(f"Host {host.name} has no login for {registry}. It has: {known}.")
        del logins[registry]
        _store_logins(host, logins, by="")


def secret_keys(kind: str) -> frozenset[str]:
    """The settings of hosts of this kind that `set_secret` takes; ConfigurationError for an unknown kind.

    Logins at registries are none of them: they have their own operations.
    """
    return executor_class(kind).secret_settings - {registries.KEY}


@HOST.act("set_secret", says=("key",))
def set_secret(host_id: UUID, key: str, value: str, *, by: str = "") -> list[str]:
    """Keep a secret setting of the host, encrypted; what is wrong with its settings as they are then.

    It is kept all the same: one may belong to a setting that is still to come. HostRefused for what is no
    secret setting of its executor.
    """
    with transaction.atomic():
        host = _with_secret(host_id, key)
        config = {**host.secret_config, key: value}
        _store_secrets(host, config, by=by)
    return settings_problems(host.executor_type, host.base_url, {**host.executor_config, **config})


@HOST.act("forget_secret", says=("key",))
def forget_secret(host_id: UUID, key: str) -> None:
    """Keep the setting no more; HostRefused if it is not set."""
    with transaction.atomic():
        host = _with_secret(host_id, key)
        if key not in host.secret_config:
            raise HostRefused(f"{key} of host {host.name} is not set.")
        others = {name: value for name, value in host.secret_config.items() if name != key}
        _store_secrets(host, others, by="")


def require_secret_key(host: DockerHost, key: str) -> None:
    """HostRefused for what is no secret setting of the host's executor, with those that it has."""
    known = secret_keys(host.executor_type)
    if key in known:
        return
    if key == registries.KEY and key in executor_class(host.executor_type).secret_settings:
        raise HostRefused(f"Logins at registries are set by registry-login {host.name} REGISTRY.")
    there_are = f"It knows: {', '.join(sorted(known))}." if known else "It has none."
    raise HostRefused(f"{key} is no secret setting of host {host.name} ({host.executor_type}). {there_are}")


def _with_secret(host_id: UUID, key: str) -> DockerHost:
    host = _locked(host_id)
    require_secret_key(host, key)
    return host


def _locked(host_id: UUID) -> DockerHost:
    host = DockerHost.objects.select_for_update(no_key=True).filter(pk=host_id, archived_at=None).first()
    if host is None:
        raise HostRefused(_REMOVED)
    return host


def _store_logins(host: DockerHost, logins: dict[str, dict[str, str]], *, by: str) -> None:
    others = {key: value for key, value in host.secret_config.items() if key != registries.KEY}
    _store_secrets(host, {**others, registries.KEY: logins} if logins else others, by=by)


def _store_secrets(host: DockerHost, config: dict[str, Any], *, by: str) -> None:
    marks = marked(host.secret_marks, host.secret_config, config, by=by, at=timezone.now())
    changed = {"secret_config": config, "secret_marks": marks}
    DockerHost.objects.filter(pk=host.pk).update(**changed, updated_at=Now())
    wakeups.notify(host.pk)


def _want(host_id: UUID, **wishes: object) -> None:
    if not DockerHost.objects.filter(pk=host_id, archived_at=None).update(**wishes, updated_at=Now()):
        raise HostRefused(_REMOVED)
    wakeups.notify(host_id)
