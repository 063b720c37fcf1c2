"""Acts, and the rows they leave: written in the transaction of the act, as the last thing in it.

`act` stands around what somebody asked for. If it is refused, its own changes are rolled back and the row
says why. An act inside another one is part of that one and leaves no row. `together` holds back the rows of
what is done inside until its end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import Error as DatabaseError
from django.db import transaction

from audit import chain
from audit.entries import Entry
from audit.models import AuditEvent
from audit.words import Outcome

F = TypeVar("F", bound=Callable[..., Any])

_refusals: list[type[Exception]] = [ValidationError]


def refused_by(*errors: type[Exception]) -> None:
    """These errors, too, say that a rule stood against an act, in words that may be kept."""
    _refusals.extend(error for error in errors if error not in _refusals)


def refusals() -> tuple[type[Exception], ...]:
    """All of these errors."""
    return tuple(_refusals)


@dataclass(slots=True)
class _Scope:
    """What is under way: whether it is an act, and the rows that wait for its end."""

    is_act: bool
    held: list[AuditEvent] = field(default_factory=list)


_scope: ContextVar[_Scope | None] = ContextVar("tallyman_audit_scope", default=None)


def is_part() -> bool:
    """Whether what is done now is part of an act that leaves a row."""
    scope = _scope.get()
    return scope is not None and scope.is_act


def record(entry: Entry) -> None:
    """Leave a row: at the end of the act or `together` that is under way, else at once."""
    event = entry.event()
    if scope := _scope.get():
        scope.held.append(event)
    else:
        chain.append([event])


@contextmanager
def together() -> Iterator[None]:
    """One transaction, with the rows of all that is done inside at its end."""
    if _scope.get():
        yield
        return
    with _opened(is_act=False):
        yield


@contextmanager
def _opened(*, is_act: bool) -> Iterator[None]:
    outer = _scope.get()
    scope = _Scope(is_act)
    token = _scope.set(scope)
    try:
        with transaction.atomic():
            yield
            if scope.held and outer is None:
                chain.append(scope.held)
    finally:
        _scope.reset(token)
    if outer is not None:
        outer.held.extend(scope.held)


@contextmanager
def act(verb: str, *, kind: str = "", key: object = "", label: object = "") -> Iterator[Entry]:
    """Around what somebody asked for: one transaction, and one row that says what came of it."""
    entry = Entry(verb=verb, kind=kind, key=str(key), label=str(label))
    if is_part():
        yield entry
        return
    try:
        with _opened(is_act=True):
            yield entry
            record(entry)
    except DatabaseError:  # nothing was done, and nothing can be written now
        raise
    except Exception as exc:
        _note(entry, exc)
        raise


def _note(entry: Entry, error: Exception) -> None:
    """Say, in a transaction of its own, that an act came to nothing."""
    if isinstance(error, PermissionDenied):
        entry.outcome, entry.reason = Outcome.DENIED, str(error)
    elif isinstance(error, refusals()):
        words = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        entry.outcome, entry.reason = Outcome.REFUSED, words
    else:
        # Its text may be anybody's, secrets included.
        entry.outcome, entry.reason = Outcome.FAILED, type(error).__name__
    entry.before = entry.after = {}
    record(entry)


def noted(verb: str, *, kind: str = "", tell: str = "") -> Callable[[F], F]:
    """For a function that is an act without an object; its result is told under the name `tell`."""

    def wrap(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with act(verb, kind=kind) as entry:
                result = function(*args, **kwargs)
                if tell:
                    entry.tell(**{tell: result})
            return result

        return cast(F, wrapped)

    return wrap
