"""gunicorn for the web process: PORT and WEB_CONCURRENCY as a Procfile runner sets them."""

from __future__ import annotations

import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import environment, logging

try:
    env = environment.load()
    env.signing_key("SECRET_KEY", is_production=not env.flag("DEBUG", False))
    host = env.text("BIND", "0.0.0.0")  # an address, without a port
    port = env.port("PORT", 8000)
    workers = env.whole("WEB_CONCURRENCY", 2, minimum=1)
    logconfig_dict = logging.settings_from(env, debug=env.flag("DEBUG", False))
    announce = env.flag("TALLYMAN_ANNOUNCE", False)
except ImproperlyConfigured as exc:
    sys.stderr.write(f"gunicorn.conf.py: {exc}\n")
    sys.exit(2)

bind = f"{host}:{port}"
worker_class = "asgi"
proc_name = "tallyman-web"

timeout = 60  # seconds without a sign of life, then the worker is replaced
keepalive = 5
# Process runners send TERM and, five seconds later, KILL. Open streams would wait out the whole time.
graceful_timeout = 3
# Replacing a worker after so many requests would cut the log streams it serves.
max_requests = 0
websocket_max_message_size = 65536
control_socket_disable = True  # else it leaves a socket in the home directory

# The path without its query, which may hold a token.
access_log_format = "%(m)s %(U)s %(s)s %(B)s bytes in %(M)s ms"


def post_worker_init(worker: Any) -> None:
    """Tell the person behind `make up` where to go: the first worker serves from here on."""
    if announce and worker.age == 1:
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        sys.stdout.write(f"Ready: http://{shown}:{port}/admin/\n")
        sys.stdout.flush()
