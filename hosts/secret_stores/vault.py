"""`vault:MOUNT/PATH#FIELD`: a field of a secret in a KV engine of HashiCorp Vault (or OpenBao), by HTTP.

`?version=N` before the `#` asks for an older version of a KV v2 engine. Which version an engine has is said
by `TALLYMAN_VAULT_MOUNTS` (`secret=2,old/kv=1`); one that is not named has version 2, and a mount of one
folder.

We log in by a token (from the environment, or a file that is read again each time, as an agent renews it) or
by AppRole. Two calls of Vault's API are all it takes, so there is no client library for it here.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import requests
from django.conf import settings

from hosts.secret_stores.contract import SecretNotFound, SecretStore, StoreUnavailable

_REFERENCE = re.compile(r"(?P<path>[^?#]+)(\?version=(?P<version>\d{1,9}))?#(?P<field>.+)")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_LARGEST_ANSWER = 1024 * 1024
_CONNECT_SECONDS = 3.0
# A login is not used in its last moments: the call that needs it takes a while, too.
_SPARE_SECONDS = 10.0
_LEAST_PARTS = 2


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a secret is: its engine's mount, its path there, the field, and the version if not the newest."""

    mount: str
    path: str
    field: str
    version: str
    kv: str


class VaultStore(SecretStore):
    """See the module."""

    form: ClassVar[str] = "MOUNT/PATH#FIELD"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._login: tuple[str, float] | None = None

    def problems(self, path: str) -> list[str]:
        """What is wrong with the path as it is written."""
        return [] if _place(path) else [_how_to_write(path)]

    def read(self, path: str) -> str:
        """The field's text; numbers and booleans as JSON writes them."""
        place = _place(path)
        if place is None:
            raise SecretNotFound(_how_to_write(path))
        if not _is_allowed(f"{place.mount}/{place.path}"):
            raise SecretNotFound("TALLYMAN_VAULT_PATHS does not let jobs have it")
        status, answer = self._get(place)
        if status == HTTPStatus.NOT_FOUND:
            raise SecretNotFound(_why_not_found(answer))
        if status != HTTPStatus.OK:
            raise StoreUnavailable(_refused(status, answer))
        return _field(answer, place)

    def _get(self, place: _Place) -> tuple[int, Any]:
        middle = "/data/" if place.kv == "2" else "/"
        target = f"/v1/{quote(place.mount)}{middle}{quote(place.path)}"
        _address()  # what is wrong with it is said first
        if place.version:
            target += f"?version={place.version}"
        token = self._token()
        status, answer = _call("GET", target, token=token)
        if status == HTTPStatus.FORBIDDEN and settings.TALLYMAN_VAULT_ROLE_ID:
            # A login may be revoked before its time; one that is new is asked with once.
            self._forget(token)
            status, answer = _call("GET", target, token=self._token())
        return status, answer

    def _token(self) -> str:
        if not settings.TALLYMAN_VAULT_ROLE_ID:
            return _given_token()
        with self._lock:
            if self._login is None or time.monotonic() >= self._login[1]:
                self._login = _log_in()
            return self._login[0]

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._login and self._login[0] == token:
                self._login = None


def _place(text: str) -> _Place | None:
    found = _REFERENCE.fullmatch(text)
    if not found:
        return None
    whole = found["path"].strip("/")
    parts = whole.split("/")
    if len(parts) < _LEAST_PARTS or {"", ".", ".."} & set(parts) or not whole.isprintable():
        return None
    mounts: Mapping[str, str] = settings.TALLYMAN_VAULT_MOUNTS
    named = [one.strip("/") for one in mounts if whole.startswith(f"{one.strip('/')}/")]
    mount = max(named, key=len, default=parts[0])
    kv = next((version for one, version in mounts.items() if one.strip("/") == mount), "2")
    return _Place(mount, whole[len(mount) + 1 :], found["field"], found["version"] or "", kv)


def _how_to_write(path: str) -> str:
    return f"{path!r} is no place in Vault; write vault:MOUNT/PATH#FIELD, as in vault:secret/app/db#password."


def _is_allowed(path: str) -> bool:
    allowed = [one.strip("/") for one in settings.TALLYMAN_VAULT_PATHS]
    return not allowed or any(path == one or path.startswith(f"{one}/") for one in allowed)


def _given_token() -> str:
    file = settings.TALLYMAN_VAULT_TOKEN_FILE
    if file:
        try:
            return Path(file).read_text().strip()
        except (OSError, UnicodeError):
            raise StoreUnavailable(f"TALLYMAN_VAULT_TOKEN_FILE cannot be read: {file}") from None
    if not settings.TALLYMAN_VAULT_TOKEN:
        raise StoreUnavailable("neither TALLYMAN_VAULT_TOKEN nor TALLYMAN_VAULT_ROLE_ID is set")
    return str(settings.TALLYMAN_VAULT_TOKEN)


def _log_in() -> tuple[str, float]:
    """A token by AppRole, and until when it is used."""
    began = time.monotonic()
    body = {"role_id": settings.TALLYMAN_VAULT_ROLE_ID}
    if settings.TALLYMAN_VAULT_SECRET_ID:
        body["secret_id"] = settings.TALLYMAN_VAULT_SECRET_ID
    mount = quote(settings.TALLYMAN_VAULT_APPROLE_MOUNT.strip("/"))
    status, answer = _call("POST", f"/v1/auth/{mount}/login", body=body)
    auth = answer.get("auth") if isinstance(answer, dict) else None
    if status != HTTPStatus.OK or not isinstance(auth, dict) or not isinstance(auth.get("client_token"), str):
        raise StoreUnavailable(f"the login by AppRole failed: {_refused(status, answer)}")
    lasts = auth.get("lease_duration")
    seconds = float(lasts) if isinstance(lasts, int | float) and lasts > 0 else float("inf")
    return auth["client_token"], began + max(0.0, seconds - _SPARE_SECONDS)


def _call(
    method: str, target: str, *, token: str = "", body: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of one call; StoreUnavailable if there was no answer that Vault would give."""
    headers = {"X-Vault-Request": "true"}
    if token:
        headers["X-Vault-Token"] = token
    if settings.TALLYMAN_VAULT_NAMESPACE:
        headers["X-Vault-Namespace"] = settings.TALLYMAN_VAULT_NAMESPACE
    seconds = float(settings.TALLYMAN_VAULT_TIMEOUT_SECONDS)
    session = requests.Session()
    # Else a proxy of the environment would get the token, and REQUESTS_CA_BUNDLE replace the authority.
    session.trust_env = False
    try:
        with session.request(
            method,
            _address() + target,
            headers=headers,
            json=body,
            timeout=(min(_CONNECT_SECONDS, seconds), seconds),
            verify=settings.TALLYMAN_VAULT_CACERT or True,
            allow_redirects=False,  # wherever it leads to, the token would go there, too
            stream=True,
        ) as response:
            return response.status_code, _json(_content(response, time.monotonic() + seconds))
    except (requests.RequestException, OSError) as exc:
        raise StoreUnavailable(f"Vault cannot be reached: {_cause(exc)}") from None
    except ValueError:  # a token with a line end, say
        raise StoreUnavailable("the address or the token of Vault cannot be sent") from None
    finally:
        session.close()


def _address() -> str:
    address = str(settings.TALLYMAN_VAULT_ADDR).rstrip("/")
    if not address:
        raise StoreUnavailable("TALLYMAN_VAULT_ADDR is not set")
    url = urlsplit(address)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
        raise StoreUnavailable(
            "TALLYMAN_VAULT_ADDR must start with https://; http:// is for this machine only"
        )
    return address


def _content(response: requests.Response, deadline: float) -> bytes:
    content = b""
    for piece in response.iter_content(64 * 1024):
        content += piece
        if len(content) > _LARGEST_ANSWER:
            raise StoreUnavailable("Vault's answer is larger than 1 MiB")
        if time.monotonic() > deadline:
            raise StoreUnavailable("Vault's answer took too long")
    return content


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None


def _cause(exc: BaseException) -> str:
    if isinstance(exc, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    if isinstance(exc, requests.Timeout):
        return "it did not answer in time"
    return "it refused or closed the connection" if isinstance(exc, requests.ConnectionError) else "no answer"


def _refused(status: int, answer: Any) -> str:
    """Why Vault did not answer with a secret; of its own words only those that it has for errors."""
    match status:
        case HTTPStatus.FORBIDDEN:
            why = "it does not let our token read this (403)"
        case HTTPStatus.SERVICE_UNAVAILABLE:
            why = "it is sealed, or under maintenance (503)"
        case HTTPStatus.TEMPORARY_REDIRECT:
            why = "it sends us to another node (307); set TALLYMAN_VAULT_ADDR to one that answers"
        case _:
            why = f"it answered {status}"
    errors = answer.get("errors") if isinstance(answer, dict) else None
    said = [one for one in errors if isinstance(one, str)] if isinstance(errors, list) else []
    words = " ".join("; ".join(said).split())[:200]
    return f"Vault: {why}{f': {words}' if words else ''}"


def _why_not_found(answer: Any) -> str:
    data = answer.get("data") if isinstance(answer, dict) else None
    metadata = data.get("metadata") if isinstance(data, dict) else None
    if isinstance(metadata, dict) and (metadata.get("deletion_time") or metadata.get("destroyed")):
        return "this version of it was deleted"
    return "Vault has nothing there (is TALLYMAN_VAULT_MOUNTS right about the engine's version?)"


def _field(answer: Any, place: _Place) -> str:
    data = answer.get("data") if isinstance(answer, dict) else None
    if place.kv == "2":
        data = data.get("data") if isinstance(data, dict) else None
    if not isinstance(data, dict):
        raise StoreUnavailable("Vault answered with something that is no secret of a KV engine")
    if place.field not in data:
        raise SecretNotFound(f"the secret has no field {place.field!r}")
    value = data[place.field]
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise SecretNotFound(f"its field {place.field!r} holds no text")
