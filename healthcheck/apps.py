from __future__ import annotations

from django.apps import AppConfig


class HealthcheckConfig(AppConfig):
    name = "healthcheck"
