"""How busy hosts are, counted from the rows of their attempts."""

from __future__ import annotations

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from hosts.models import DockerHost
from jobs.models import Attempt


def with_running_count(hosts: QuerySet[DockerHost]) -> QuerySet[DockerHost]:
    """The hosts, each with `running_count`: the attempts that hold one of its slots."""
    # open() besides: it is what the partial index covers, so ended attempts cost nothing.
    holding = Attempt.objects.open().holding_slots().filter(host=OuterRef("pk")).order_by()
    count = holding.values("host").annotate(count=Count("pk")).values("count")
    return hosts.annotate(running_count=Coalesce(Subquery(count, output_field=IntegerField()), 0))
