"""Logins, and changes of people, groups and their rights: whichever page or command they come from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model, signals
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest

from audit import acts, snapshots
from audit.entries import Entry
from audit.words import Outcome

_BEFORE = "_audit_before"
_CHANGES = {"post_add": "added", "post_remove": "removed", "pre_clear": "removed"}


def listen() -> None:
    """Hear of all of it; once, when the application is ready."""
    user: Any = get_user_model()
    signals.user_logged_in.connect(_logged_in, dispatch_uid="audit")
    signals.user_logged_out.connect(_logged_out, dispatch_uid="audit")
    signals.user_login_failed.connect(_login_failed, dispatch_uid="audit")
    for model in (user, Group):
        pre_save.connect(_look, sender=model, dispatch_uid="audit")
        post_save.connect(_saved, sender=model, dispatch_uid="audit")
        post_delete.connect(_deleted, sender=model, dispatch_uid="audit")
    for through in (user.groups.through, user.user_permissions.through, Group.permissions.through):
        m2m_changed.connect(_rights_changed, sender=through, dispatch_uid="audit")


def _kind(model: Any) -> str:
    return "group" if issubclass(model, Group) else "user"


def _entry(verb: str, row: Any, **more: Any) -> Entry:
    kind = _kind(type(row))
    return Entry(verb=f"{kind}.{verb}", kind=kind, key=str(row.pk), label=str(row), **more)


def _logged_in(user: Any, **_signal: Any) -> None:
    acts.record(_entry("login", user))


def _logged_out(user: Any, **_signal: Any) -> None:
    if user is not None:
        acts.record(_entry("logout", user))


def _login_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_signal: Any) -> None:
    # A name that nobody has may be a password, typed into the wrong field.
    people: Any = get_user_model()
    name = credentials.get(people.USERNAME_FIELD) or credentials.get("username")
    user = people._default_manager.filter(**{people.USERNAME_FIELD: name}).first() if name else None
    if user is not None:
        acts.record(_entry("login", user, outcome=Outcome.FAILED))
    else:
        reason = "There is nobody of that name."
        acts.record(Entry(verb="user.login", kind="user", outcome=Outcome.FAILED, reason=reason))


def _look(instance: Model, raw: bool, update_fields: Collection[str] | None, **_signal: Any) -> None:
    is_login = update_fields is not None and set(update_fields) == {"last_login"}
    setattr(instance, _BEFORE, None if raw or is_login else snapshots.stored(instance))


def _saved(
    instance: Any, created: bool, raw: bool, update_fields: Collection[str] | None, **_signal: Any
) -> None:
    before = instance.__dict__.pop(_BEFORE, None)
    if created or raw:
        found = snapshots.change(None, instance)
        acts.record(_entry("add" if created else "change", instance, after=found.after, says=found.says))
    elif before is not None and (found := snapshots.change(before, instance)):
        acts.record(_entry("change", instance, before=found.before, after=found.after, says=found.says))


def _deleted(instance: Any, **_signal: Any) -> None:
    acts.record(_entry("delete", instance, before=snapshots.change(instance, None).before))


def _rights_changed(
    instance: Any, action: str, model: type[Model], pk_set: set[Any] | None, sender: Any, **_signal: Any
) -> None:
    how = _CHANGES.get(action)
    if how is None:
        return
    rows: Any = model._base_manager
    if action == "pre_clear":
        back = {field.related_model: field.name for field in sender._meta.fields if field.is_relation}
        own = sender._base_manager.filter(**{back[_model_of(instance, back)]: instance.pk})
        pk_set = set(own.values_list(f"{back[model]}_id", flat=True))
    if pk_set:
        acts.record(_entry("rights", instance, says={how: _named(rows, model, pk_set)}))


def _model_of(instance: Model, known: dict[Any, str]) -> Any:
    return next(model for model in known if isinstance(instance, model))


def _named(rows: Any, model: type[Model], keys: set[Any]) -> list[str]:
    """As they are called in settings and tests; a group or person by name."""
    found = rows.filter(pk__in=keys)
    if issubclass(model, Permission):
        return sorted(".".join(names) for names in found.values_list("content_type__app_label", "codename"))
    return sorted(str(row) for row in found)
