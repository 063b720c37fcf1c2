"""The list of hosts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from admin_ui.pages import base
from admin_ui.pages.hosts import acts, audit, rows
from hosts import operations
from hosts.executors import registry
from hosts.models import Availability, DockerHost, HostState
from hosts.operations import HostRefused
from supervisor.processes import is_supervised


@base.needs("hosts.view_dockerhost")
def hosts(request: HttpRequest) -> HttpResponseBase:
    """The page."""
    context = {
        **_table(request),
        "bulk": acts.IN_BULK,
        "states": HostState.choices,
        "wishes": [*((one.value, one.value) for one in Availability), (rows.OFF, _("switched off"))],
        "kinds": [(kind, registry.label(kind)) for kind in registry.kinds()],
        "table_url": f"{reverse('admin:part_hosts')}?{request.GET.urlencode()}",
    }
    return base.render(request, "admin_ui/hosts.html", context, title=gettext_lazy("Hosts"), section="hosts")


@base.needs("hosts.view_dockerhost")
def table(request: HttpRequest) -> HttpResponse:
    """Its live part."""
    return base.part(request, "admin_ui/_hosts.html", _table(request))


def _table(request: HttpRequest) -> dict[str, Any]:
    filters = rows.Filters.of(request.GET)
    found = rows.read(rows.hosts_of(filters)[: rows.MOST_ROWS + 1])
    return {
        "rows": found[: rows.MOST_ROWS],
        "are_more": len(found) > rows.MOST_ROWS,
        "most": rows.MOST_ROWS,
        "filters": filters,
        "is_supervised": bool(found) or is_supervised(),
        # Once, and not for each act of each row: that took half the time of a page of a hundred hosts.
        "acts_url": f"{reverse('admin:hosts')}act/",
        "may_change": request.user.has_perm("hosts.change_dockerhost"),
        "may_add": request.user.has_perm("hosts.add_dockerhost"),
    }


@require_POST
@base.needs("hosts.change_dockerhost")
def weight(request: HttpRequest, host_id: UUID) -> HttpResponse:
    """The weight that was typed into a row."""
    back = reverse("admin:hosts")
    try:
        wanted = int(request.POST.get("weight", ""))
        operations.set_weight(host_id, wanted)
    except ValueError:
        text = _("The weight must be a whole number, 1 to 1000. Nothing was changed.")
        return base.done(request, text, back=back, level=messages.ERROR)
    except HostRefused as exc:
        return base.done(request, f"{exc} {_('Nothing was changed.')}", back=back, level=messages.ERROR)
    host = DockerHost.objects.only("name").get(pk=host_id)
    audit.note(request, [host], f"weight {wanted}")
    return base.done(request, _("%(host)s weighs %(weight)d.") % {"host": host, "weight": wanted}, back=back)
