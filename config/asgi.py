"""The web application for gunicorn's asgi worker: HTTP by Django, WebSockets by Channels."""

from __future__ import annotations

import os
import warnings

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# WhiteNoise hands Django an ordinary iterator for each file; it is read in a thread, as it should be.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

http = get_asgi_application()

from admin_ui import routing  # noqa: E402 - models can be imported only now
from config.bodies import LimitBodies  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": LimitBodies(http, settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(routing.websocket_urlpatterns))
        ),
    }
)
