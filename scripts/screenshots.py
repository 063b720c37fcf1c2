"""`make screenshots`: every screen in light, dark and on a phone, into var/screenshots/.

A database of its own, a supervisor and real jobs: on a Docker engine of its own where that can be, else as
plain processes. What is said of the days before is made up, since nobody waits a week for a picture. The
screens of the README are copied to docs/screenshots/ with KEEP=1.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "var" / "screenshots"
KEPT = {
    "dashboard-light.png": "dashboard.png",
    "job-log-dark.png": "live-log.png",
    "job-failed-light.png": "failed-job.png",
    "hosts-dark.png": "hosts.png",
}
LOOKS: dict[str, tuple[Any, Any]] = {
    "light": ({"width": 1360, "height": 850}, "light"),
    "dark": ({"width": 1360, "height": 850}, "dark"),
    "phone": ({"width": 360, "height": 740}, "light"),
    "phone-dark": ({"width": 360, "height": 740}, "dark"),
}
SETTLE_MS = 1000


def main() -> int:
    """Make them all."""
    with tempfile.TemporaryDirectory(prefix="tallyman-screens-") as folder:
        _set_environment(f"sqlite:///{folder}/db.sqlite3")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        with _engine() as address:
            _shoot_all(Path(folder), address)
    print(f"Screenshots: {FOLDER}")
    return 0


def _set_environment(database_url: str) -> None:
    for name in [name for name in os.environ if name.startswith(("TALLYMAN_", "LOG_", "SECURE_"))]:
        del os.environ[name]
    os.environ |= {
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DATABASE_URL": database_url,
        "DEBUG": "true",  # static files need no collecting
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",  # Playwright runs a loop in this thread
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "ERROR",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "TALLYMAN_ALLOW_PROCESS_EXECUTOR": "true",
        "TALLYMAN_ENV_FILE": "",
        "TALLYMAN_SECRET_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


@contextlib.contextmanager
def _engine() -> Iterator[str]:
    """The address of a Docker engine with busybox; empty where none can be started."""
    from tests.support import engines

    if reason := engines.unavailable():
        print(f"Without a Docker engine: {reason}", file=sys.stderr)
        yield ""
        return
    with engines.running_engine() as engine:
        yield engine.url


def _shoot_all(folder: Path, address: str) -> None:
    from scripts.screenshot_rows import Rows
    from tests.browser import screens
    from tests.support import supervising
    from tests.support.web import running_web

    url = os.environ["DATABASE_URL"]
    rows = Rows(folder, address)
    rows.before()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with (
        supervising.running("supervise", "--poll-interval", "0.5", database_url=url) as _supervisor,
        running_web(url) as web,
        screens.browser() as browser,
    ):
        pages = rows.pages()
        base = f"http://127.0.0.1:{web.port}"
        cookie: Any = {"name": "sessionid", "value": screens.session_for(rows.person), "url": base}
        for look, (size, scheme) in LOOKS.items():
            context = browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=1)
            context.add_cookies([cookie])
            page = context.new_page()
            for name, path in pages.items():
                _shoot(page, base + path, FOLDER / f"{name}-{look}.png")
            context.close()
        rows.after()
    if os.environ.get("KEEP"):
        for name, kept in KEPT.items():
            (ROOT / "docs" / "screenshots").mkdir(exist_ok=True)
            shutil.copy(FOLDER / name, ROOT / "docs" / "screenshots" / kept)


def _shoot(page: Any, url: str, path: Path) -> None:
    page.goto(url)
    page.wait_for_timeout(SETTLE_MS)  # charts are drawn, and the log has come
    page.screenshot(path=path, full_page="phone" in path.name or "full" in path.name)


if __name__ == "__main__":
    began = time.monotonic()
    code = main()
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(code)
