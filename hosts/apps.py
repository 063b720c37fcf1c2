from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class HostsConfig(AppConfig):
    name = "hosts"
    verbose_name = "Hosts"

    def ready(self) -> None:
        from hosts import checks, impatience  # noqa: F401  (registers the system checks)

        pre_migrate.connect(impatience.begin, sender=self)
        post_migrate.connect(impatience.end, sender=self)
