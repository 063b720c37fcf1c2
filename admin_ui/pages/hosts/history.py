"""What happened to a host lately, and what ran there: for its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from admin_ui.admin.hosts import answer_to
from admin_ui.pages.hosts import audit
from hosts.models import DockerHost, HostRequest
from jobs.models import Attempt, ContainerTemplate, Tally
from jobs.states import Outcome

_RUNNING_SHOWN, _RECENT_SHOWN, _EVENTS_SHOWN, _TEMPLATES_SHOWN = 50, 10, 20, 10
_COUNTED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a host's timeline. `state` colours it: ok, failed, waiting, or empty."""

    at: datetime
    what: str
    who: str
    answer: str = ""
    state: str = ""


def running(host: DockerHost) -> Sequence[Attempt]:
    """What holds its slots now, the oldest first."""
    attempts = Attempt.objects.open().filter(host=host).select_related("job", "job__template")
    return list(attempts.defer("spec", "measured", "job__secret_environment").order_by("id")[:_RUNNING_SHOWN])


def recent(host: DockerHost) -> Sequence[Attempt]:
    """What ended there last, the newest first."""
    attempts = Attempt.objects.filter(host=host, ended_at__isnull=False)
    attempts = attempts.select_related("job", "job__template")
    attempts = attempts.defer("spec", "measured", "job__secret_environment")
    return list(attempts.order_by("-id")[:_RECENT_SHOWN])


def templates(host: DockerHost) -> list[dict[str, Any]]:
    """What was run there in the last day: templates with their images, how often, and how many failed."""
    tallies = Tally.objects.filter(minute__gt=Now() - _COUNTED_FOR, host_name=host.name).order_by()
    failed = ~Q(outcome__in=[Outcome.SUCCEEDED, Outcome.CANCELLED])
    counted = tallies.values("template_name").annotate(total=Sum("count"), took=Sum("seconds"))
    counted = counted.annotate(failed=Sum("count", filter=failed))
    found = list(counted.order_by("-total", "template_name")[:_TEMPLATES_SHOWN])
    known = ContainerTemplate.objects.filter(name__in=[one["template_name"] for one in found])
    images = {name: (key, image) for key, name, image in known.values_list("pk", "name", "docker_image")}
    return [
        {
            **one,
            "failed": one["failed"] or 0,
            "mean_seconds": one["took"] / one["total"] if one["total"] else None,
            "pk": images.get(one["template_name"], (None, ""))[0],
            "image": images.get(one["template_name"], (None, ""))[1],
        }
        for one in found
    ]


def events(host: DockerHost) -> list[Event]:
    """What was asked of it and done to it, the newest first."""
    asked = HostRequest.objects.filter(host=host).defer("steps").order_by("-at")[:_EVENTS_SHOWN]
    found = [Event(one.at, one.get_verb_display(), one.by, answer_to(one), _state_of(one)) for one in asked]
    found += [
        Event(one.action_time, one.get_change_message() or _("changed"), one.user.get_username())
        for one in audit.of_host(host, _EVENTS_SHOWN)
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:_EVENTS_SHOWN]


def _state_of(request: HostRequest) -> str:
    if request.done_at is None:
        return "waiting"
    return "ok" if request.ok else "failed"
