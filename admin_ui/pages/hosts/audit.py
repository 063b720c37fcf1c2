"""Who did what to hosts: kept where Django's own pages keep it, so both show in one history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.contrib.auth.models import User
from django.http import HttpRequest

from hosts.models import DockerHost


def note(request: HttpRequest, hosts: Iterable[DockerHost], what: str, *, flag: int = CHANGE) -> None:
    """Write down that the person who asks has done this to each of the hosts. Never pass a secret."""
    kind = get_content_type_for_model(DockerHost)
    user = cast(User, request.user)
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user.pk,
            content_type_id=kind.pk,
            object_id=str(host.pk),
            object_repr=str(host)[:200],
            action_flag=flag,
            change_message=what,
        )
        for host in hosts
    )


def of_host(host: DockerHost, most: int) -> Sequence[LogEntry]:
    """The newest entries of a host."""
    kind = get_content_type_for_model(DockerHost)
    entries = LogEntry.objects.filter(content_type_id=kind.pk, object_id=str(host.pk))
    return list(entries.select_related("user").order_by("-action_time")[:most])
