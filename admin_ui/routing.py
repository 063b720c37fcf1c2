"""Which WebSocket answers where; config/asgi.py asks who is there before it comes here."""

from __future__ import annotations

from django.urls import path

from admin_ui.live_logs.consumer import LogConsumer

websocket_urlpatterns = [path("ws/jobs/<uuid:job_id>/log/", LogConsumer.as_asgi(), name="ws_job_log")]
