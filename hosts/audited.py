"""Acts on hosts, as rows of the audit; see `audit.objects`."""

from __future__ import annotations

from audit.objects import Objects
from hosts.models import DockerHost

HOST = Objects("host", DockerHost)

# What people want of a host, as the rows tell it before and after.
WISHES = ("availability", "is_active", "drain_deadline_at", "drain_then")
