"""Every setting of Tallyman, each read once, typed, and named with its unit.

Values come from the environment or from `.env` (see `config.environment`); `.env.example` lists them.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from csp import constants as csp

from config import databases, pages
from config import environment as _environment
from config import logging as _logging

BASE_DIR: Path = _environment.BASE_DIR
VAR_DIR: Path = BASE_DIR / "var"

env = _environment.load()

# --- What this process is -------------------------------------------------------------------------------

DEBUG: bool = env.flag("DEBUG", False)
SECRET_KEY: str = env.signing_key("SECRET_KEY", is_production=not DEBUG)
ALLOWED_HOSTS: list[str] = env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]") if DEBUG else ())
# Keys that SECRET_KEY had before: what was signed with them is still believed.
SECRET_KEY_FALLBACKS: list[str] = env.words("SECRET_KEY_FALLBACKS")
CSRF_TRUSTED_ORIGINS: list[str] = env.words("CSRF_TRUSTED_ORIGINS")

# --- Tallyman -------------------------------------------------------------------------------------------

# Fernet keys for secrets at rest: the first encrypts, all of them decrypt.
TALLYMAN_SECRET_KEYS: list[str] = env.lines("TALLYMAN_SECRET_KEYS")
# Stores that references to secrets may name beside those built in and those of installed packages.
TALLYMAN_SECRET_STORES: dict[str, str] = env.pairs("TALLYMAN_SECRET_STORES")
# What `env:` and `file:` references may read of a worker's machine: patterns of names, and folders.
TALLYMAN_SECRET_ENV: list[str] = env.words("TALLYMAN_SECRET_ENV")
TALLYMAN_SECRET_FILE_ROOTS: list[str] = env.words("TALLYMAN_SECRET_FILE_ROOTS")
# HashiCorp Vault, for `vault:` references (`hosts.secret_stores.vault`).
TALLYMAN_VAULT_ADDR: str = env.text("TALLYMAN_VAULT_ADDR")
# Not read here: an agent puts a new token into the file from time to time.
TALLYMAN_VAULT_TOKEN_FILE: str = env.text("TALLYMAN_VAULT_TOKEN_FILE")
TALLYMAN_VAULT_TOKEN: str = "" if TALLYMAN_VAULT_TOKEN_FILE else env.text("TALLYMAN_VAULT_TOKEN")
TALLYMAN_VAULT_ROLE_ID: str = env.text("TALLYMAN_VAULT_ROLE_ID")
TALLYMAN_VAULT_SECRET_ID: str = env.text("TALLYMAN_VAULT_SECRET_ID")
TALLYMAN_VAULT_APPROLE_MOUNT: str = env.text("TALLYMAN_VAULT_APPROLE_MOUNT", "approle")
TALLYMAN_VAULT_NAMESPACE: str = env.text("TALLYMAN_VAULT_NAMESPACE")
TALLYMAN_VAULT_CACERT: str = env.text("TALLYMAN_VAULT_CACERT")
TALLYMAN_VAULT_MOUNTS: dict[str, str] = env.pairs("TALLYMAN_VAULT_MOUNTS")
TALLYMAN_VAULT_PATHS: list[str] = env.words("TALLYMAN_VAULT_PATHS")
TALLYMAN_VAULT_TIMEOUT_SECONDS: float = env.number("TALLYMAN_VAULT_TIMEOUT_SECONDS", 5.0, minimum=0.1)
# The image of this very application, for templates that run its own management commands.
TALLYMAN_APP_IMAGE: str = env.text("TALLYMAN_APP_IMAGE")
# The process executor runs jobs without a container, as children of this machine: for development.
TALLYMAN_ALLOW_PROCESS_EXECUTOR: bool = env.flag("TALLYMAN_ALLOW_PROCESS_EXECUTOR", DEBUG)
TALLYMAN_PROCESS_ROOT: Path = BASE_DIR / env.text("TALLYMAN_PROCESS_ROOT", "var/process")
# Kinds of engine beside those built in and those of installed packages: the dotted path of each one's class.
TALLYMAN_EXECUTORS: dict[str, str] = env.pairs("TALLYMAN_EXECUTORS")
TALLYMAN_POLL_INTERVAL_SECONDS: float = env.number("TALLYMAN_POLL_INTERVAL_SECONDS", 5.0, minimum=0.05)
TALLYMAN_SHUTDOWN_TIMEOUT_SECONDS: float = env.number("TALLYMAN_SHUTDOWN_TIMEOUT_SECONDS", 4.0, minimum=0.1)
# A worker that is older, has claimed more jobs or takes more memory gives way to a fresh one, without any
# interruption; 0: never.
TALLYMAN_WORKER_MAX_AGE_SECONDS: float = env.number("TALLYMAN_WORKER_MAX_AGE_SECONDS", 0.0)
TALLYMAN_WORKER_MAX_JOBS: int = env.whole("TALLYMAN_WORKER_MAX_JOBS", 0)
TALLYMAN_WORKER_MAX_MEMORY_BYTES: int = env.whole("TALLYMAN_WORKER_MAX_MEMORY_BYTES", 1024**3)
# What a supervisor that is sent HUP looks at, beside its code, to see whether it must start anew.
TALLYMAN_SETTINGS_FILES: list[Path] = _environment.files()
# How long the container of an ended job is kept on its engine, and how many of them on each host (0: all).
TALLYMAN_RETENTION_HOURS: float = env.number("TALLYMAN_RETENTION_HOURS", 0.0)
TALLYMAN_RETENTION_COUNT: int = env.whole("TALLYMAN_RETENTION_COUNT", 0)
# Containers of ours of which no row tells: only reported, or removed once they have been seen that long.
TALLYMAN_REAP: str = env.choice("TALLYMAN_REAP", "report", among=("report", "remove"))
TALLYMAN_REAP_AFTER_MINUTES: float = env.number("TALLYMAN_REAP_AFTER_MINUTES", 10.0)
# What is kept of ended jobs; 0: for ever, or without limit. Nobody's history goes unless somebody says so;
# readings and tallies are machines' figures of which the sums stay with each job.
TALLYMAN_KEEP_JOBS_DAYS: float = env.number("TALLYMAN_KEEP_JOBS_DAYS", 0.0)
TALLYMAN_KEEP_JOBS_COUNT: int = env.whole("TALLYMAN_KEEP_JOBS_COUNT", 0)
TALLYMAN_KEEP_LOGS_DAYS: float = env.number("TALLYMAN_KEEP_LOGS_DAYS", 0.0)
TALLYMAN_KEEP_LOGS_COUNT: int = env.whole("TALLYMAN_KEEP_LOGS_COUNT", 0)
TALLYMAN_KEEP_SAMPLES_DAYS: float = env.number("TALLYMAN_KEEP_SAMPLES_DAYS", 30.0)
TALLYMAN_KEEP_SAMPLES_COUNT: int = env.whole("TALLYMAN_KEEP_SAMPLES_COUNT", 0)
TALLYMAN_KEEP_TALLIES_DAYS: float = env.number("TALLYMAN_KEEP_TALLIES_DAYS", 400.0)

# Where supervisors show those beside them that they live (`supervise --probe`), and a port for the others.
TALLYMAN_RUN_DIR: Path = BASE_DIR / env.text("TALLYMAN_RUN_DIR", "var/run")
TALLYMAN_PROBE_PORT: int = env.port("TALLYMAN_PROBE_PORT", 0)
# What /health/ and /metrics tell only to who sends it as `Authorization: Bearer`, or to staff.
TALLYMAN_PROBE_TOKEN: str = env.text("TALLYMAN_PROBE_TOKEN")
TALLYMAN_METRICS_PUBLIC: bool = env.flag("TALLYMAN_METRICS_PUBLIC", DEBUG)
# How many proxies of ours stand before the web process: an address in X-Forwarded-For is believed only if
# one of them wrote it.
TALLYMAN_TRUSTED_PROXY_COUNT: int = env.whole("TALLYMAN_TRUSTED_PROXY_COUNT", 0)
# When /health/ fails, or warns.
TALLYMAN_HEALTH_CLAIM_LAG_SECONDS: float = env.number("TALLYMAN_HEALTH_CLAIM_LAG_SECONDS", 120.0)
TALLYMAN_HEALTH_QUEUE_AGE_SECONDS: float = env.number("TALLYMAN_HEALTH_QUEUE_AGE_SECONDS", 900.0)
TALLYMAN_HEALTH_DISK_FREE_PERCENT: float = env.number("TALLYMAN_HEALTH_DISK_FREE_PERCENT", 10.0)

# --- Applications ---------------------------------------------------------------------------------------

# Ours come first: their templates and commands replace those of the libraries.
INSTALLED_APPS: list[str] = [
    "admin_ui",
    "healthcheck",
    "supervisor",
    "jobs",
    "hosts",
    "audit",
    # The other one does not look for the pages of each application.
    "admin_ui.apps.TallymanAdminConfig"
    if pages.are_served
    else "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
# Login: whether a code of an app is asked for beside the password (`pip install tallyman[2fa]`).
TALLYMAN_TWO_FACTOR: str = env.choice("TALLYMAN_TWO_FACTOR", "off", among=("off", "optional", "required"))
if pages.are_served:
    INSTALLED_APPS += [
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "axes",
        "channels",
        "csp",
        "django_htmx",
        "health_check",
    ]
    if TALLYMAN_TWO_FACTOR != "off":
        INSTALLED_APPS += _environment.two_factor_apps()

MIDDLEWARE: list[str] = [
    "healthcheck.middleware.any_host_for_probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.headers.for_every_answer",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "admin_ui.standing.only_who_stands",
    "audit.middleware.audited",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
LOGIN_URL = "admin:login"
TEST_RUNNER = "config.test_runner.PytestRunner"

# --- Storage --------------------------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": databases.from_url(
        env.text("DATABASE_URL", "sqlite:///var/tallyman.sqlite3"), base_dir=BASE_DIR
    ),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Without Redis each web process has its own layer. That is enough: a message is only a hint to look into
# the database, which everyone does from time to time anyway.
REDIS_URL: str = env.text("REDIS_URL")
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "tallyman"},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}

STATIC_URL = "static/"
STATIC_ROOT: Path = VAR_DIR / "static"
WHITENOISE_USE_FINDERS: bool = DEBUG
WHITENOISE_AUTOREFRESH: bool = DEBUG
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}

# --- People ---------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

if pages.are_served:
    AUTHENTICATION_BACKENDS: list[str] = [
        "axes.backends.AxesStandaloneBackend",  # has to be asked first
        "django.contrib.auth.backends.ModelBackend",
    ]
# Who fails to log in so often has to wait, by name and address together: neither can a stranger lock others
# out, nor many behind one address each other.
AXES_FAILURE_LIMIT: int = env.whole("TALLYMAN_LOGIN_FAILURES", 5, minimum=1)
AXES_COOLOFF_TIME = timedelta(seconds=env.whole("TALLYMAN_LOGIN_WAIT_SECONDS", 900, minimum=1))
AXES_LOCKOUT_PARAMETERS: list[list[str]] = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "admin_ui.throttle.address_of"
AXES_LOCKOUT_CALLABLE = "admin_ui.throttle.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

OTP_TOTP_ISSUER = "Tallyman"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True

# A login ends when nobody has done anything for so long (pages that renew themselves do not count), and after
# so long in any case. 0: not for that reason.
TALLYMAN_SESSION_IDLE_SECONDS: int = env.whole("TALLYMAN_SESSION_IDLE_SECONDS", 2 * 3600)
TALLYMAN_SESSION_MAX_SECONDS: int = env.whole("TALLYMAN_SESSION_MAX_SECONDS", 24 * 3600)
SESSION_COOKIE_AGE: int = TALLYMAN_SESSION_MAX_SECONDS or 14 * 86_400

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Transport security ---------------------------------------------------------------------------------

SECURE_SSL_REDIRECT: bool = env.flag("SECURE_SSL_REDIRECT", not DEBUG)
# Load balancers and Prometheus ask over plain HTTP, from inside.
SECURE_REDIRECT_EXEMPT: list[str] = [r"^health/", r"^metrics"]
SECURE_HSTS_SECONDS: int = env.whole("SECURE_HSTS_SECONDS", 0 if DEBUG else 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS: bool = env.flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD: bool = env.flag("SECURE_HSTS_PRELOAD", False)
# Only a proxy that always sets (or removes) the header may be trusted with it: clients can send it too.
SECURE_PROXY_SSL_HEADER: tuple[str, str] | None = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("TRUST_PROXY_SSL_HEADER", False) else None
)
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE: bool = env.flag("SECURE_COOKIES", not DEBUG)
CSRF_COOKIE_SECURE: bool = SESSION_COOKIE_SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # pages carry the token themselves
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
# What a request may bring; config.bodies counts it before Django stores anything.
DATA_UPLOAD_MAX_MEMORY_SIZE: int = env.whole("TALLYMAN_MAX_BODY_BYTES", 2_621_440, minimum=65_536)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
FILE_UPLOAD_MAX_MEMORY_SIZE: int = DATA_UPLOAD_MAX_MEMORY_SIZE
FILE_UPLOAD_HANDLERS: list[str] = ["config.bodies.NoFiles"]
X_FRAME_OPTIONS = "DENY"
# Nothing comes from another host, and nothing that is written into a page runs or paints there.
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [csp.SELF],
        "img-src": [csp.SELF, "data:"],  # Bootstrap's own drawings
        "object-src": [csp.NONE],
        "base-uri": [csp.SELF],
        "form-action": [csp.SELF],
        "frame-ancestors": [csp.NONE],
    }
}

# W005, W021: whether the whole domain, with its other sites, is to be HTTPS only and preloaded is for the
# owner of the domain to say (SECURE_HSTS_INCLUDE_SUBDOMAINS, SECURE_HSTS_PRELOAD), not for one site in it.
SILENCED_SYSTEM_CHECKS: list[str] = ["security.W005", "security.W021"]

# --- Logs -----------------------------------------------------------------------------------------------

LOGGING_CONFIG = "config.logging.configure"
LOGGING: dict[str, Any] = _logging.settings_from(env, debug=DEBUG)
