from __future__ import annotations

from django.urls import path

from healthcheck.checks import DatabaseAnswers, MigrationsApplied
from healthcheck.views import ProbeView

urlpatterns = [
    path("live", ProbeView.as_view(checks=[]), name="health-live"),
    path("ready", ProbeView.as_view(checks=[DatabaseAnswers, MigrationsApplied]), name="health-ready"),
]
