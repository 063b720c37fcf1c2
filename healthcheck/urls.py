from __future__ import annotations

from django.urls import path

from healthcheck import checks
from healthcheck.metrics import metrics
from healthcheck.views import probe

_READY = [checks.DatabaseAnswers, checks.MigrationsApplied]
_SYSTEM = [
    *_READY,
    checks.SupervisorBeats,
    checks.HostsWork,
    checks.WorkersStay,
    checks.NothingPaused,
    checks.ClaimsFlow,
    checks.QueueMoves,
    checks.DiskHasRoom,
]

urlpatterns = [
    path("health/live", probe([], is_open=True), name="health-live"),
    path("health/ready", probe(_READY, is_open=True), name="health-ready"),
    path("health/", probe(_SYSTEM), name="health"),
    path("metrics", metrics, name="metrics"),
]
