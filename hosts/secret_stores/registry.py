"""Which stores there are: those built in, those of installed packages, and those of the settings.

A package declares a store by an entry point of the group `tallyman.secret_stores`, an installation by the
setting `TALLYMAN_SECRET_STORES` (`{"name": "dotted.path.of.TheClass"}`), which wins over both others.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import entry_points

from django.conf import settings
from django.utils.module_loading import import_string

from hosts.errors import ConfigurationError
from hosts.secret_stores.contract import SecretStore

GROUP = "tallyman.secret_stores"
STORES = {
    "env": "hosts.secret_stores.environment.EnvironmentStore",
    "file": "hosts.secret_stores.file.FileStore",
    "vault": "hosts.secret_stores.vault.VaultStore",
}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,19}")
LONGEST_REFERENCE = 500


def paths() -> dict[str, str]:
    """The dotted path of each store's class, by its name; names that no reference can have are left out."""
    found = {**_installed(), **STORES, **settings.TALLYMAN_SECRET_STORES}
    return {name: path for name, path in found.items() if _NAME.fullmatch(name)}


def store(name: str) -> SecretStore:
    """The process's object of the store; ConfigurationError if there is none, or it cannot be made."""
    known = paths()
    if name not in known:
        raise ConfigurationError(f"There is no secret store {name!r}; known are: {', '.join(sorted(known))}.")
    return _made(name, known[name])


def problems() -> list[str]:
    """A sentence for each store that was declared and cannot be used."""
    declared = {**_installed(), **settings.TALLYMAN_SECRET_STORES}
    found = [
        f"The secret store {name!r} is not used: a name has 20 characters at most, of lower case letters, "
        "digits, dashes and underscores, a letter first."
        for name in sorted(declared)
        if not _NAME.fullmatch(name)
    ]
    for name in sorted(declared.keys() & paths().keys()):
        try:
            store(name)
        except ConfigurationError as exc:
            found.append(str(exc))
    return found


def reference_problems(reference: str) -> list[str]:
    """Sentences that say what is wrong with a reference; empty when nothing is. Asks no store's server."""
    name, colon, path = reference.partition(":")
    if not colon or not path:
        forms = ", ".join(sorted(paths()))
        return [f"{reference!r} is no reference to a secret: write STORE:PATH, with a store out of {forms}."]
    if len(reference) > LONGEST_REFERENCE:
        return [f"A reference to a secret has {LONGEST_REFERENCE} characters at most."]
    try:
        return store(name).problems(path)
    except ConfigurationError as exc:
        return [str(exc)]


@lru_cache(maxsize=1)
def _installed() -> dict[str, str]:
    return {point.name: point.value.replace(":", ".") for point in entry_points(group=GROUP)}


@lru_cache(maxsize=32)
def _made(name: str, path: str) -> SecretStore:
    try:
        found = import_string(path)
        made = found() if isinstance(found, type) and issubclass(found, SecretStore) else None
    except ConfigurationError:
        raise
    except Exception as exc:  # somebody else's code
        raise ConfigurationError(
            f"The secret store {name!r} ({path}) cannot be made: {type(exc).__name__}."
        ) from exc
    if made is None:
        raise ConfigurationError(f"The secret store {name!r} ({path}) is no subclass of SecretStore.")
    return made
