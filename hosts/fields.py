"""Encrypted columns. What the database, its backups and its replicas hold is Fernet tokens only.

A stored value is `f1:<token>`; the first key of TALLYMAN_SECRET_KEYS encrypts, any of them decrypts, so a
key is rotated by putting the new one first; `hosts.rotation` then encrypts anew what older keys have.
"""

from __future__ import annotations

import contextlib
import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from hosts.errors import ConfigurationError

MARK = "f1:"


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ConfigurationError(
            "TALLYMAN_SECRET_KEYS is not set, so secrets cannot be stored or read. Set it to a key made with "
            "`python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'`."
        )
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as exc:
        raise ConfigurationError(
            f"TALLYMAN_SECRET_KEYS holds something that is no Fernet key: {exc}."
        ) from exc


def key_count() -> int:
    """How many keys there are; ConfigurationError unless each of them is one."""
    keys = tuple(settings.TALLYMAN_SECRET_KEYS)
    _ring(keys)
    return len(keys)


def key_position(stored: str) -> int | None:
    """Which key a stored form was made with, 0 for the first; None if none of them decrypts it."""
    if not stored.startswith(MARK):
        return None
    token = stored[len(MARK) :].encode()
    for position, key in enumerate(settings.TALLYMAN_SECRET_KEYS):
        with contextlib.suppress(InvalidToken):
            Fernet(key).decrypt(token)
            return position
    return None


def encrypt(text: str) -> str:
    """The stored form of a text; ConfigurationError without a usable key."""
    return MARK + _ring(tuple(settings.TALLYMAN_SECRET_KEYS)).encrypt(text.encode()).decode()


def decrypt(stored: str) -> str:
    """The text of a stored form; ConfigurationError if no key fits. Ciphertext is never handed out."""
    if not stored.startswith(MARK):
        raise ConfigurationError(
            "A secret column holds text that this program did not encrypt; set it again."
        )
    try:
        return _ring(tuple(settings.TALLYMAN_SECRET_KEYS)).decrypt(stored[len(MARK) :].encode()).decode()
    except InvalidToken as exc:
        raise ConfigurationError(
            "No key in TALLYMAN_SECRET_KEYS decrypts a stored secret. Put the key it was made with back."
        ) from exc


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # no generic at run time
    """Text that is encrypted in the database; an empty text is stored as it is."""

    is_secret = True

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encrypt(prepared) if prepared else prepared

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return decrypt(value) if value else value

    def get_lookup(self, lookup_name: str) -> Any:
        """Equal texts have different ciphertexts, so only emptiness can be asked."""
        if lookup_name not in {"isnull", "exact"}:
            raise ConfigurationError(f"An encrypted column cannot be searched with {lookup_name!r}.")
        return super().get_lookup(lookup_name)


class EncryptedJSONField(EncryptedTextField):
    """A JSON object that is encrypted in the database; an empty object is stored as an empty text."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(json.dumps(value)) if value else ""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        text = super().from_db_value(value, expression, connection)
        return json.loads(text) if text else {}

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value or {}
