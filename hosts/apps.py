from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class HostsConfig(AppConfig):
    name = "hosts"
    verbose_name = "Hosts"

    def ready(self) -> None:
        from audit import acts, entries
        from hosts import checks, impatience, masking  # noqa: F401  (registers the system checks)
        from hosts.errors import TallymanError

        entries.mask_by(masking.mask_field)
        acts.refused_by(TallymanError)

        pre_migrate.connect(impatience.begin, sender=self)
        post_migrate.connect(impatience.end, sender=self)
