"""The menu: the same on every page, without what its viewer may not see."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the menu. `key` after `g` goes there."""

    section: str
    label: str | Promise
    name: str
    icon: str
    key: str
    permission: str = ""

    @property
    def url(self) -> str:
        """Where it is."""
        return reverse(self.name)


MENU = (
    Entry("dashboard", _("Dashboard"), "admin:index", "speedometer2", "d"),
    Entry("jobs", _("Jobs"), "admin:jobs", "list-task", "j", "jobs.view_containerjob"),
    Entry("hosts", _("Hosts"), "admin:hosts", "hdd-network", "h", "hosts.view_dockerhost"),
    Entry(
        "templates",
        _("Templates"),
        "admin:templates",
        "collection",
        "t",
        "jobs.view_containertemplate",
    ),
    Entry(
        "supervisor",
        _("Supervisor"),
        "admin:supervisor",
        "diagram-3",
        "s",
        "supervisor.view_supervisorprocess",
    ),
    Entry("audit", _("Audit"), "admin:audit", "clipboard", "u", "audit.view_auditevent"),
    Entry("tables", _("All tables"), "admin:tables", "gear", "a"),
)


def for_user(user: AbstractBaseUser | AnonymousUser) -> list[Entry]:
    """The entries that this person may open."""
    may = getattr(user, "has_perm", lambda _permission: False)
    return [entry for entry in MENU if not entry.permission or may(entry.permission)]
