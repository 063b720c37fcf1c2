from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        from audit import acts, people, retention

        acts.refused_by(retention.NothingToPrune)
        people.listen()
