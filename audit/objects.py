"""Operations on one kind of object, as decorators: each call is an act, and its row says what it changed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from django.db import models

from audit import acts

F = TypeVar("F", bound=Callable[..., Any])


class Objects:
    """A kind of object: its operations take its primary key first, and `label` is the field of its name."""

    def __init__(self, kind: str, model: type[models.Model], *, label: str = "name") -> None:
        self._kind, self._model, self._label = kind, model, label

    def act(
        self, verb: str, *, fields: Sequence[str] = (), says: Sequence[str] = (), tell: str = ""
    ) -> Callable[[F], F]:
        """An operation that may change the `fields`; `says` are arguments to be told of, never a secret.

        Its result is told under the name `tell`.
        """

        def wrap(operation: F) -> F:
            signature = inspect.signature(operation)

            @functools.wraps(operation)
            def wrapped(key: Any, *args: Any, **kwargs: Any) -> Any:
                if acts.is_part():
                    return operation(key, *args, **kwargs)
                with acts.act(f"{self._kind}.{verb}", kind=self._kind, key=key) as entry:
                    before = self._seen(key, fields)
                    entry.label = str(before.pop(self._label, "") or key)
                    given = signature.bind(key, *args, **kwargs).arguments
                    entry.says = {name: given[name] for name in says if given.get(name) not in (None, "")}
                    result = operation(key, *args, **kwargs)
                    after = self._seen(key, fields) if fields else {}
                    after.pop(self._label, None)
                    entry.before, entry.after = difference(before, after)
                    if tell:
                        entry.tell(**{tell: result})
                return result

            return cast(F, wrapped)

        return wrap

    def _seen(self, key: Any, fields: Sequence[str]) -> dict[str, Any]:
        rows: models.QuerySet[Any] = models.QuerySet(self._model).filter(pk=key)
        return dict(rows.values(self._label, *fields).first() or {})


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is not the same in both."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )
