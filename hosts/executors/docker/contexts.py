"""Where Docker's own client would look for an engine: DOCKER_HOST, the context in use, or one by its name.

The docker library reads contexts too, but takes one that does not say otherwise for one whose engine is not
to be verified, and certificates that are not all there for none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosts.errors import ConfigurationError

SCHEME = "context://"
DEFAULT = "default"
DEFAULT_URL = "unix:///var/run/docker.sock"
_FILES = {"tls_ca_cert": "ca.pem", "tls_client_cert": "cert.pem", "tls_client_key": "key.pem"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """An address, the settings that belong to it under a host's own names, and who says so."""

    url: str
    config: Mapping[str, Any]
    source: str


def is_meant(base_url: str) -> bool:
    """Whether the address says to look there."""
    return not base_url or base_url.startswith(SCHEME)


def locate(base_url: str, environ: Mapping[str, str] | None = None) -> Located:
    """The engine that `context://NAME` or an empty address means on this machine; ConfigurationError."""
    environ = os.environ if environ is None else environ
    name = base_url.removeprefix(SCHEME).rstrip("/") or _current(environ)
    return _default(environ) if name == DEFAULT else _context(name, environ)


def _current(environ: Mapping[str, str]) -> str:
    if environ.get("DOCKER_HOST"):
        return DEFAULT
    return (
        environ.get("DOCKER_CONTEXT") or _text(_folder(environ) / "config.json", "currentContext") or DEFAULT
    )


def _default(environ: Mapping[str, str]) -> Located:
    url = environ.get("DOCKER_HOST") or DEFAULT_URL
    if not url.startswith("tcp://") or not environ.get("DOCKER_TLS_VERIFY"):
        return Located(
            url=url, config={}, source="DOCKER_HOST" if environ.get("DOCKER_HOST") else "the default"
        )
    folder = Path(environ.get("DOCKER_CERT_PATH") or _folder(environ))
    return Located(url=url, config={"tls_verify": True, **_certificates(folder)}, source="DOCKER_HOST")


def _context(name: str, environ: Mapping[str, str]) -> Located:
    folder, key = _folder(environ) / "contexts", hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "meta" / key / "meta.json"
    if not meta.is_file():
        raise ConfigurationError(
            f"There is no Docker context {name!r} in {folder}; `docker context ls` says which there are."
        )
    engine = (_json(meta).get("Endpoints") or {}).get("docker") or {}
    url = str(engine.get("Host") or DEFAULT_URL)
    certificates = _certificates(folder / "tls" / key / "docker")
    is_remote, skips = url.startswith("tcp://"), bool(engine.get("SkipTLSVerify"))
    if not is_remote or not (certificates or skips):
        return Located(url=url, config={}, source=f"the context {name!r}")
    config = {"tls_verify": not skips, **certificates}
    return Located(url=url.replace("tcp", "https", 1), config=config, source=f"the context {name!r}")


def _certificates(folder: Path) -> dict[str, str]:
    return {key: str(folder / name) for key, name in _FILES.items() if (folder / name).is_file()}


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _text(path: Path, key: str) -> str:
    return str(_json(path).get(key) or "") if path.is_file() else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc}.") from exc
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path} holds no JSON object.")
    return value
