"""The process environment, read with types: a wrong value is one sentence, never a traceback.

Every variable may instead be given as `NAME_FILE`, the path of a file that holds the value (how Docker
and Kubernetes hand over secrets). `.env` beside `manage.py` fills in what the environment does not set;
`TALLYMAN_ENV_FILE` names another file, or none when it is empty.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY_HINT = (
    "Put a long random string into the environment, or copy .env.example to .env and fill it in "
    "(`make up` writes a .env for development)."
)

HIGHEST_PORT = 65535
# What Django itself takes for too weak (security.W009), but only where somebody runs `check --deploy`.
LEAST_KEY_LENGTH, LEAST_KEY_VARIETY = 50, 5
EXAMPLE_KEY_PREFIX = "django-insecure-"

TRUE_WORDS = frozenset({"1", "true", "yes", "on", "y"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", "n"})


class Environment:
    """Typed reads of the environment. An empty value counts as not set."""

    def __init__(self) -> None:
        self._env = environ.FileAwareEnv()

    def read_file(self, path: Path) -> None:
        """Add the file's variables to the process environment; what is set there already stays."""
        if path.is_file():
            self._env.read_env(path)

    def text(self, name: str, default: str = "") -> str:
        try:
            value: str = self._env.str(name, default="").strip()
        except OSError as exc:
            raise ImproperlyConfigured(
                f"{name}_FILE cannot be read: {exc.strerror}: {exc.filename}."
            ) from exc
        return value or default

    def required(self, name: str, *, hint: str) -> str:
        """The value; ImproperlyConfigured with the hint if there is none."""
        if value := self.text(name):
            return value
        raise ImproperlyConfigured(f"{name} is not set. {hint}")

    def signing_key(self, name: str, *, is_production: bool) -> str:
        """A key; ImproperlyConfigured if there is none, or one in production that could be guessed."""
        key = self.required(name, hint=SECRET_KEY_HINT)
        is_weak = len(key) < LEAST_KEY_LENGTH or len(set(key)) < LEAST_KEY_VARIETY
        if is_production and (is_weak or key.startswith(EXAMPLE_KEY_PREFIX)):
            raise ImproperlyConfigured(
                f"{name} is too weak for production: logins are signed with it, and it could be guessed. "
                f"It has to have {LEAST_KEY_LENGTH} random characters or more, as made with "
                "`python3 -c 'import secrets; print(secrets.token_urlsafe(50))'`."
            )
        return key

    def flag(self, name: str, default: bool) -> bool:
        word = self.text(name).lower()
        if word == "":
            return default
        if word not in TRUE_WORDS | FALSE_WORDS:
            raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}.")
        return word in TRUE_WORDS

    def number(self, name: str, default: float, *, minimum: float = 0.0) -> float:
        word = self.text(name, str(default))
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not minimum <= value < float("inf"):
            raise ImproperlyConfigured(f"{name} must be a number from {minimum:g} up, not {word!r}.")
        return value

    def whole(self, name: str, default: int, *, minimum: int = 0) -> int:
        value = self.number(name, default, minimum=minimum)
        if not value.is_integer():
            raise ImproperlyConfigured(f"{name} must be a whole number, not {value:g}.")
        return int(value)

    def port(self, name: str, default: int) -> int:
        """A TCP port, or 0."""
        value = self.whole(name, default)
        if value > HIGHEST_PORT:
            raise ImproperlyConfigured(f"{name} must be a port, so at most {HIGHEST_PORT}, not {value}.")
        return value

    def choice(self, name: str, default: str, *, among: tuple[str, ...]) -> str:
        word = self.text(name, default)
        matching = [one for one in among if one.lower() == word.lower()]
        if not matching:
            raise ImproperlyConfigured(f"{name} must be one of {', '.join(among)}, not {word!r}.")
        return matching[0]

    def words(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A list separated by commas."""
        found = [word.strip() for word in self.text(name).split(",") if word.strip()]
        return found or list(default)

    def lines(self, name: str) -> list[str]:
        """A list separated by commas, blanks or line ends, as files have it."""
        return self.text(name).replace(",", " ").split()

    def pairs(self, name: str) -> dict[str, str]:
        """A mapping, written as `key=value` separated by commas."""
        found = {}
        for word in self.words(name):
            key, equals, value = (part.strip() for part in word.partition("="))
            if not (key and equals and value):
                raise ImproperlyConfigured(f"{name} must be like a=b,c=d, and {word!r} is no such pair.")
            found[key] = value
        return found


def two_factor_apps() -> list[str]:
    """The applications of second factors; ImproperlyConfigured if they are not installed."""
    missing = [name for name in ("django_otp", "segno") if find_spec(name) is None]
    if missing:
        raise ImproperlyConfigured(
            f"TALLYMAN_TWO_FACTOR needs {' and '.join(missing)}; install tallyman[2fa], or leave it off."
        )
    return ["django_otp", "django_otp.plugins.otp_totp", "django_otp.plugins.otp_static"]


def env_file() -> Path | None:
    """The file of development settings, whether it exists or not; None when it is switched off."""
    named = os.environ.get("TALLYMAN_ENV_FILE")
    if named is None:
        return BASE_DIR / ".env"
    return BASE_DIR / named if named else None


def files() -> list[Path]:
    """The files that settings come from: the one of development, and those named by a `NAME_FILE`."""
    named = [Path(value) for name, value in sorted(os.environ.items()) if name.endswith("_FILE") and value]
    own = env_file()
    return [path for path in [own, *named] if path is not None and (path == own or path.is_file())]


def load() -> Environment:
    """The environment, with what the development file adds."""
    env = Environment()
    if (path := env_file()) is not None:
        env.read_file(path)
    return env
